package chameleon

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/chameleon/cloudtest"
)

// bed is a test site with a login to it.
type bed struct {
	*cloudtest.Cloud
	sites []Site
	dir   string // of the records
	creds Credentials

	mu   sync.Mutex
	said []string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{Cloud: cloudtest.New(), dir: t.TempDir()}
	t.Cleanup(b.Close)
	require.NoError(t, b.ServeSSH())
	var err error
	b.sites, err = Sites(strings.NewReader(b.SitesYAML()))
	require.NoError(t, err)
	clouds := filepath.Join(t.TempDir(), "clouds.yaml")
	require.NoError(t, os.WriteFile(clouds, []byte(b.CloudsYAML()), 0o600))
	site, err := FindSite(b.sites, "CHI@Test")
	require.NoError(t, err)
	b.creds, err = FindCredentials(site, "", func(name string) string {
		return map[string]string{"OS_CLIENT_CONFIG_FILE": clouds}[name]
	})
	require.NoError(t, err)
	return b
}

func (b *bed) provider(t *testing.T) *Provider { return b.at(t, "CHI@Test") }

func (b *bed) at(t *testing.T, name string) *Provider {
	t.Helper()
	site, err := FindSite(b.sites, name)
	require.NoError(t, err)
	cloud, err := Login(t.Context(), site, b.creds, Connection{Timeout: time.Second, Backoff: time.Millisecond})
	require.NoError(t, err)
	return b.providerOf(cloud)
}

func (b *bed) providerOf(cloud *Cloud) *Provider {
	return &Provider{
		Cloud: cloud, Records: Records{b.dir}, Now: time.Now, Poll: 2 * time.Millisecond, Settle: 400 * time.Millisecond,
		StartLimit: 5 * time.Second, SSHLimit: 5 * time.Second,
		Say: func(s string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.said = append(b.said, s)
		},
	}
}

func (b *bed) heard() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.said, "\n")
}

func manifest(p artifacts.Platform) *artifacts.Manifest {
	p.Provider, p.Site = "chameleon", "CHI@Test"
	return &artifacts.Manifest{Artifact: "demo", Platforms: map[string]artifacts.Platform{"pair": p}}
}

// virtual is a plan of virtual machines.
func (b *bed) virtual(t *testing.T, count int) Plan {
	t.Helper()
	m := manifest(artifacts.Platform{Flavor: "m1.small", Image: "CC-Ubuntu22.04", Count: count, Hours: 2})
	p, err := NewPlan(m, b.sites, Request{Site: "KVM@Test"})
	require.NoError(t, err)
	return p
}

func (b *bed) plan(t *testing.T, count int) Plan {
	t.Helper()
	p, err := NewPlan(manifest(artifacts.Platform{NodeType: "compute_nvme", Image: "CC-Ubuntu22.04", Count: count, Hours: 2}), b.sites, Request{})
	require.NoError(t, err)
	return p
}

// changes are the requests that change something.
func changes(requests []string) []string {
	return slices.DeleteFunc(requests, func(r string) bool {
		return strings.HasPrefix(r, "GET ") || strings.HasSuffix(r, "/action")
	})
}

func TestUpAndDown(t *testing.T) {
	for _, life := range lives {
		t.Run(life.name, func(t *testing.T) { upAndDown(t, life.plan) })
	}
}

func upAndDown(t *testing.T, of func(*bed, *testing.T, int) Plan) {
	b := newBed(t)
	plan := of(b, t, 2)
	p := b.at(t, plan.Site.Name)
	d, err := p.Up(t.Context(), plan, UpOptions{})
	require.NoError(t, err, b.heard())
	require.True(t, d.Ready)
	require.Len(t, d.Nodes, 2)
	require.NotEqual(t, d.Nodes[0].Address, d.Nodes[1].Address)
	for _, m := range d.Nodes {
		require.True(t, m.Pinned, "the host key is on the console")
		require.Equal(t, strings.TrimSpace(b.SSH.HostKey()), m.HostKey)
	}
	info, err := os.Stat(d.KeyFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.WithinDuration(t, time.Now().Add(2*time.Hour), d.Ends, time.Minute)

	_, err = p.Records.hold(d.Name)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, p.Down(d))
	require.Empty(t, b.Left())
	require.NoDirExists(t, d.dir)

	// The plan's list of calls is what was done.
	var planned []string
	path := map[string]string{"identity": "/identity", "reservation": "/reservation", "network": "/network", "compute": "/compute/v2.1"}
	up, down := plan.Calls()
	for _, c := range slices.Concat(up, down) {
		planned = append(planned, c.Method+" "+path[c.Service]+c.Path)
	}
	done := changes(b.Requests())
	// Asking again for what is going already is left out.
	require.Equal(t, planned, compactDeletes(done))
}

