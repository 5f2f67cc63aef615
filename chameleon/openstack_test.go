package chameleon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/stretchr/testify/require"

	"github.com/gophercloud/gophercloud/v2/openstack"

	"reprise/chameleon/cloudtest"
)

// openStack is a real OpenStack on loopback with the test tree's Blazar beside
// it, at the place where its catalogue has the reservation service. Tokens are
// checked by the real Keystone, and what leases mean is carried out on the real
// Neutron and Nova.
type openStack struct {
	site   Site
	blazar *cloudtest.Blazar
	ssh    *cloudtest.SSH
	creds  Credentials
	admin  *Cloud
	user   *Cloud
	dir    string
}

func newOpenStack(t *testing.T) *openStack {
	t.Helper()
	file := os.Getenv("REPRISE_OPENSTACK")
	if file == "" {
		t.Skip("REPRISE_OPENSTACK does not name the clouds.yaml of an OpenStack on loopback (clouds osdev and osdev-admin)")
	}
	o := &openStack{dir: t.TempDir()}
	o.site = Site{Name: "CHI@Local", Region: "RegionOne", AuthURL: "http://127.0.0.1:5000/v3", Leases: "hosts"}
	o.site.setDefaults()
	o.site.Boot = 3 * time.Minute
	getenv := func(name string) string {
		return map[string]string{"OS_CLIENT_CONFIG_FILE": file}[name]
	}
	var err error
	o.creds, err = FindCredentials(o.site, "osdev", getenv)
	require.NoError(t, err)
	adminCreds, err := FindCredentials(o.site, "osdev-admin", getenv)
	require.NoError(t, err)

	o.blazar = &cloudtest.Blazar{
		FloatingIPs: []string{"192.0.2.200", "192.0.2.201", "192.0.2.202"},
		Now:         time.Now, Delay: 50 * time.Millisecond, Effects: o,
	}
	for _, n := range []string{"node1", "node2", "node3"} {
		o.blazar.Hosts = append(o.blazar.Hosts, cloudtest.Host{Name: n, Properties: map[string]string{"node_type": "compute_nvme", "uid": n}})
	}
	o.blazar.Identify = func(token string) (cloudtest.Identity, bool) {
		identity, err := openstack.NewIdentityV3(o.admin.compute.ProviderClient, o.creds.endpoint())
		if err != nil {
			return cloudtest.Identity{}, false
		}
		answer := tokens.Get(t.Context(), identity, token)
		user, errU := answer.ExtractUser()
		project, errP := answer.ExtractProject()
		if errU != nil || errP != nil || project == nil {
			return cloudtest.Identity{}, false
		}
		return cloudtest.Identity{User: user.ID, Project: project.ID}, true
	}
	listener, err := net.Listen("tcp", "127.0.0.1:1234")
	require.NoError(t, err)
	server := &http.Server{Handler: o.blazar}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	o.admin, err = Login(t.Context(), o.site, adminCreds, Connection{})
	require.NoError(t, err)
	o.user, err = Login(t.Context(), o.site, o.creds, Connection{})
	require.NoError(t, err)
	p := &Provider{Cloud: o.user}
	o.blazar.NetworkID, err = p.networkID(t.Context(), "public")
	require.NoError(t, err)
	o.ssh, err = cloudtest.NewSSH([]string{"127.0.0.1"}, func(string) (string, bool) {
		pages, err := keypairs.List(o.user.compute, nil).AllPages(context.Background())
		if err != nil {
			return "", false
		}
		keys, err := keypairs.ExtractKeyPairs(pages)
		return strings.Join(keyTexts(keys), "\n"), err == nil && len(keys) > 0
	})
	require.NoError(t, err)
	t.Cleanup(o.ssh.Close)
	return o
}

func keyTexts(keys []keypairs.KeyPair) []string {
	var list []string
	for _, k := range keys {
		list = append(list, k.PublicKey)
	}
	return list
}

// AddFloatingIP implements cloudtest.Effects on the real Neutron.
func (o *openStack) AddFloatingIP(project, address, reservation string) error {
	ctx := context.Background()
	ip, err := floatingips.Create(ctx, o.admin.network, floatingips.CreateOpts{FloatingNetworkID: o.blazar.NetworkID, FloatingIP: address, ProjectID: project, TenantID: project}).Extract()
	if err != nil {
		return err
	}
	_, err = attributestags.ReplaceAll(ctx, o.admin.network, "floatingips", ip.ID, attributestags.ReplaceAllOpts{Tags: []string{"blazar", "reservation:" + reservation}}).Extract()
	return err
}

// Release implements cloudtest.Effects on the real Neutron. Instances go with
// their lease by the real Blazar; here they are deleted by who made them.
func (o *openStack) Release(_ string, addresses, _ []string) error {
	var errs []error
	for _, a := range addresses {
		pages, err := floatingips.List(o.admin.network, floatingips.ListOpts{FloatingIP: a}).AllPages(context.Background())
		if err != nil {
			return err
		}
		list, err := floatingips.ExtractFloatingIPs(pages)
		if err != nil {
			return err
		}
		for _, f := range list {
			errs = append(errs, floatingips.Delete(context.Background(), o.admin.network, f.ID).ExtractErr())
		}
	}
	return errors.Join(errs...)
}

