package chameleon

import (
	"context"
	"fmt"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
)

// Finding is what one check of a login came to.
type Finding struct {
	What string
	Err  error // nil: it works
}

// String says it in a line.
func (f Finding) String() string {
	if f.Err != nil {
		return f.What + ": " + f.Err.Error()
	}
	return f.What
}

// Check logs in and asks each service that Up needs one question that changes
// nothing.
func Check(ctx context.Context, site Site, c Credentials, conn Connection) []Finding {
	cloud, err := Login(ctx, site, c, conn)
	if err != nil {
		return []Finding{{What: c.From, Err: err}}
	}
	list := []Finding{{What: fmt.Sprintf("%s: %s in project %s at %s, roles %s", c.From, cloud.User, cloud.Project, site.Name, strings.Join(cloud.Roles, ", "))}}
	p := &Provider{Cloud: cloud}
	add := func(what string, err error) { list = append(list, Finding{What: what, Err: err}) }
	if site.Leases == "none" {
		return list
	}
	_, err = p.ownLeases(ctx, "")
	add("leases (Blazar)", err)
	if site.Leases == "hosts" {
		_, err = p.flavorID(ctx, site.Flavor)
		add("flavor "+site.Flavor+" (Nova)", err)
	} else {
		_, err = p.ownGroups(ctx, func(string) bool { return true })
		add("security groups (Neutron)", err)
	}
	_, err = p.ownServers(ctx, "reprise")
	add("instances (Nova)", err)
	_, err = keypairs.List(cloud.compute, nil).AllPages(ctx)
	add("key pairs (Nova)", cloud.explain("list the key pairs", err))
	_, err = p.imageID(ctx, "CC-Ubuntu22.04")
	add("images (Glance)", err)
	for _, name := range []string{site.Network, site.PublicNetwork} {
		_, err = p.networkID(ctx, name)
		add("network "+name+" (Neutron)", err)
	}
	if c.ApplicationCredential() {
		add("application credential: whether it is unrestricted, which a lease needs, shows only when a lease is made", nil)
	}
	return list
}