// compactDeletes leaves out a deletion that was asked for again. There are two
// instances and two addresses, and one of everything else.
func compactDeletes(requests []string) []string {
	count := map[string]int{}
	return slices.DeleteFunc(requests, func(r string) bool {
		count[r]++
		if strings.HasSuffix(r, "/remove_router_interface") {
			return count[r] > 1
		}
		limit := 1
		if strings.Contains(r, "servers") || strings.Contains(r, "floatingips") {
			limit = 2
		}
		return strings.HasPrefix(r, "DELETE ") && count[r] > limit
	})
}

func TestUpAdoptsWhatIsThere(t *testing.T) {
	b := newBed(t)
	p := b.provider(t)
	d, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{Keep: true})
	require.NoError(t, err)
	require.NoError(t, d.Leave())
	before := len(changes(b.Requests()))
	again, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{})
	require.NoError(t, err)
	require.Equal(t, before, len(changes(b.Requests())), "nothing was made a second time")
	require.Equal(t, d.Nodes, again.Nodes)
	require.True(t, again.Keep)
	require.NoError(t, again.Leave())

	// Other hosts under the same name are refused and nothing is released.
	_, err = p.Up(t.Context(), b.plan(t, 2), UpOptions{})
	require.Equal(t, Conflict, KindOf(err), "%v", err)
	require.Len(t, b.Left(), 4) // lease, instance, key pair, floating IP

	// An adopted deployment outlives a failure to reach it, too.
	b.SSH.Close()
	p.SSHLimit = 20 * time.Millisecond
	_, err = p.Up(t.Context(), b.plan(t, 1), UpOptions{})
	require.Equal(t, TimedOut, KindOf(err))
	require.Len(t, b.Left(), 4)

	list, err := p.Leftovers(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.False(t, list[0].Orphan, "it is kept")
	released, err := p.Cleanup(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, released)
	require.NoError(t, p.Release(d.Name))
	require.Empty(t, b.Left())
}

func TestFailuresReleaseEverything(t *testing.T) {
	cases := map[string]struct {
		upset func(b *bed, p *Provider)
		count int
		kind  Kind
		says  string
	}{
		"not enough hosts":       {count: 3, kind: NoHosts, says: "not enough hosts"},
		"not enough addresses":   {upset: func(b *bed, _ *Provider) { b.FloatingIPs = nil }, kind: NoAddresses},
		"the instance breaks":    {upset: func(b *bed, _ *Provider) { b.Broken = "the disk is full" }, kind: Broken, says: "the disk is full\nend of its console log:\n  [    0.000000] Linux"},
		"SSH never comes":        {upset: func(b *bed, p *Provider) { b.SSH.Close(); p.SSHLimit = 30 * time.Millisecond }, kind: TimedOut, says: "no SSH after 30ms"},
		"the instance never is":  {upset: func(b *bed, _ *Provider) { b.Boot = time.Hour }, kind: TimedOut, says: "it is BUILD"},
		"the lease never starts": {upset: func(b *bed, p *Provider) { b.Delay = time.Hour; p.StartLimit = 30 * time.Millisecond }, kind: TimedOut, says: "it is PENDING"},
		"the lease fails":        {upset: func(b *bed, _ *Provider) { failLeases(b) }, kind: Broken, says: "start_lease ERROR"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			p := b.provider(t)
			if c.upset != nil {
				c.upset(b, p)
			}
			plan := b.plan(t, max(c.count, 1))
			plan.Site.Boot = 50 * time.Millisecond
			_, err := p.Up(t.Context(), plan, UpOptions{})
			require.Equal(t, c.kind, KindOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.Empty(t, b.Left())
			entries, err := os.ReadDir(b.dir)
			require.NoError(t, err)
			require.Empty(t, entries, "no record is left either")
		})
	}
}

// failLeases makes every lease fail as soon as it is made.
func failLeases(b *bed) {
	b.Intercept = func(_ int, r *http.Request) cloudtest.Fault {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/leases/") {
			b.Fail()
		}
		return cloudtest.Fault{}
	}
	b.Delay = 50 * time.Millisecond
}

// TestInterruptReleasesEverything interrupts each request that makes something
// while it is under way; the site carries it out after everybody has gone.
func TestInterruptReleasesEverything(t *testing.T) {
	hosts, virtual, isolated := lives[0].plan, lives[1].plan, lives[3].plan
	for making, of := range map[string]func(*bed, *testing.T, int) Plan{
		"/leases": hosts, "/os-keypairs": hosts, "/servers": hosts,
		"/security-groups": virtual, "/security-group-rules": virtual, "/floatingips": virtual,
		"/networks": isolated, "/subnets": isolated, "/routers": isolated, "/add_router_interface": isolated,
	} {
		t.Run(making, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			plan := of(b, t, 2)
			p := b.at(t, plan.Site.Name)
			ctx, cancel := context.WithCancel(t.Context())
			b.Intercept = func(_ int, r *http.Request) cloudtest.Fault {
				if r.Method != http.MethodGet && strings.HasSuffix(r.URL.Path, making) {
					cancel()
					return cloudtest.Fault{Delay: 150 * time.Millisecond}
				}
				return cloudtest.Fault{}
			}
			_, err := p.Up(ctx, plan, UpOptions{Keep: true})
			require.ErrorIs(t, err, context.Canceled)
			require.Empty(t, b.Left())
		})
	}
}

