/*
Package leases manages leases in the OpenStack Reservation service (Blazar),
API version 1. It follows the layout of gophercloud's own packages, which have
hosts but no leases.

What the service does beside its reference, measured against Blazar Zed:

  - Dates go in as UTC minutes, "2006-01-02 15:04", or "now"; seconds and RFC
    3339 are refused. They come back as "2006-01-02T15:04:05.000000".
  - resource_properties is a JSON expression inside a string.
  - Two leases may have the same name.
  - Want of hosts is a 500 that only its message tells apart.
  - A delete takes the instances on the leased hosts and the reserved floating
    IPs with it.

Example to lease a host for two hours

	lease, err := leases.Create(ctx, client, leases.CreateOpts{
		Name:    "experiment",
		EndDate: time.Now().Add(2 * time.Hour),
		Reservations: []leases.ReservationOptsBuilder{
			leases.HostReservationOpts{Min: 1, Max: 1, ResourceProperties: leases.Equal("node_type", "storage_nvme")},
		},
	}).Extract()
*/
package leases