func (o *openStack) provider(t *testing.T, cloud *Cloud) *Provider {
	return &Provider{
		Cloud: cloud, Records: Records{o.dir}, Now: time.Now, Poll: 300 * time.Millisecond, Settle: 3 * time.Second,
		StartLimit: time.Minute, SSHLimit: time.Minute,
		Say: func(s string) { t.Log(s) },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(address, "192.0.2.") {
				return nil, fmt.Errorf("dialled %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(o.ssh.Port)))
		},
	}
}

// left asks the services what is there.
func (o *openStack) left(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, l := range o.blazar.Leases() {
		left = append(left, "lease "+l)
	}
	pages, err := servers.List(o.user.compute, servers.ListOpts{}).AllPages(t.Context())
	require.NoError(t, err)
	instances, err := servers.ExtractServers(pages)
	require.NoError(t, err)
	for _, s := range instances {
		left = append(left, "instance "+s.Name)
	}
	pages, err = keypairs.List(o.user.compute, nil).AllPages(t.Context())
	require.NoError(t, err)
	keys, err := keypairs.ExtractKeyPairs(pages)
	require.NoError(t, err)
	for _, k := range keys {
		left = append(left, "key pair "+k.Name)
	}
	pages, err = floatingips.List(o.user.network, floatingips.ListOpts{}).AllPages(t.Context())
	require.NoError(t, err)
	ips, err := floatingips.ExtractFloatingIPs(pages)
	require.NoError(t, err)
	for _, f := range ips {
		left = append(left, "floating IP "+f.FloatingIP)
	}
	return left
}

func (o *openStack) plan(count int) Plan {
	return Plan{Artifact: "demo", Platform: "pair", Site: o.site, NodeType: "compute_nvme", Image: "CC-Ubuntu22.04", Count: count, Lease: time.Hour}
}

func TestRealOpenStack(t *testing.T) {
	o := newOpenStack(t)
	require.Empty(t, o.left(t), "it is used by somebody else")

	t.Run("login --check finds every service", func(t *testing.T) {
		for _, f := range Check(t.Context(), o.site, o.creds, Connection{}) {
			require.NoError(t, f.Err, f.What)
			t.Log(f)
		}
	})
	t.Run("wrong password and wrong project", func(t *testing.T) {
		wrong := o.creds
		wrong.auth.Password = "not the password"
		_, err := Login(t.Context(), o.site, wrong, Connection{})
		require.Equal(t, BadLogin, KindOf(err), "%v", err)
		require.NotContains(t, err.Error(), "not the password")
		scope := *o.creds.auth.Scope
		scope.ProjectName = "CH-999999"
		wrong = o.creds
		wrong.auth.Scope = &scope
		_, err = Login(t.Context(), o.site, wrong, Connection{})
		require.Equal(t, BadLogin, KindOf(err), "%v", err)
	})
	t.Run("no such image", func(t *testing.T) {
		plan := o.plan(1)
		plan.Image = "CC-Ubuntu18.04"
		_, err := o.provider(t, o.user).Up(t.Context(), plan, UpOptions{})
		require.Equal(t, Missing, KindOf(err), "%v", err)
		require.Empty(t, o.left(t))
	})
	t.Run("up, again, and down", func(t *testing.T) {
		p := o.provider(t, o.user)
		d, err := p.Up(t.Context(), o.plan(2), UpOptions{Keep: true})
		require.NoError(t, err)
		require.Len(t, d.Nodes, 2)
		require.Len(t, o.left(t), 6) // lease, 2 instances, key pair, 2 floating IPs
		require.NoError(t, d.Leave())
		// The token expires; the login is renewed.
		identity, err := openstack.NewIdentityV3(o.admin.compute.ProviderClient, o.creds.endpoint())
		require.NoError(t, err)
		require.NoError(t, tokens.Revoke(t.Context(), identity, o.user.compute.Token()).Err)
		again, err := p.Up(t.Context(), o.plan(2), UpOptions{})
		require.NoError(t, err)
		require.Equal(t, d.Nodes, again.Nodes)
		ends := again.Ends
		require.NoError(t, p.Extend(t.Context(), again, ends.Add(time.Hour)))
		require.Equal(t, ends.Add(time.Hour), again.Ends)
		require.NoError(t, p.Down(again))
		require.Empty(t, o.left(t))
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		_, err := o.provider(t, o.user).Up(ctx, o.plan(2), UpOptions{})
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, o.left(t))
	})
	rng := rand.New(rand.NewPCG(11, 11))
	for range points(t, 6) {
		at, kind := 5+rng.IntN(25), []string{"503", "reset", "lost"}[rng.IntN(3)]
		t.Run(fmt.Sprintf("%s at %d", kind, at), func(t *testing.T) {
			breaking := &faultyTransport{at: int64(at), kind: kind}
			cloud, err := Login(t.Context(), o.site, o.creds, Connection{Transport: breaking, Backoff: 50 * time.Millisecond})
			require.NoError(t, err)
			p := o.provider(t, cloud)
			if d, err := p.Up(t.Context(), o.plan(1), UpOptions{}); err == nil {
				require.NoError(t, p.Down(d))
			}
			require.Empty(t, o.left(t))
		})
	}
}

// faultyTransport has one request go wrong on its way.
type faultyTransport struct {
	at   int64
	kind string
	n    atomic.Int64
}

func (f *faultyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.n.Add(1) != f.at {
		return http.DefaultTransport.RoundTrip(r)
	}
	switch f.kind {
	case "503":
		return &http.Response{StatusCode: 503, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	case "lost":
		if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
		}
	}
	return nil, io.ErrUnexpectedEOF
}