// TestVirtualMachines: what they cost, what is adopted, and that without the
// security group nobody gets in.
func TestVirtualMachines(t *testing.T) {
	b := newBed(t)
	plan := b.virtual(t, 2)
	require.InDelta(t, 2*2*0.25, plan.SU(), 1e-9, "two for two hours")
	require.Empty(t, plan.Warnings)
	p := b.at(t, "KVM@Test")
	d, err := p.Up(t.Context(), plan, UpOptions{Keep: true})
	require.NoError(t, err, b.heard())
	require.Len(t, b.Left(), 7) // lease, two instances, key pair, two addresses, security group
	require.NoError(t, d.Leave())
	before := len(changes(b.Requests()))
	again, err := p.Up(t.Context(), plan, UpOptions{})
	require.NoError(t, err)
	require.Equal(t, before, len(changes(b.Requests())), "nothing was made a second time")
	require.Equal(t, d.Nodes, again.Nodes)
	list, err := p.Leftovers(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, list[0].Things)
	require.NoError(t, p.Down(again))
	require.Empty(t, b.Left())

	_, err = p.Up(t.Context(), b.virtual(t, 4), UpOptions{})
	require.Equal(t, NoHosts, KindOf(err), "%v", err)
	b.FloatingIPs = nil
	_, err = p.Up(t.Context(), plan, UpOptions{})
	require.Equal(t, NoAddresses, KindOf(err), "%v", err)
	require.Empty(t, b.Left())

	for site, says := range map[string]string{"CHI@Test": "leases whole hosts", "KVM@TACC": ""} {
		plan, err := NewPlan(manifest(artifacts.Platform{Flavor: "m1.large", Image: "CC-Ubuntu22.04", Hours: 2}), b.sites, Request{Site: site})
		if says != "" {
			require.ErrorContains(t, err, says)
			continue
		}
		require.NoError(t, err)
		require.Contains(t, strings.Join(plan.Warnings, "\n"), "what flavor m1.large costs is not known here")
	}
}

// TestDevicesChooseTheNodes leases, of two nodes of one type, the one that has
// the drives, by its uid.
func TestDevicesChooseTheNodes(t *testing.T) {
	b := newBed(t)
	p := b.provider(t)
	m := manifest(artifacts.Platform{NodeType: "compute_nvme", Image: "CC-Ubuntu22.04", Hours: 2, UserData: "#cloud-config\n", Devices: map[string]artifacts.Device{"pair": {Model: "*mzwlj1t9*", Kind: "nvme", Size: 1e12, Count: 2}}})
	m.Experiments = map[string]artifacts.Experiment{"E1": {Profiles: map[string]artifacts.Profile{"paper": {Platform: "pair"}, "kick": {}}}}
	plan, err := NewPlan(m, b.sites, Request{Profile: "kick", Whole: true})
	require.NoError(t, err)
	require.Empty(t, plan.Devices, "an experiment that does not name the platform needs no drives of it")
	plan, err = NewPlan(m, b.sites, Request{Profile: "paper"})
	require.NoError(t, err)
	up, _ := plan.Calls()
	require.Equal(t, "reference", up[1].Service)
	d, err := p.Up(t.Context(), plan, UpOptions{})
	require.NoError(t, err, b.heard())
	require.Contains(t, b.heard(), "1 of the 2 nodes of type compute_nvme have 2 × nvme *mzwlj1t9* of at least 1.00 TB: uid-node2")
	own, err := p.ownLeases(t.Context(), d.Name)
	require.NoError(t, err)
	require.Contains(t, own[0].Reservations[0].ResourceProperties+own[0].Reservations[1].ResourceProperties, `["=","$uid","uid-node2"]`)
	require.NoError(t, p.Down(d))

	plan.Count = 2
	_, err = p.Up(t.Context(), plan, UpOptions{})
	require.Equal(t, NoHosts, KindOf(err))
	require.ErrorContains(t, err, "1 of the 2 nodes of type compute_nvme at CHI@Test have 2 × nvme *mzwlj1t9* of at least 1.00 TB, and 2 are needed; for example: device pair: 2 ×")
	require.Empty(t, b.Left())
}
