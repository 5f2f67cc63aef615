package chameleon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"reprise/chameleon/leases"
)

// Provider leases platforms and gives them back.
type Provider struct {
	Cloud   *Cloud
	Records Records
	Now     func() time.Time
	Say     func(message string) // progress, a line at a time
	// Dial reaches the nodes; net.Dialer's when nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Poll is the pause between two looks at something that is under way; it
	// grows to ten times itself. The site's when zero.
	Poll time.Duration
	// Settle is how long after a request whose answer was lost the thing it
	// asked for may still appear. A minute when zero.
	Settle time.Duration
	// StartLimit is how long a lease may take to start, SSHLimit how long a
	// booted node may take to let us in. Ten minutes when zero.
	StartLimit, SSHLimit time.Duration
}

// UpOptions say how Up goes about it.
type UpOptions struct {
	Keep bool          // the deployment stays when the program ends
	Wait time.Duration // how long to wait for hardware that is booked
	// Lease is the id or name of a lease of the project whose hosts are used
	// instead of a lease made for this; it is not released.
	Lease string
}

// Up leases the plan's hosts, boots the image on them and waits until every
// node answers over SSH. What of it is there already is adopted. The caller
// holds the deployment until it calls Leave or Down. When Up fails or ctx is
// cancelled, everything is released, unless it was all there before; then it
// stays as it was.
func (p *Provider) Up(ctx context.Context, plan Plan, o UpOptions) (*Deployment, error) {
	d, err := p.Records.hold(plan.Name(p.Cloud.UserID, p.Cloud.ProjectID))
	if err != nil {
		return nil, err
	}
	adopted := d.Ready
	if borrow := o.Lease != ""; !d.Begun.IsZero() && d.Borrowed != borrow {
		err := &Error{Doing: "raise " + d.Name, Kind: Conflict, Detail: "it is there already, on another lease", Hint: "release it first with reprise down " + plan.Artifact + ":" + plan.Platform}
		return nil, errors.Join(err, d.Leave())
	}
	d.Borrowed = o.Lease != ""
	d.Artifact, d.Platform, d.Site, d.Flavor, d.Keep = plan.Artifact, plan.Platform, plan.Site.Name, plan.Flavor, d.Keep || o.Keep
	if d.Begun.IsZero() {
		d.Begun = p.Now().UTC()
	}
	if err := d.save(); err != nil {
		return nil, errors.Join(err, d.Leave())
	}
	if err := p.raise(ctx, d, plan, o); err != nil {
		if adopted {
			p.say("%s was there before and stays", d.Name)
			return nil, errors.Join(err, d.Leave())
		}
		p.say("releasing everything: %v", err)
		if left := p.release(d); left != nil {
			return nil, errors.Join(err, fmt.Errorf("not everything was released, run reprise chameleon cleanup: %w", left))
		}
		return nil, err
	}
	return d, nil
}

