package chameleon

import (
	"context"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
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
		port, err := p.portOf(ctx, s)
		if err != nil {
			return nil, err
		}
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
