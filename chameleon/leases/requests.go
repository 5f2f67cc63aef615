package leases

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// dateFormat is how Blazar takes a date: UTC, to the minute.
const dateFormat = "2006-01-02 15:04"

// List lists the project's leases.
func List(client *gophercloud.ServiceClient) pagination.Pager {
	return pagination.NewPager(client, rootURL(client), func(r pagination.PageResult) pagination.Page {
		return LeasePage{pagination.SinglePageBase(r)}
	})
}

// ReservationOptsBuilder is a kind of resource to reserve.
type ReservationOptsBuilder interface {
	ToReservationCreateMap() (map[string]any, error)
}

// HostReservationOpts reserves whole hosts (resource type physical:host).
type HostReservationOpts struct {
	Min, Max int
	// ResourceProperties and HypervisorProperties are expressions such as
	// Equal makes; any host fits the empty one.
	ResourceProperties, HypervisorProperties string
}

// ToReservationCreateMap implements ReservationOptsBuilder.
func (opts HostReservationOpts) ToReservationCreateMap() (map[string]any, error) {
	if opts.Min < 1 || opts.Max < opts.Min {
		err := gophercloud.ErrInvalidInput{}
		err.Argument, err.Value = "Min, Max", [2]int{opts.Min, opts.Max}
		return nil, err
	}
	// Both properties must be there, be they empty.
	return map[string]any{
		"resource_type":         "physical:host",
		"min":                   opts.Min,
		"max":                   opts.Max,
		"resource_properties":   opts.ResourceProperties,
		"hypervisor_properties": opts.HypervisorProperties,
	}, nil
}

// FloatingIPReservationOpts reserves floating IPs of a network (resource type
// virtual:floatingip).
type FloatingIPReservationOpts struct {
	NetworkID string
	Amount    int
	Required  []string // addresses that must be among them
}

// ToReservationCreateMap implements ReservationOptsBuilder.
func (opts FloatingIPReservationOpts) ToReservationCreateMap() (map[string]any, error) {
	if opts.NetworkID == "" {
		return nil, gophercloud.ErrMissingInput{Argument: "NetworkID"}
	}
	if opts.Amount < 1 {
		return nil, gophercloud.ErrMissingInput{Argument: "Amount"}
	}
	b := map[string]any{"resource_type": "virtual:floatingip", "network_id": opts.NetworkID, "amount": opts.Amount}
	if len(opts.Required) > 0 {
		b["required_floatingips"] = opts.Required
	}
	return b, nil
}

// FlavorReservationOpts reserves virtual machines of a flavour (resource type
// flavor:instance). Instances are booted with the flavour ReservedFlavor.
type FlavorReservationOpts struct {
	FlavorID string
	Amount   int
}

// ToReservationCreateMap implements ReservationOptsBuilder.
func (opts FlavorReservationOpts) ToReservationCreateMap() (map[string]any, error) {
	if opts.FlavorID == "" {
		return nil, gophercloud.ErrMissingInput{Argument: "FlavorID"}
	}
	if opts.Amount < 1 {
		return nil, gophercloud.ErrMissingInput{Argument: "Amount"}
	}
	// The service's own dashboard sends the affinity as a text.
	return map[string]any{"resource_type": "flavor:instance", "flavor_id": opts.FlavorID, "amount": opts.Amount, "affinity": "None"}, nil
}

// NetworkReservationOpts reserves a network, a VLAN, that is made by its name when
// the lease starts (resource type network, of Chameleon's Blazar alone).
type NetworkReservationOpts struct {
	Name, Description  string
	ResourceProperties string // an expression
}

// ToReservationCreateMap implements ReservationOptsBuilder.
func (opts NetworkReservationOpts) ToReservationCreateMap() (map[string]any, error) {
	if opts.Name == "" {
		return nil, gophercloud.ErrMissingInput{Argument: "Name"}
	}
	// All of them must be there, be they empty.
	return map[string]any{
		"resource_type":       "network",
		"network_name":        opts.Name,
		"network_description": opts.Description,
		"resource_properties": opts.ResourceProperties,
		"network_properties":  "",
	}, nil
}

// ReservedFlavor names the flavour that a reservation of virtual machines makes
// while its lease is active.
func ReservedFlavor(reservation string) string { return "reservation:" + reservation }

// Equal is the expression that a host's property has a value.
func Equal(property, value string) string { return expression("=", "$"+property, value) }

// Or is the expression that one of the expressions holds. It holds nothing
// when it is given nothing.
func Or(expressions ...string) string {
	if len(expressions) == 1 {
		return expressions[0]
	}
	list := []any{"or"}
	for _, e := range expressions {
		list = append(list, json.RawMessage(e))
	}
	return expression(list...)
}