func (p *Provider) raise(ctx context.Context, d *Deployment, plan Plan, o UpOptions) (err error) {
	if plan.resolves() && o.Lease == "" {
		if plan, err = p.resolve(ctx, plan); err != nil {
			return err
		}
	}
	public, err := p.networkID(ctx, plan.Site.PublicNetwork)
	if err != nil {
		return err
	}
	private := ""
	if !plan.Isolated {
		if private, err = p.networkID(ctx, plan.Site.Network); err != nil {
			return err
		}
	}
	image, err := p.imageID(ctx, plan.Image)
	if err != nil {
		return err
	}
	flavor, err := p.flavorID(ctx, cmp.Or(plan.Flavor, plan.Site.Flavor))
	if err != nil {
		return err
	}
	lease, err := p.lease(ctx, d, plan, resources{public: public, flavor: flavor, network: d.Name}, o)
	if err != nil {
		return err
	}
	if err := p.keyPair(ctx, d); err != nil {
		return err
	}
	if plan.Isolated {
		if private, err = p.isolated(ctx, d, plan, lease, public); err != nil {
			return err
		}
	}
	opts := servers.CreateOpts{
		ImageRef: image, FlavorRef: flavor, Networks: []servers.Network{{UUID: private}},
		Metadata: map[string]string{"reprise": d.Name}, UserData: []byte(plan.UserData),
	}
	var hints servers.SchedulerHintOptsBuilder
	if plan.Flavor == "" {
		hints = servers.SchedulerHintOpts{AdditionalProperties: map[string]any{"reservation": reservationOf(lease, plan.resource())}}
	} else {
		if opts.FlavorRef, err = p.flavorID(ctx, leases.ReservedFlavor(reservationOf(lease, plan.resource()))); err != nil {
			return err
		}
		group, err := p.securityGroup(ctx, d, plan)
		if err != nil {
			return err
		}
		opts.SecurityGroups = []string{group}
	}
	booted := make([]servers.Server, plan.Count)
	for i := range booted {
		if booted[i], err = p.server(ctx, d, i, opts, hints); err != nil {
			return err
		}
	}
	for i := range booted {
		if booted[i], err = p.boot(ctx, booted[i], plan.Site.Boot); err != nil {
			return err
		}
	}
	var addresses []string
	if plan.Flavor == "" {
		addresses, err = p.reservedAddresses(ctx, booted, reservationOf(lease, "virtual:floatingip"))
	} else {
		addresses, err = p.ownAddresses(ctx, d, booted, public)
	}
	if err != nil {
		return err
	}
	before := d.Nodes
	d.Nodes = nil
	for i, s := range booted {
		m := Machine{Name: s.Name, Server: s.ID, Address: addresses[i], Port: plan.Site.SSHPort, User: plan.Site.User}
		port, err := p.portOf(ctx, s)
		if err != nil {
			return err
		}
		if len(port.FixedIPs) > 0 {
			m.Private = port.FixedIPs[0].IPAddress
		}
		m.HostKey = p.consoleKey(ctx, s.ID)
		m.Pinned = m.HostKey != ""
		if j := slices.IndexFunc(before, func(b Machine) bool { return b.Server == s.ID }); j >= 0 && !m.Pinned {
			m.HostKey, m.Pinned = before[j].HostKey, before[j].Pinned
		}
		if m, err = p.answer(ctx, d, m); err != nil {
			return err
		}
		d.Nodes = append(d.Nodes, m)
	}
	if err := d.writeConfig(); err != nil {
		return err
	}
	d.Ready, d.Unsettled = true, time.Time{}
	return d.save()
}

// sending records, durably, that something is about to be asked for. After a
// crash the record says for how long it may still appear.
func (p *Provider) sending(d *Deployment) error {
	d.Unsettled = p.Now().UTC()
	return d.save()
}

// settled takes the mark back once it is known what became of the request.
func settled(d *Deployment, err error) {
	if !lost(err) {
		d.Unsettled = time.Time{} // on disk with the next save; until then one is only more careful
	}
}

func (p *Provider) networkID(ctx context.Context, name string) (string, error) {
	doing := "find the network " + name
	pages, err := networks.List(p.Cloud.network, networks.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return "", p.Cloud.explain(doing, err)
	}
	list, err := networks.ExtractNetworks(pages)
	if err != nil {
		return "", p.Cloud.explain(doing, err)
	}
	if len(list) == 0 {
		return "", &Error{Doing: doing, Kind: Missing, Detail: fmt.Sprintf("%s shows project %s no network of that name", p.Cloud.Site.Name, p.Cloud.Project)}
	}
	return list[0].ID, nil
}

// imageID gives the newest image of a name.
func (p *Provider) imageID(ctx context.Context, name string) (string, error) {
	doing := "find the image " + name
	pages, err := images.List(p.Cloud.image, images.ListOpts{Name: name, Status: images.ImageStatusActive}).AllPages(ctx)
	if err != nil {
		return "", p.Cloud.explain(doing, err)
	}
	list, err := images.ExtractImages(pages)
	if err != nil {
		return "", p.Cloud.explain(doing, err)
	}
	if len(list) == 0 {
		return "", &Error{Doing: doing, Kind: Missing, Detail: p.Cloud.Site.Name + " has no image of that name", Hint: "CC-Ubuntu22.04 and CC-Ubuntu24.04 are on every site; images of older systems have been withdrawn"}
	}
	newest := slices.MaxFunc(list, func(a, b images.Image) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return newest.ID, nil
}

func (p *Provider) flavorID(ctx context.Context, name string) (string, error) {
	doing := "find the flavor " + name
	pages, err := flavors.ListDetail(p.Cloud.compute, nil).AllPages(ctx)
	if err != nil {
		return "", p.Cloud.explain(doing, err)
	}
	list, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return "", p.Cloud.explain(doing, err)
	}
	for _, f := range list {
		if f.Name == name {
			return f.ID, nil
		}
	}
	return "", &Error{Doing: doing, Kind: Missing, Detail: p.Cloud.Site.Name + " has no flavor of that name"}
}

