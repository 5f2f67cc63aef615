package leases

import "github.com/gophercloud/gophercloud/v2"

func rootURL(c *gophercloud.ServiceClient) string { return c.ServiceURL("leases") }

func leaseURL(c *gophercloud.ServiceClient, id string) string { return c.ServiceURL("leases", id) }
