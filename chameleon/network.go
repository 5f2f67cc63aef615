package chameleon

import (
	"context"
	"errors"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"reprise/chameleon/leases"
)

// rules are what the plan's security group lets in: SSH, and the plan's
// machines each other, as whole hosts on one network can.
func (p Plan) rules(group string) []rules.CreateOpts {
	return []rules.CreateOpts{
		{Direction: rules.DirIngress, EtherType: rules.EtherType4, Protocol: rules.ProtocolTCP, PortRangeMin: p.Site.SSHPort, PortRangeMax: p.Site.SSHPort, SecGroupID: group, Description: "SSH from anywhere"},
		{Direction: rules.DirIngress, EtherType: rules.EtherType4, RemoteGroupID: group, SecGroupID: group, Description: "the other nodes"},
	}
}

// ownGroups lists the project's security groups whose name is wanted.
func (p *Provider) ownGroups(ctx context.Context, wanted func(string) bool) ([]groups.SecGroup, error) {
	const doing = "list the security groups"
	pages, err := groups.List(p.Cloud.network, groups.ListOpts{ProjectID: p.Cloud.ProjectID}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain(doing, err)
	}
	all, err := groups.ExtractGroups(pages)
	return slices.DeleteFunc(all, func(g groups.SecGroup) bool { return !wanted(g.Name) }), p.Cloud.explain(doing, err)
}

// securityGroup finds or makes the deployment's security group, with its rules,
// and gives its id.
func (p *Provider) securityGroup(ctx context.Context, d *Deployment, plan Plan) (string, error) {
	find := func(ctx context.Context) (groups.SecGroup, bool, error) {
		own, err := p.ownGroups(ctx, func(name string) bool { return name == d.Name })
		if err != nil || len(own) == 0 {
			return groups.SecGroup{}, false, err
		}
		return own[0], true, nil
	}
	g, err := ensure(ctx, p, d, "create the security group", find, func(ctx context.Context) (groups.SecGroup, error) {
		made, err := groups.Create(ctx, p.Cloud.network, groups.CreateOpts{Name: d.Name, Description: "made by reprise"}).Extract()
		if err != nil {
			return groups.SecGroup{}, err
		}
		return *made, nil
	})
	if err != nil {
		return "", err
	}
	for _, want := range plan.rules(g.ID) {
		_, err := ensure(ctx, p, d, "let in "+want.Description, func(ctx context.Context) (rules.SecGroupRule, bool, error) {
			g, there, err := find(ctx)
			if err != nil || !there {
				return rules.SecGroupRule{}, false, err
			}
			i := slices.IndexFunc(g.Rules, func(r rules.SecGroupRule) bool {
				return r.Direction == string(want.Direction) && r.Protocol == string(want.Protocol) && r.PortRangeMin == want.PortRangeMin && r.RemoteGroupID == want.RemoteGroupID
			})
			return rules.SecGroupRule{}, i >= 0, nil
		}, func(ctx context.Context) (rules.SecGroupRule, error) {
			_, err := rules.Create(ctx, p.Cloud.network, want).Extract()
			return rules.SecGroupRule{}, err
		})
		if err != nil {
			return "", err
		}
	}
	return g.ID, nil
}

// isolatedRange is the address range of a network made for a deployment.
const isolatedRange = "192.168.144.0/24"

// ownNetworks lists the project's networks whose name is wanted.
func (p *Provider) ownNetworks(ctx context.Context, wanted func(string) bool) ([]networks.Network, error) {
	const doing = "list the networks"
	pages, err := networks.List(p.Cloud.network, networks.ListOpts{ProjectID: p.Cloud.ProjectID}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain(doing, err)
	}
	all, err := networks.ExtractNetworks(pages)
	return slices.DeleteFunc(all, func(n networks.Network) bool { return !wanted(n.Name) }), p.Cloud.explain(doing, err)
}

// ownRouters lists the project's routers whose name is wanted.
func (p *Provider) ownRouters(ctx context.Context, wanted func(string) bool) ([]routers.Router, error) {
	const doing = "list the routers"
	pages, err := routers.List(p.Cloud.network, routers.ListOpts{ProjectID: p.Cloud.ProjectID}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain(doing, err)
	}
	all, err := routers.ExtractRouters(pages)
	return slices.DeleteFunc(all, func(r routers.Router) bool { return !wanted(r.Name) }), p.Cloud.explain(doing, err)
}

// subnets lists the ids of a network's subnets.
func (p *Provider) subnets(ctx context.Context, network string) ([]string, error) {
	const doing = "list the subnets"
	pages, err := subnets.List(p.Cloud.network, subnets.ListOpts{NetworkID: network}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain(doing, err)
	}
	all, err := subnets.ExtractSubnets(pages)
	var ids []string
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids, p.Cloud.explain(doing, err)
}

// attached lists the ids of the subnets that a router serves.
func (p *Provider) attached(ctx context.Context, router string) ([]string, error) {
	const doing = "list the ports of the router"
	pages, err := ports.List(p.Cloud.network, ports.ListOpts{DeviceID: router}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain(doing, err)
	}
	all, err := ports.ExtractPorts(pages)
	var ids []string
	for _, port := range all {
		if port.DeviceOwner == "network:router_gateway" {
			continue
		}
		for _, at := range port.FixedIPs {
			ids = append(ids, at.SubnetID)
		}
	}
	return ids, p.Cloud.explain(doing, err)
}