// allLeases lists the project's leases.
func (p *Provider) allLeases(ctx context.Context) ([]leases.Lease, error) {
	pages, err := leases.List(p.Cloud.reservation).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain("list the leases", err)
	}
	all, err := leases.ExtractLeases(pages)
	return all, p.Cloud.explain("list the leases", err)
}

// ownLeases lists the leases of a name that this user made.
func (p *Provider) ownLeases(ctx context.Context, name string) ([]leases.Lease, error) {
	all, err := p.allLeases(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(l leases.Lease) bool {
		return l.Name != name || l.UserID != p.Cloud.UserID || l.ProjectID != p.Cloud.ProjectID
	}), nil
}

// resources are what a lease reserves, as the cloud knows it: ids, and the name of
// a network.
type resources struct{ public, flavor, network string }

// resource is the kind of resource that the plan's nodes are to Blazar.
func (p Plan) resource() string {
	if p.Flavor != "" {
		return "flavor:instance"
	}
	return "physical:host"
}

// kind is resource for people.
func (p Plan) kind() string {
	if p.Flavor != "" {
		return "virtual machines"
	}
	return "hosts"
}

// reservations are what the plan's lease reserves. The addresses of virtual
// machines are taken when there is something to give them to.
func (p Plan) reservations(r resources) []leases.ReservationOptsBuilder {
	list := []leases.ReservationOptsBuilder{
		leases.HostReservationOpts{Min: p.Count, Max: p.Count, ResourceProperties: p.properties()},
		leases.FloatingIPReservationOpts{NetworkID: r.public, Amount: p.Count},
	}
	if p.Flavor != "" {
		list = []leases.ReservationOptsBuilder{leases.FlavorReservationOpts{FlavorID: r.flavor, Amount: p.Count}}
	}
	if p.reservesNetwork() {
		o := leases.NetworkReservationOpts{Name: r.network, Description: "made by reprise"}
		if p.Site.PhysicalNetwork != "" {
			o.ResourceProperties = leases.Equal("physical_network", p.Site.PhysicalNetwork)
		}
		list = append(list, o)
	}
	return list
}

// reservesNetwork says that the lease brings a network of the plan's own.
func (p Plan) reservesNetwork() bool { return p.Isolated && p.Site.Isolated == "reserve" }

// lease finds or makes the deployment's lease and waits until it is active.
func (p *Provider) lease(ctx context.Context, d *Deployment, plan Plan, r resources, o UpOptions) (leases.Lease, error) {
	if o.Lease != "" {
		return p.borrow(ctx, d, plan, o.Lease)
	}
	there, err := p.liveLease(ctx, d.Name)
	if err != nil {
		return leases.Lease{}, err
	}
	if there == nil {
		if there, err = p.newLease(ctx, d, plan, r, o.Wait); err != nil {
			return leases.Lease{}, err
		}
	} else {
		if !plan.fits(*there, r) {
			return leases.Lease{}, &Error{Doing: "adopt the lease " + there.Name, Kind: Conflict, Detail: "it is of other hosts than those asked for", Hint: "release it first with reprise down " + plan.Artifact}
		}
		p.say("lease %s is there until %s", there.Name, clock(there.EndDate))
	}
	d.Lease, d.Starts, d.Ends = there.ID, there.StartDate, there.EndDate
	if err := d.save(); err != nil {
		return leases.Lease{}, err
	}
	return p.started(ctx, *there)
}

