package cloudtest

import (
	"bytes"
	"context"
	_ "embed" // openstack.sh
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
)

//go:embed openstack.sh
var openstackScript []byte

// Inside runs the test inside a real OpenStack, raised for it in namespaces
// that end with it. There it returns true; outside it runs the test there and
// returns false. It skips unless REPRISE_OPENSTACK is set, and where it cannot
// be. env are further variables for the test inside.
func Inside(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getenv("OPENSTACK") != "" {
		return true
	}
	if os.Getenv("REPRISE_OPENSTACK") == "" {
		t.Skip("REPRISE_OPENSTACK=1 raises a real OpenStack for this: Debian 12, root, chameleon/cloudtest/openstack.sh install, 3 GB, three minutes")
	}
	for _, program := range []string{"unshare", "nsenter", "ip", "keystone-manage", "nova-api", "neutron-server", "glance-api", "placement-manage", "mariadbd", "uwsgi", "memcached"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: as root, on Debian 12, chameleon/cloudtest/openstack.sh install", program)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	script := filepath.Join(t.TempDir(), "openstack.sh")
	if err := os.WriteFile(script, openstackScript, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
		script, "within", self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "20m")
	c.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	c.Stdout = io.MultiWriter(&out, t.Output())
	c.Stderr = c.Stdout
	if err := c.Run(); err != nil {
		t.Fatalf("inside: %v", err)
	}
	if strings.Contains(out.String(), "--- SKIP") {
		t.Skip("skipped inside")
	}
	return false
}

// OpenStack is a real one on loopback with this package's Blazar in it: its
// tokens are checked by the real Keystone, what leases mean is carried out on
// the real Neutron and Nova. In front of Nova stands what Blazar's filter does
// there: it turns a reservation into a host. Every active instance is a machine
// of its own, with a real OpenSSH server, that answers at its fixed and at its
// floating address.
type OpenStack struct {
	Blazar *Blazar
	Clouds string // clouds.yaml; the cloud osdev is a user's

	identity, compute, network *gophercloud.ServiceClient // as administrator
	dir                        string

	mu       sync.Mutex
	machines map[string]*machine // by instance
	promised map[string]string   // instance by host; empty while it is being made
	booted   int
	trouble  []error
	stop     context.CancelFunc
	stopped  chan struct{}
}

// Ports of what the catalogue says, and of Nova behind it.
const (
	blazarAddress = "127.0.0.1:1234"
	frontAddress  = "127.0.0.1:8775"
	novaURL       = "http://127.0.0.1:8774"
)

// NewOpenStack completes the OpenStack that the test is Inside of.
func NewOpenStack(t *testing.T) *OpenStack {
	t.Helper()
	o := &OpenStack{Clouds: filepath.Join(os.Getenv("OPENSTACK"), "clouds.yaml"), dir: filepath.Join(os.Getenv("OPENSTACK"), "machines"), machines: map[string]*machine{}, promised: map[string]string{}, stopped: make(chan struct{})}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o.Blazar = &Blazar{
		FloatingIPs: []string{"192.0.2.200", "192.0.2.201", "192.0.2.202"},
		Hosts: []Host{
			{"node1", map[string]string{"node_type": "storage_nvme", "uid": "uid-node1"}},
			{"node2", map[string]string{"node_type": "compute_nvme", "uid": "uid-node2"}},
			{"node3", map[string]string{"node_type": "compute_nvme", "uid": "uid-node3"}},
		},
		Now: time.Now, Delay: 50 * time.Millisecond, Effects: o, Identify: o.identify,
	}
	must(newBridge())
	nova, err := url.Parse(novaURL)
	must(err)
	front := &httputil.ReverseProxy{ModifyResponse: o.answered, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(nova)
		r.Out.Host = r.In.Host
		o.placed(r)
	}}
	for address, handler := range map[string]http.Handler{blazarAddress: o.Blazar, frontAddress: front} {
		listener, err := net.Listen("tcp", address)
		must(err)
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	auth, endpoint, private, err := clouds.Parse(clouds.WithCloudName("osdev-admin"), clouds.WithLocations(o.Clouds))
	must(err)
	auth.AllowReauth = true
	provider, err := config.NewProviderClient(t.Context(), auth, config.WithTLSConfig(private))
	must(err)
	o.identity, err = openstack.NewIdentityV3(provider, endpoint)
	must(err)
	o.compute, err = openstack.NewComputeV2(provider, endpoint)
	must(err)
	o.network, err = openstack.NewNetworkV2(provider, endpoint)
	must(err)
	pages, err := networks.List(o.network, networks.ListOpts{Name: "public"}).AllPages(t.Context())
	must(err)
	list, err := networks.ExtractNetworks(pages)
	must(err)
	o.Blazar.NetworkID = list[0].ID

	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	go o.attend(ctx)
	t.Cleanup(func() {
		stop()
		<-o.stopped
		for _, m := range o.machines {
			m.halt()
		}
		for _, err := range o.trouble {
			t.Errorf("the test bed: %v", err)
		}
	})
	return o
}

func (o *OpenStack) identify(token string) (Identity, bool) {
	if token == "" {
		return Identity{}, false
	}
	answer := tokens.Get(context.Background(), o.identity, token)
	user, errU := answer.ExtractUser()
	project, errP := answer.ExtractProject()
	if errU != nil || errP != nil || project == nil {
		return Identity{}, false
	}
	return Identity{User: user.ID, Project: project.ID}, true
}

// placed names the host of an instance that has a reservation, and one that
// does not exist for an instance that has none.
func (o *OpenStack) placed(r *httputil.ProxyRequest) {
	if r.In.Method != http.MethodPost || !strings.HasSuffix(r.In.URL.Path, "/servers") {
		return
	}
	data, err := io.ReadAll(r.In.Body)
	if err != nil {
		return
	}
	set := func(data []byte) {
		r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	}
	set(data)
	var body map[string]map[string]any
	who, known := o.identify(r.In.Header.Get("X-Auth-Token"))
	if json.Unmarshal(data, &body) != nil || body["server"] == nil || !known {
		return
	}
	reservation, _ := body["os:scheduler_hints"]["reservation"].(string)
	host := "no-reserved-host"
	for _, h := range o.Blazar.place(who.Project, reservation) {
		if there, err := o.on(context.Background(), h); err == nil && len(there) == 0 && o.promise(h) {
			host = h
			break
		}
	}
	r.Out.Header.Set(hostHeader, host) // which comes back with the answer's request
	body["server"]["availability_zone"] = "nova:" + host
	if data, err = json.Marshal(body); err == nil {
		set(data)
	}
}

// hostHeader tells the answer to a creation which host it was promised.
const hostHeader = "X-Promised-Host"

// promise takes a host for an instance that Nova has not put there yet.
func (o *OpenStack) promise(host string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, taken := o.promised[host]; taken {
		return false
	}
	o.promised[host] = ""
	return true
}

// answered looks at what Nova answers.
func (o *OpenStack) answered(r *http.Response) error {
	host := r.Request.Header.Get(hostHeader)
	if host == "" {
		return o.consoles(r)
	}
	data, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(data))
	var made struct {
		Server struct{ ID string }
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if json.Unmarshal(data, &made) != nil || made.Server.ID == "" {
		delete(o.promised, host)
	} else if _, is := o.promised[host]; is {
		o.promised[host] = made.Server.ID
	}
	return err
}

// on lists the instances of a host.
func (o *OpenStack) on(ctx context.Context, host string) ([]servers.Server, error) {
	pages, err := servers.List(o.compute, servers.ListOpts{AllTenants: true, Host: host}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return servers.ExtractServers(pages)
}

// consoles gives the machines' consoles, of which the fake driver knows nothing.
func (o *OpenStack) consoles(r *http.Response) error {
	id, isAction := strings.CutSuffix(strings.TrimPrefix(r.Request.URL.Path, "/v2.1/servers/"), "/action")
	if !isAction || r.StatusCode != http.StatusOK {
		return nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	o.mu.Lock()
	m := o.machines[id]
	o.mu.Unlock()
	var answer map[string]any
	if m != nil && json.Unmarshal(data, &answer) == nil && answer["output"] != nil {
		data, err = json.Marshal(map[string]string{"output": m.console()})
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	r.Header.Set("Content-Length", fmt.Sprint(len(data)))
	return err
}

// AddFloatingIP implements Effects on the real Neutron.
func (o *OpenStack) AddFloatingIP(project, address, reservation string) error {
	ctx := context.Background()
	ip, err := floatingips.Create(ctx, o.network, floatingips.CreateOpts{FloatingNetworkID: o.Blazar.NetworkID, FloatingIP: address, ProjectID: project, TenantID: project}).Extract()
	if err != nil {
		return err
	}
	_, err = attributestags.ReplaceAll(ctx, o.network, "floatingips", ip.ID, attributestags.ReplaceAllOpts{Tags: []string{"blazar", "reservation:" + reservation}}).Extract()
	return err
}

// Release implements Effects on the real Neutron and Nova.
func (o *OpenStack) Release(_ string, addresses, reservations []string) error {
	ctx := context.Background()
	var errs []error
	for _, l := range o.Blazar.leases { // its lock is held by whoever calls
		for _, r := range l.Reservations {
			if !slices.Contains(reservations, r.id()) {
				continue
			}
			for _, h := range r.hosts {
				there, err := o.on(ctx, o.Blazar.Hosts[h].Name)
				errs = append(errs, err)
				for _, s := range there {
					errs = append(errs, gone(servers.Delete(ctx, o.compute, s.ID).ExtractErr()))
				}
			}
		}
	}
	for _, a := range addresses {
		list, err := o.floating(ctx, floatingips.ListOpts{FloatingIP: a})
		errs = append(errs, err)
		for _, f := range list {
			errs = append(errs, gone(floatingips.Delete(ctx, o.network, f.ID).ExtractErr()))
		}
	}
	return errors.Join(errs...)
}

// gone takes a thing that is not there for one that was deleted.
func gone(err error) error {
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil
	}
	return err
}

func (o *OpenStack) floating(ctx context.Context, opts floatingips.ListOpts) ([]floatingips.FloatingIP, error) {
	pages, err := floatingips.List(o.network, opts).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return floatingips.ExtractFloatingIPs(pages)
}

// attend boots a machine for every active instance, plugs in its floating
// address, and halts those whose instance is gone.
func (o *OpenStack) attend(ctx context.Context) {
	defer close(o.stopped)
	for ctx.Err() == nil {
		if err := o.look(ctx); err != nil && ctx.Err() == nil {
			o.trouble = append(o.trouble, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (o *OpenStack) look(ctx context.Context) error {
	o.mu.Lock()
	promised := maps.Clone(o.promised) // before the list that they are compared with
	o.mu.Unlock()
	pages, err := servers.List(o.compute, servers.ListOpts{AllTenants: true}).AllPages(ctx)
	if err != nil {
		return err
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return err
	}
	addresses, err := o.floating(ctx, floatingips.ListOpts{})
	if err != nil {
		return err
	}
	others := *o.compute
	others.Microversion = "2.10" // from which on an administrator may see others' keys
	there := map[string]bool{}
	for _, s := range all {
		there[s.ID] = true
		if s.Status != "ACTIVE" {
			continue
		}
		m := o.machines[s.ID]
		if m == nil {
			key, err := keypairs.Get(ctx, &others, s.KeyName, keypairs.GetOpts{UserID: s.UserID}).Extract()
			if err != nil {
				if gone(err) == nil {
					continue // its instance is next
				}
				return err
			}
			o.booted++
			m, err = boot(filepath.Join(o.dir, s.ID), s.Name, fixedAddress(s), strings.TrimSpace(key.PublicKey), fmt.Sprint("cable", o.booted))
			if err != nil {
				return err
			}
			o.mu.Lock()
			o.machines[s.ID] = m
			o.mu.Unlock()
		}
		floating := ""
		for _, a := range addresses {
			if a.FixedIP == m.fixed {
				floating = a.FloatingIP
			}
		}
		if floating != m.floating {
			if err := m.float(floating); err != nil {
				return err
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, m := range o.machines {
		if !there[id] {
			m.halt()
			delete(o.machines, id)
		}
	}
	for host, id := range promised {
		if id != "" && !there[id] && o.promised[host] == id {
			delete(o.promised, host)
		}
	}
	return nil
}

// fixedAddress is the first address of an instance.
func fixedAddress(s servers.Server) string {
	for _, on := range s.Addresses {
		list, _ := on.([]any)
		for _, entry := range list {
			fields, _ := entry.(map[string]any)
			if a, ok := fields["addr"].(string); ok {
				return a
			}
		}
	}
	return ""
}

// Left lists what users have made and is still there, by asking the services.
func (o *OpenStack) Left(ctx context.Context, user *gophercloud.ProviderClient) ([]string, error) {
	var left []string
	for _, l := range o.Blazar.Leases() {
		left = append(left, "lease "+l)
	}
	pages, err := servers.List(o.compute, servers.ListOpts{AllTenants: true}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		left = append(left, "instance "+s.Name)
	}
	theirs := *o.compute
	theirs.ProviderClient = user
	pages, err = keypairs.List(&theirs, nil).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := keypairs.ExtractKeyPairs(pages)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		left = append(left, "key pair "+k.Name)
	}
	addresses, err := o.floating(ctx, floatingips.ListOpts{})
	if err != nil {
		return nil, err
	}
	for _, f := range addresses {
		left = append(left, "floating IP "+f.FloatingIP)
	}
	pages, err = ports.List(o.network, ports.ListOpts{DeviceOwner: "compute:nova"}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	list, err := ports.ExtractPorts(pages)
	for _, p := range list {
		left = append(left, "port "+p.ID)
	}
	return left, err
}