// isolated finds or makes the deployment's network, with a subnet and a router to
// the public network, and gives its id. A network that the lease brings is waited
// for.
func (p *Provider) isolated(ctx context.Context, d *Deployment, plan Plan, lease leases.Lease, public string) (string, error) {
	find := func(ctx context.Context) (id string, there bool, err error) {
		own, err := p.ownNetworks(ctx, func(name string) bool { return name == d.Name })
		if err != nil || len(own) == 0 {
			return "", false, err
		}
		return own[0].ID, true, nil
	}
	var network string
	var err error
	if plan.reservesNetwork() && !d.Borrowed {
		err = p.wait(ctx, p.startLimit(), func(ctx context.Context) (there bool, err error) {
			network, there, err = find(ctx)
			return there, err
		})
		if errors.Is(err, errWaited) {
			err = &Error{Doing: "find the network of the lease " + lease.Name, Kind: TimedOut, Detail: "it has not come; " + eventsText(lease)}
		}
	} else {
		network, err = ensure(ctx, p, d, "create the network", find, func(ctx context.Context) (string, error) {
			made, err := networks.Create(ctx, p.Cloud.network, networks.CreateOpts{Name: d.Name, Description: "made by reprise"}).Extract()
			if err != nil {
				return "", err
			}
			return made.ID, nil
		})
	}
	if err != nil {
		return "", err
	}
	subnet, err := ensure(ctx, p, d, "create the subnet", func(ctx context.Context) (string, bool, error) {
		ids, err := p.subnets(ctx, network)
		if err != nil || len(ids) == 0 {
			return "", false, err
		}
		return ids[0], true, nil
	}, func(ctx context.Context) (string, error) {
		made, err := subnets.Create(ctx, p.Cloud.network, subnets.CreateOpts{
			NetworkID: network, Name: d.Name, CIDR: isolatedRange, IPVersion: gophercloud.IPv4, DNSNameservers: plan.Site.DNS,
		}).Extract()
		if err != nil {
			return "", err
		}
		return made.ID, nil
	})
	if err != nil {
		return "", err
	}
	router, err := ensure(ctx, p, d, "create the router", func(ctx context.Context) (string, bool, error) {
		own, err := p.ownRouters(ctx, func(name string) bool { return name == d.Name })
		if err != nil || len(own) == 0 {
			return "", false, err
		}
		return own[0].ID, true, nil
	}, func(ctx context.Context) (string, error) {
		made, err := routers.Create(ctx, p.Cloud.network, routers.CreateOpts{Name: d.Name, GatewayInfo: &routers.GatewayInfo{NetworkID: public}}).Extract()
		if err != nil {
			return "", err
		}
		return made.ID, nil
	})
	if err != nil {
		return "", err
	}
	_, err = ensure(ctx, p, d, "put the subnet on the router", func(ctx context.Context) (string, bool, error) {
		ids, err := p.attached(ctx, router)
		return "", slices.Contains(ids, subnet), err
	}, func(ctx context.Context) (string, error) {
		_, err := routers.AddInterface(ctx, p.Cloud.network, router, routers.AddInterfaceOpts{SubnetID: subnet}).Extract()
		return "", err
	})
	return network, err
}

// ownFloating lists the project's floating IPs that were taken for a deployment:
// its name is their description.
func (p *Provider) ownFloating(ctx context.Context, wanted func(string) bool) ([]floatingips.FloatingIP, error) {
	const doing = "list the floating IPs"
	pages, err := floatingips.List(p.Cloud.network, floatingips.ListOpts{ProjectID: p.Cloud.ProjectID}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain(doing, err)
	}
	all, err := floatingips.ExtractFloatingIPs(pages)
	return slices.DeleteFunc(all, func(f floatingips.FloatingIP) bool { return !wanted(f.Description) }), p.Cloud.explain(doing, err)
}

// ownAddresses gives every instance a floating IP taken for it.
func (p *Provider) ownAddresses(ctx context.Context, d *Deployment, booted []servers.Server, public string) ([]string, error) {
	var given []string
	for _, s := range booted {
		its, err := p.portOf(ctx, s)
		if err != nil {
			return nil, err
		}
		port := its.ID
		f, err := ensure(ctx, p, d, "take a floating IP for "+s.Name, func(ctx context.Context) (floatingips.FloatingIP, bool, error) {
			own, err := p.ownFloating(ctx, func(description string) bool { return description == d.Name })
			if i := slices.IndexFunc(own, func(f floatingips.FloatingIP) bool { return f.PortID == port }); err == nil && i >= 0 {
				return own[i], true, nil
			}
			return floatingips.FloatingIP{}, false, err
		}, func(ctx context.Context) (floatingips.FloatingIP, error) {
			made, err := floatingips.Create(ctx, p.Cloud.network, floatingips.CreateOpts{FloatingNetworkID: public, PortID: port, Description: d.Name}).Extract()
			if err != nil {
				return floatingips.FloatingIP{}, err
			}
			p.say("%s has the address %s", s.Name, made.FloatingIP)
			return *made, nil
		})
		if err != nil {
			return nil, err
		}
		given = append(given, f.FloatingIP)
	}
	return given, nil
}