// borrow finds a lease of the project, whoever made it, that holds hosts and
// floating IPs enough for the plan and long enough.
func (p *Provider) borrow(ctx context.Context, d *Deployment, plan Plan, which string) (leases.Lease, error) {
	doing := "reuse the lease " + which
	all, err := p.allLeases(ctx)
	if err != nil {
		return leases.Lease{}, err
	}
	all = slices.DeleteFunc(all, func(l leases.Lease) bool { return l.ID != which && l.Name != which || !alive(l) })
	switch len(all) {
	case 1:
	case 0:
		return leases.Lease{}, &Error{Doing: doing, Kind: Missing, Detail: fmt.Sprintf("project %s has no lease of that id or name at %s that has not ended", p.Cloud.Project, plan.Site.Name), Hint: "reprise chameleon leases --site " + plan.Site.Name + " lists yours"}
	default:
		return leases.Lease{}, &Error{Doing: doing, Kind: Conflict, Detail: fmt.Sprintf("%d leases have that name", len(all)), Hint: "name it by its id"}
	}
	l := all[0]
	have := map[string]int{}
	for _, r := range l.Reservations {
		have[r.ResourceType] += max(r.Min, r.Amount)
	}
	switch {
	case have[plan.resource()] < plan.Count:
		return l, &Error{Doing: doing, Kind: Conflict, Detail: fmt.Sprintf("it has %d %s, and %d are needed", have[plan.resource()], plan.kind(), plan.Count)}
	case plan.Flavor == "" && have["virtual:floatingip"] < plan.Count:
		return l, &Error{Doing: doing, Kind: NoAddresses, Detail: fmt.Sprintf("it has %d floating IPs, and %d are needed", have["virtual:floatingip"], plan.Count)}
	case !l.EndDate.After(p.Now()):
		return l, &Error{Doing: doing, Kind: Limit, Detail: "it ended at " + clock(l.EndDate)}
	}
	if l.EndDate.Before(p.Now().Add(plan.Lease)) {
		p.say("warning: lease %s ends at %s, and the run may take until %s", l.Name, clock(l.EndDate), clock(p.Now().Add(plan.Lease)))
	}
	p.say("lease %s is reused until %s, and will not be released", l.Name, clock(l.EndDate))
	d.Lease, d.Starts, d.Ends = l.ID, l.StartDate, l.EndDate
	if err := d.save(); err != nil {
		return l, err
	}
	return p.started(ctx, l)
}

// alive says that a lease runs or will.
func alive(l leases.Lease) bool {
	switch l.Status {
	case leases.Terminated, leases.Terminating, leases.Deleting, leases.Error:
		return false
	}
	return true
}