func expression(list ...any) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings, and expressions made here
	}
	return string(b)
}

// CreateOptsBuilder allows extensions to add parameters to the Create request.
type CreateOptsBuilder interface {
	ToLeaseCreateMap() (map[string]any, error)
}

// CreateOpts describes a lease to create.
type CreateOpts struct {
	Name         string    // at most 80 characters
	StartDate    time.Time // now when zero; cut to the minute
	EndDate      time.Time // cut to the minute
	Reservations []ReservationOptsBuilder
}

// ToLeaseCreateMap formats a CreateOpts into a request body.
func (opts CreateOpts) ToLeaseCreateMap() (map[string]any, error) {
	switch {
	case opts.Name == "":
		return nil, gophercloud.ErrMissingInput{Argument: "Name"}
	case len([]rune(opts.Name)) > 80: // Blazar would answer a bare 500
		err := gophercloud.ErrInvalidInput{}
		err.Argument, err.Value = "Name", opts.Name
		return nil, err
	case opts.EndDate.IsZero():
		return nil, gophercloud.ErrMissingInput{Argument: "EndDate"}
	case len(opts.Reservations) == 0:
		return nil, gophercloud.ErrMissingInput{Argument: "Reservations"}
	}
	start := "now"
	if !opts.StartDate.IsZero() {
		start = opts.StartDate.UTC().Format(dateFormat)
	}
	reservations := make([]map[string]any, len(opts.Reservations))
	for i, r := range opts.Reservations {
		var err error
		if reservations[i], err = r.ToReservationCreateMap(); err != nil {
			return nil, err
		}
	}
	return map[string]any{
		"name":         opts.Name,
		"start_date":   start,
		"end_date":     opts.EndDate.UTC().Format(dateFormat),
		"reservations": reservations,
		"events":       []any{},
	}, nil
}

// Create makes a lease. It is not safe to repeat blindly: names are not unique.
func Create(ctx context.Context, client *gophercloud.ServiceClient, opts CreateOptsBuilder) (r CreateResult) {
	b, err := opts.ToLeaseCreateMap()
	if err != nil {
		r.Err = err
		return
	}
	resp, err := client.Post(ctx, rootURL(client), b, &r.Body, &gophercloud.RequestOpts{OkCodes: []int{201}}) //nolint:bodyclose // gophercloud closes it
	_, r.Header, r.Err = gophercloud.ParseResponse(resp, err)
	return
}

// Get retrieves a lease.
func Get(ctx context.Context, client *gophercloud.ServiceClient, id string) (r GetResult) {
	resp, err := client.Get(ctx, leaseURL(client, id), &r.Body, nil) //nolint:bodyclose // gophercloud closes it
	_, r.Header, r.Err = gophercloud.ParseResponse(resp, err)
	return
}

// UpdateOptsBuilder allows extensions to add parameters to the Update request.
type UpdateOptsBuilder interface {
	ToLeaseUpdateMap() (map[string]any, error)
}

// UpdateOpts changes a lease; zero fields are left as they are. The service
// knows no relative prolongation: give the new end.
type UpdateOpts struct {
	Name    string
	EndDate time.Time
}

// ToLeaseUpdateMap formats an UpdateOpts into a request body.
func (opts UpdateOpts) ToLeaseUpdateMap() (map[string]any, error) {
	b := map[string]any{}
	if opts.Name != "" {
		b["name"] = opts.Name
	}
	if !opts.EndDate.IsZero() {
		b["end_date"] = opts.EndDate.UTC().Format(dateFormat)
	}
	if len(b) == 0 {
		return nil, gophercloud.ErrMissingInput{Argument: "Name or EndDate"}
	}
	return b, nil
}

// Update changes a lease.
func Update(ctx context.Context, client *gophercloud.ServiceClient, id string, opts UpdateOptsBuilder) (r UpdateResult) {
	b, err := opts.ToLeaseUpdateMap()
	if err != nil {
		r.Err = err
		return
	}
	resp, err := client.Put(ctx, leaseURL(client, id), b, &r.Body, &gophercloud.RequestOpts{OkCodes: []int{200}}) //nolint:bodyclose // gophercloud closes it
	_, r.Header, r.Err = gophercloud.ParseResponse(resp, err)
	return
}

// Delete ends a lease and deletes it.
func Delete(ctx context.Context, client *gophercloud.ServiceClient, id string) (r DeleteResult) {
	resp, err := client.Delete(ctx, leaseURL(client, id), &gophercloud.RequestOpts{OkCodes: []int{204}}) //nolint:bodyclose // gophercloud closes it
	_, r.Header, r.Err = gophercloud.ParseResponse(resp, err)
	return
}
