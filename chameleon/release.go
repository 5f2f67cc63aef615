package chameleon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"reprise/chameleon/leases"
)

// releaseLimit is how long giving everything back may take. It is more than a
// faulty service needs, as what is left costs money.
const releaseLimit = 15 * time.Minute

// Down releases everything a held deployment has, and its record. It does not
// stop when a run is cancelled: giving back is what there is left to do then.
func (p *Provider) Down(d *Deployment) error {
	p.say("releasing %s", d.Name)
	return p.release(d)
}

// Release is Down for a deployment by name, which nobody holds. It works from
// what the services say, record or none.
func (p *Provider) Release(name string) error {
	d, err := p.Records.hold(name)
	if err != nil {
		return err
	}
	return p.Down(d)
}

func (p *Provider) release(d *Deployment) error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
	defer cancel()
	if err := p.empty(ctx, d); err != nil {
		return errors.Join(err, d.Leave())
	}
	return d.remove()
}

// empty deletes whatever there is of a name until the services know of nothing
// and nothing can appear any more.
func (p *Provider) empty(ctx context.Context, d *Deployment) error {
	failures := 0
	err := p.wait(ctx, releaseLimit, func(ctx context.Context) (bool, error) {
		left, err := p.sweep(ctx, d.Name, !d.Borrowed)
		if err != nil {
			// A service in trouble may recover; one that refuses will not.
			if failures++; failures < attempts && (lost(err) || KindOf(err) == Busy) {
				return false, nil
			}
			return false, err
		}
		failures = 0
		return left == 0 && !p.Now().Before(d.Unsettled.Add(p.settle())), nil
	})
	if errors.Is(err, errWaited) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Doing: "release " + d.Name, Kind: TimedOut, Detail: "something is left after " + releaseLimit.String(), Hint: "run reprise chameleon cleanup later"}
	}
	return err
}

// sweep asks for the deletion of all there is of a name, of its lease only when
// leased is set, and counts it. What
// one service refuses does not keep the others from being asked; the lease is
// what costs most, and takes the instances with it.
func (p *Provider) sweep(ctx context.Context, name string, leased bool) (left int, err error) {
	var errs []error
	tried := func(doing string, err error) {
		if err = p.Cloud.explain(doing, err); err != nil && KindOf(err) != Missing && KindOf(err) != Conflict {
			errs = append(errs, err)
		}
	}
	instances, err := p.ownServers(ctx, name)
	if err != nil {
		errs = append(errs, err)
	}
	left += len(instances)
	for _, s := range instances {
		tried("delete the instance "+s.Name, servers.Delete(ctx, p.Cloud.compute, s.ID).ExtractErr())
	}
	var own []leases.Lease
	if leased {
		if own, err = p.ownLeases(ctx, name); err != nil {
			errs = append(errs, err)
		}
	}
	// A network that a lease has brought goes with it.
	reserved := slices.ContainsFunc(own, func(l leases.Lease) bool { return reservationOf(l, "network") != "" })
	connected, err := p.sweepNetwork(ctx, name, reserved, tried)
	if err != nil {
		errs = append(errs, err)
	}
	left += len(own) + connected
	// A lease of instances that are going by themselves waits for them, so
	// that two deletions do not meet on the host; one with a network, until
	// nothing is on that.
	if len(instances) == 0 && (connected == 0 || !reserved) || len(errs) > 0 {
		for _, l := range own {
			if l.Status != leases.Deleting {
				tried("delete the lease "+l.Name, leases.Delete(ctx, p.Cloud.reservation, l.ID).ExtractErr())
			}
		}
	}
	switch _, err := keypairs.Get(ctx, p.Cloud.compute, name, nil).Extract(); KindOf(p.Cloud.explain("", err)) {
	case "":
		left++
		tried("delete the key pair "+name, keypairs.Delete(ctx, p.Cloud.compute, name, nil).ExtractErr())
	case Missing:
	default:
		errs = append(errs, p.Cloud.explain("look for the key pair "+name, err))
	}
	return left, errors.Join(errs...)
}

// sweepNetwork is the part of sweep that concerns the network service. What is
// in use still is refused there until the instances have gone; a reserved network
// is left to its lease, with nothing on it.
func (p *Provider) sweepNetwork(ctx context.Context, name string, reserved bool, tried func(string, error)) (left int, err error) {
	named := func(other string) bool { return other == name }
	addresses, err := p.ownFloating(ctx, named)
	for _, f := range addresses {
		left++
		tried("give back the address "+f.FloatingIP, floatingips.Delete(ctx, p.Cloud.network, f.ID).ExtractErr())
	}
	errs := []error{err}
	routed, err := p.ownRouters(ctx, named)
	errs = append(errs, err)
	for _, r := range routed {
		left++
		ids, err := p.attached(ctx, r.ID)
		errs = append(errs, err)
		for _, id := range ids {
			_, err := routers.RemoveInterface(ctx, p.Cloud.network, r.ID, routers.RemoveInterfaceOpts{SubnetID: id}).Extract()
			tried("take the subnet off the router", err)
		}
		tried("delete the router "+r.Name, routers.Delete(ctx, p.Cloud.network, r.ID).ExtractErr())
	}
	made, err := p.ownNetworks(ctx, named)
	errs = append(errs, err)
	for _, n := range made {
		ids, err := p.subnets(ctx, n.ID)
		errs = append(errs, err)
		for _, id := range ids {
			left++
			tried("delete the subnet", subnets.Delete(ctx, p.Cloud.network, id).ExtractErr())
		}
		if !reserved {
			left++
			tried("delete the network "+n.Name, networks.Delete(ctx, p.Cloud.network, n.ID).ExtractErr())
		}
	}
	security, err := p.ownGroups(ctx, named)
	errs = append(errs, err)
	for _, g := range security {
		left++
		tried("delete the security group "+g.Name, groups.Delete(ctx, p.Cloud.network, g.ID).ExtractErr())
	}
	return left, errors.Join(errs...)
}