// liveLease gives the lease of a name that runs or will; nil if there is none.
func (p *Provider) liveLease(ctx context.Context, name string) (*leases.Lease, error) {
	own, err := p.ownLeases(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, l := range own {
		if alive(l) {
			return &l, nil
		}
	}
	return nil, nil
}

func (p *Provider) newLease(ctx context.Context, d *Deployment, plan Plan, r resources, wait time.Duration) (*leases.Lease, error) {
	deadline := p.Now().Add(wait)
	var start time.Time // now
	for {
		begin := p.Now()
		if !start.IsZero() {
			begin = start
		}
		opts := leases.CreateOpts{Name: d.Name, StartDate: start, EndDate: begin.Truncate(time.Minute).Add(plan.Lease), Reservations: plan.reservations(r)}
		if err := p.sending(d); err != nil {
			return nil, err
		}
		made, err := leases.Create(ctx, p.Cloud.reservation, opts).Extract()
		err = p.Cloud.explain("create the lease", err)
		settled(d, err)
		if err == nil {
			p.say("lease %s made, until %s", made.Name, clock(made.EndDate))
			return made, nil
		}
		if lost(err) && ctx.Err() == nil {
			if there := p.appeared(ctx, d.Name); there != nil {
				p.say("the answer was lost, but the lease was made")
				return there, nil
			}
		}
		if KindOf(err) != NoHosts || wait == 0 {
			return nil, err
		}
		slot, none := p.earliest(ctx, plan)
		known := !slot.IsZero()
		switch {
		case none != nil:
			return nil, none
		case known && slot.After(deadline):
			return nil, &Error{Doing: "wait for hardware", Kind: NoHosts, Err: err, Detail: fmt.Sprintf("%d × %s are free for %s from %s on, later than --wait-for-hardware allows", plan.Count, plan.Hardware(), hoursText(plan.Lease), clock(slot)), Hint: "wait longer, or shorten the lease with --hours"}
		case known && slot.After(p.Now()) && !slot.Equal(start):
			p.say("%s is booked; the lease starts at %s", plan.Hardware(), clock(slot))
			start = slot
			continue
		case !p.Now().Before(deadline):
			return nil, &Error{Doing: "wait for hardware", Kind: NoHosts, Err: err, Detail: fmt.Sprintf("none of %s came free in %s", plan.Hardware(), wait), Hint: "wait longer, or try another node type or site"}
		}
		start = time.Time{}
		p.say("%s is booked; asking again until %s", plan.Hardware(), clock(deadline))
		if err := sleep(ctx, min(60*p.poll(), max(time.Millisecond, deadline.Sub(p.Now())))); err != nil {
			return nil, err
		}
	}
}

// fits says that a lease is of the plan's hosts or virtual machines.
func (p Plan) fits(l leases.Lease, want resources) bool {
	if p.reservesNetwork() != (reservationOf(l, "network") != "") {
		return false
	}
	return slices.ContainsFunc(l.Reservations, func(r leases.Reservation) bool {
		if p.Flavor != "" {
			return r.ResourceType == "flavor:instance" && r.Amount == p.Count && r.FlavorID == want.flavor
		}
		return r.ResourceType == "physical:host" && r.Min == p.Count && r.ResourceProperties == p.properties()
	})
}

// appeared looks, for as long as it may take to appear, for a lease whose
// answer was lost.
func (p *Provider) appeared(ctx context.Context, name string) *leases.Lease {
	var found *leases.Lease
	_ = p.wait(ctx, p.settle(), func(ctx context.Context) (bool, error) {
		l, err := p.liveLease(ctx, name)
		found = l
		return l != nil, err
	})
	return found
}

// started waits until a lease is active. One that begins later is waited for.
func (p *Provider) started(ctx context.Context, l leases.Lease) (leases.Lease, error) {
	status := ""
	limit := max(0, l.StartDate.Sub(p.Now())) + p.startLimit()
	err := p.wait(ctx, limit, func(ctx context.Context) (bool, error) {
		now, err := leases.Get(ctx, p.Cloud.reservation, l.ID).Extract()
		if err != nil {
			return false, p.Cloud.explain("look at the lease", err)
		}
		l = *now
		if l.Status != status {
			status = l.Status
			p.say("lease %s is %s", l.Name, status)
		}
		switch status {
		case leases.Active, leases.Updating:
			return true, nil
		case leases.Error, leases.Terminated, leases.Terminating, leases.Deleting:
			return false, &Error{Doing: "wait for the lease to start", Kind: Broken, Detail: "it is " + status + "; " + eventsText(l), Hint: "ask again; if it stays so, the site has a fault: help@chameleoncloud.org"}
		}
		return false, nil
	})
	if errors.Is(err, errWaited) {
		err = &Error{Doing: "wait for the lease to start", Kind: TimedOut, Detail: fmt.Sprintf("it is %s after %s; %s", l.Status, limit.Round(time.Second), eventsText(l))}
	}
	return l, err
}

func eventsText(l leases.Lease) string {
	var parts []string
	for _, e := range l.Events {
		parts = append(parts, e.Type+" "+e.Status)
	}
	for _, r := range l.Reservations {
		parts = append(parts, r.ResourceType+" "+r.Status)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func reservationOf(l leases.Lease, kind string) string {
	for _, r := range l.Reservations {
		if r.ResourceType == kind {
			return r.ID
		}
	}
	return ""
}

// keyPair makes a key for this deployment, unless it has one, and shows the
// cloud its public half.
func (p *Provider) keyPair(ctx context.Context, d *Deployment) error {
	public, err := d.publicKey()
	if err != nil {
		return err
	}
	have, err := keypairs.Get(ctx, p.Cloud.compute, d.Name, nil).Extract()
	err = p.Cloud.explain("look for the key pair", err)
	if err == nil && sameKey(have.PublicKey, public) {
		return nil
	}
	if err == nil { // of a deployment whose record is gone
		own, err := p.ownServers(ctx, d.Name)
		if err != nil {
			return err
		}
		if len(own) > 0 {
			return &Error{Doing: "adopt " + d.Name, Kind: Conflict, Detail: "it was made on another machine, which has its key", Hint: "use it from there, or release it with reprise chameleon cleanup --all"}
		}
		if err := p.Cloud.explain("replace the key pair", keypairs.Delete(ctx, p.Cloud.compute, d.Name, nil).ExtractErr()); err != nil && KindOf(err) != Missing {
			return err
		}
	} else if KindOf(err) != Missing {
		return err
	}
	if err := p.sending(d); err != nil {
		return err
	}
	_, err = keypairs.Create(ctx, p.Cloud.compute, keypairs.CreateOpts{Name: d.Name, PublicKey: public}).Extract()
	err = p.Cloud.explain("create the key pair", err)
	settled(d, err)
	return err
}

// ownServers lists the instances of a deployment, those already going too.
func (p *Provider) ownServers(ctx context.Context, name string) ([]servers.Server, error) {
	pages, err := servers.List(p.Cloud.compute, servers.ListOpts{Name: "^" + name}).AllPages(ctx)
	if err != nil {
		return nil, p.Cloud.explain("list the instances", err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return nil, p.Cloud.explain("list the instances", err)
	}
	return slices.DeleteFunc(all, func(s servers.Server) bool {
		return !strings.HasPrefix(s.Name, name+"-") || s.UserID != p.Cloud.UserID || s.TenantID != p.Cloud.ProjectID
	}), nil
}

// server finds or creates the i-th instance.
func (p *Provider) server(ctx context.Context, d *Deployment, i int, opts servers.CreateOpts, hints servers.SchedulerHintOptsBuilder) (servers.Server, error) {
	opts.Name = fmt.Sprintf("%s-%d", d.Name, i)
	return ensure(ctx, p, d, "create the instance "+opts.Name, func(ctx context.Context) (servers.Server, bool, error) {
		own, err := p.ownServers(ctx, d.Name)
		for _, s := range own {
			if s.Name == opts.Name && s.Status != "DELETED" && s.Status != "ERROR" {
				return s, true, err
			}
		}
		return servers.Server{}, false, err
	}, func(ctx context.Context) (servers.Server, error) {
		made, err := servers.Create(ctx, p.Cloud.compute, keypairs.CreateOptsExt{CreateOptsBuilder: opts, KeyName: d.Name}, hints).Extract()
		if err != nil {
			return servers.Server{}, err
		}
		made.Name = opts.Name // the answer to a creation has the id alone
		return *made, nil
	})
}

// ensure finds something of a deployment, or makes it. Where the answer to the
// request that makes it is lost, it is looked for as long as it may appear.
func ensure[T any](ctx context.Context, p *Provider, d *Deployment, doing string,
	find func(context.Context) (T, bool, error), create func(context.Context) (T, error)) (T, error) {
	thing, there, err := find(ctx)
	if err != nil || there {
		return thing, err
	}
	if err := p.sending(d); err != nil {
		return thing, err
	}
	thing, err = create(ctx)
	err = p.Cloud.explain(doing, err)
	settled(d, err)
	patience := p.settle()
	switch kind := KindOf(err); {
	case err == nil || ctx.Err() != nil:
		return thing, err
	case kind == Invalid, kind == Conflict: // perhaps as it was carried out the first time
		patience = 0
	case !lost(err):
		return thing, err
	}
	found := p.wait(ctx, patience, func(ctx context.Context) (there bool, err error) {
		thing, there, err = find(ctx)
		return there, err
	})
	if found == nil {
		return thing, nil
	}
	return thing, err
}

// boot waits until an instance is active.
func (p *Provider) boot(ctx context.Context, s servers.Server, limit time.Duration) (servers.Server, error) {
	name, status := s.Name, ""
	doing := "boot " + name
	err := p.wait(ctx, limit, func(ctx context.Context) (bool, error) {
		now, err := servers.Get(ctx, p.Cloud.compute, s.ID).Extract()
		if err != nil {
			return false, p.Cloud.explain(doing, err)
		}
		s = *now
		if s.Status != status {
			status = s.Status
			p.say("%s is %s", name, status)
		}
		switch status {
		case "ACTIVE":
			return true, nil
		case "ERROR", "DELETED", "SOFT_DELETED":
			e := &Error{Doing: doing, Kind: Broken, Detail: fmt.Sprintf("the instance is %s: %s", status, s.Fault.Message)}
			if strings.Contains(s.Fault.Message, "No valid host") {
				e.Hint = "no reserved host was free to take it: is the lease still active?"
			}
			e.Detail += p.consoleTail(ctx, s.ID)
			return false, e
		}
		return false, nil
	})
	if errors.Is(err, errWaited) {
		err = &Error{Doing: doing, Kind: TimedOut, Detail: fmt.Sprintf("it is %s after %s%s", status, limit, p.consoleTail(ctx, s.ID))}
	}
	return s, err
}

func (p *Provider) console(ctx context.Context, id string, lines int) string {
	text, err := servers.ShowConsoleOutput(ctx, p.Cloud.compute, id, servers.ShowConsoleOutputOpts{Length: lines}).Extract()
	if err != nil {
		return "" // not every host keeps one
	}
	return text
}

// consoleTail is the end of the console's log, to be added to a message.
func (p *Provider) consoleTail(ctx context.Context, id string) string {
	text := strings.TrimSpace(p.console(ctx, id, 20))
	if text == "" {
		return ""
	}
	return "\nend of its console log:\n  " + strings.ReplaceAll(printable(text), "\n", "\n  ")
}

// printable drops the control characters of a console log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// reservedAddresses gives every instance one of the reserved floating IPs.
func (p *Provider) reservedAddresses(ctx context.Context, booted []servers.Server, reservation string) ([]string, error) {
	doing := "find the reserved floating IPs"
	var reserved []floatingips.FloatingIP
	err := p.wait(ctx, p.startLimit(), func(ctx context.Context) (bool, error) {
		pages, err := floatingips.List(p.Cloud.network, floatingips.ListOpts{Tags: "reservation:" + reservation}).AllPages(ctx)
		if err != nil {
			return false, p.Cloud.explain(doing, err)
		}
		if reserved, err = floatingips.ExtractFloatingIPs(pages); err != nil {
			return false, p.Cloud.explain(doing, err)
		}
		return len(reserved) >= len(booted), nil
	})
	if errors.Is(err, errWaited) {
		err = &Error{Doing: doing, Kind: NoAddresses, Detail: fmt.Sprintf("%d of %d have come", len(reserved), len(booted))}
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(reserved, func(a, b floatingips.FloatingIP) int { return strings.Compare(a.FloatingIP, b.FloatingIP) })
	given := make([]string, len(booted))
	var free []floatingips.FloatingIP
	port := make([]string, len(booted))
	for i, s := range booted {
		its, err := p.portOf(ctx, s)
		if err != nil {
			return nil, err
		}
		port[i] = its.ID
	}
	for _, f := range reserved {
		if i := slices.Index(port, f.PortID); f.PortID != "" && i >= 0 {
			given[i] = f.FloatingIP
		} else {
			free = append(free, f)
		}
	}
	for i, s := range booted {
		if given[i] != "" {
			continue
		}
		f := free[0]
		free = free[1:]
		if _, err := floatingips.Update(ctx, p.Cloud.network, f.ID, floatingips.UpdateOpts{PortID: &port[i]}).Extract(); err != nil {
			return nil, p.Cloud.explain("give "+s.Name+" the address "+f.FloatingIP, err)
		}
		given[i] = f.FloatingIP
		p.say("%s has the address %s", s.Name, f.FloatingIP)
	}
	return given, nil
}

func (p *Provider) portOf(ctx context.Context, s servers.Server) (ports.Port, error) {
	doing := "find the port of " + s.Name
	pages, err := ports.List(p.Cloud.network, ports.ListOpts{DeviceID: s.ID}).AllPages(ctx)
	if err != nil {
		return ports.Port{}, p.Cloud.explain(doing, err)
	}
	list, err := ports.ExtractPorts(pages)
	if err != nil {
		return ports.Port{}, p.Cloud.explain(doing, err)
	}
	if len(list) == 0 {
		return ports.Port{}, &Error{Doing: doing, Kind: Broken, Detail: "the instance is attached to no network"}
	}
	return list[0], nil
}

var errWaited = errors.New("waited as long as allowed")

// wait looks until done says true or an error, at most for limit.
func (p *Provider) wait(ctx context.Context, limit time.Duration, done func(context.Context) (bool, error)) error {
	pause := p.poll()
	for end := p.Now().Add(limit); ; pause = min(pause*3/2, 10*p.poll()) {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		if !p.Now().Before(end) {
			return errWaited
		}
		if err := sleep(ctx, min(pause, max(time.Millisecond, end.Sub(p.Now())))); err != nil {
			return err
		}
	}
}

func (p *Provider) say(format string, args ...any) {
	if p.Say != nil {
		p.Say(fmt.Sprintf(format, args...))
	}
}

func (p *Provider) poll() time.Duration       { return orDefault(p.Poll, p.Cloud.Site.Poll) }
func (p *Provider) settle() time.Duration     { return orDefault(p.Settle, time.Minute) }
func (p *Provider) startLimit() time.Duration { return orDefault(p.StartLimit, 10*time.Minute) }
func (p *Provider) sshLimit() time.Duration   { return orDefault(p.SSHLimit, 10*time.Minute) }

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