// Leftover is something of ours on the cloud.
type Leftover struct {
	Name   string `json:"name"`
	Lease  string `json:"lease,omitempty"` // its state
	Ends   string `json:"ends,omitempty"`  // of the lease
	Things int    `json:"things"`          // leases, instances, key pairs, …
	Why    string `json:"why"`             // what this machine knows of it
	Orphan bool   `json:"orphan"`          // nobody uses it or wants it kept
	ends   time.Time
}

// Leftovers lists what this user's reprise has made in the project: by its
// name on the cloud, wherever it was made, and by the records of this machine.
func (p *Provider) Leftovers(ctx context.Context) ([]Leftover, error) {
	found := map[string]*Leftover{}
	ending := "-" + owner(p.Cloud.UserID, p.Cloud.ProjectID)
	add := func(name string) *Leftover {
		l := found[name]
		if l == nil {
			l = &Leftover{Name: name, Why: "made on another machine"}
			found[name] = l
		}
		return l
	}
	ours := func(name string) bool { return strings.HasPrefix(name, prefix) && strings.HasSuffix(name, ending) }

	records, held, err := p.Records.List()
	if err != nil {
		return nil, err
	}
	for i, d := range records {
		if !ours(d.Name) || d.Site != p.Cloud.Site.Name {
			continue
		}
		l := add(d.Name)
		switch {
		case held[i]:
			l.Why = "in use by a running reprise"
		case d.Ready && d.Keep:
			l.Why = "kept; reprise down releases it"
		default:
			l.Why, l.Orphan = "its reprise ended without releasing it", true
		}
	}
	all, err := p.allLeases(ctx)
	if err != nil {
		return nil, err
	}
	for _, lease := range all {
		if ours(lease.Name) && lease.UserID == p.Cloud.UserID {
			l := add(lease.Name)
			l.Things++
			l.Lease, l.ends, l.Ends = lease.Status, lease.EndDate, clock(lease.EndDate)
		}
	}
	instances, err := p.ownServers(ctx, strings.TrimSuffix(prefix, "-"))
	if err != nil {
		return nil, err
	}
	for _, s := range instances {
		if i := strings.LastIndexByte(s.Name, '-'); i >= 0 && ours(s.Name[:i]) {
			add(s.Name[:i]).Things++
		}
	}
	keyPages, err := keypairs.List(p.Cloud.compute, nil).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain("list the key pairs", err)
	}
	keys, err := keypairs.ExtractKeyPairs(keyPages)
	if err != nil {
		return nil, p.Cloud.explain("list the key pairs", err)
	}
	for _, k := range keys {
		if ours(k.Name) {
			add(k.Name).Things++
		}
	}
	addresses, err := p.ownFloating(ctx, ours)
	if err != nil {
		return nil, err
	}
	for _, f := range addresses {
		add(f.Description).Things++
	}
	security, err := p.ownGroups(ctx, ours)
	if err != nil {
		return nil, err
	}
	for _, g := range security {
		add(g.Name).Things++
	}
	made, err := p.ownNetworks(ctx, ours)
	if err != nil {
		return nil, err
	}
	for _, n := range made {
		add(n.Name).Things++
	}
	routed, err := p.ownRouters(ctx, ours)
	if err != nil {
		return nil, err
	}
	for _, r := range routed {
		add(r.Name).Things++
	}
	var list []Leftover
	for _, l := range found {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Leftover) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Cleanup releases the orphans; with all also what is kept, and what was made
// on other machines. What a running reprise uses always stays.
func (p *Provider) Cleanup(ctx context.Context, all bool) (released []string, err error) {
	list, err := p.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, l := range list {
		if !l.Orphan && !all {
			continue
		}
		if err := ctx.Err(); err != nil {
			return released, errors.Join(append(errs, context.Cause(ctx))...)
		}
		p.say("releasing %s (%s)", l.Name, l.Why)
		switch err := p.Release(l.Name); {
		case errors.Is(err, ErrInUse):
			p.say("%v", err)
		case err != nil:
			errs = append(errs, fmt.Errorf("release %s: %w", l.Name, err))
		default:
			released = append(released, l.Name)
		}
	}
	return released, errors.Join(errs...)
}
