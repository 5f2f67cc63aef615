package chameleon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/stretchr/testify/require"

	"reprise/chameleon/cloudtest"
)

// realBed is a login to a real OpenStack.
type realBed struct {
	*cloudtest.OpenStack
	site  Site
	creds Credentials
	user  *Cloud
	dir   string // of the records
}

func newRealBed(t *testing.T) *realBed {
	t.Helper()
	o := &realBed{OpenStack: cloudtest.NewOpenStack(t), dir: t.TempDir()}
	o.site = Site{Name: "CHI@Local", Region: "RegionOne", AuthURL: "http://127.0.0.1:5000/v3", Leases: "hosts", Boot: 3 * time.Minute, Poll: 300 * time.Millisecond}
	o.site.setDefaults()
	var err error
	o.creds, err = FindCredentials(o.site, "osdev", func(name string) string {
		return map[string]string{"OS_CLIENT_CONFIG_FILE": o.Clouds}[name]
	})
	require.NoError(t, err)
	o.user, err = Login(t.Context(), o.site, o.creds, Connection{})
	require.NoError(t, err)
	return o
}

func (o *realBed) provider(t *testing.T, cloud *Cloud) *Provider {
	return &Provider{
		Cloud: cloud, Records: Records{o.dir}, Now: time.Now, Settle: 3 * time.Second,
		StartLimit: time.Minute, SSHLimit: time.Minute, Say: func(s string) { t.Log(s) },
	}
}

func (o *realBed) empty(t *testing.T) {
	t.Helper()
	// Neutron and Nova take a moment to forget what is deleted.
	var left []string
	for range 40 {
		var err error
		left, err = o.Left(t.Context(), o.user.compute.ProviderClient)
		require.NoError(t, err)
		if len(left) == 0 {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	require.Empty(t, left)
}

func (o *realBed) plan(count int) Plan {
	return Plan{Artifact: "demo", Platform: "pair", Site: o.site, NodeType: "compute_nvme", Image: "CC-Ubuntu22.04", Count: count, Lease: time.Hour}
}

// TestRealOpenStack leases, boots, uses and releases on a real OpenStack, whose
// instances are network namespaces with real SSH servers.
func TestRealOpenStack(t *testing.T) {
	var env []string
	if os.Getenv("OPENSTACK") == "" && os.Getenv("REPRISE_OPENSTACK") != "" {
		program := filepath.Join(t.TempDir(), "reprise")
		build := exec.Command("go", "build", "-trimpath", "-o", program, "reprise")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		env = append(env, "REPRISE_PROGRAM="+program)
	}
	if !cloudtest.Inside(t, env...) {
		return
	}
	o := newRealBed(t)
	o.empty(t)

	t.Run("a run from lease to release", func(t *testing.T) { o.run(t) })
	t.Run("a run is killed, cleanup releases", func(t *testing.T) { o.runKilled(t) })
	t.Run("a run is interrupted", func(t *testing.T) { o.runInterrupted(t) })

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
		o.empty(t)
	})
	t.Run("up, again, and down", func(t *testing.T) {
		p := o.provider(t, o.user)
		d, err := p.Up(t.Context(), o.plan(2), UpOptions{Keep: true})
		require.NoError(t, err)
		require.Len(t, d.Nodes, 2)
		for _, m := range d.Nodes {
			require.True(t, m.Pinned, "the host key is on the console")
		}
		left, err := o.Left(t.Context(), o.user.compute.ProviderClient)
		require.NoError(t, err)
		require.Len(t, left, 8) // lease, 2 instances, key pair, 2 floating IPs, 2 ports
		require.NoError(t, d.Leave())
		// The token expires; the login is renewed.
		identity, err := openstack.NewIdentityV3(o.user.compute.ProviderClient, o.creds.endpoint())
		require.NoError(t, err)
		require.NoError(t, tokens.Revoke(t.Context(), identity, o.user.compute.Token()).Err)
		again, err := p.Up(t.Context(), o.plan(2), UpOptions{})
		require.NoError(t, err)
		require.Equal(t, d.Nodes, again.Nodes)
		ends := again.Ends
		require.NoError(t, p.Extend(t.Context(), again, ends.Add(time.Hour)))
		require.Equal(t, ends.Add(time.Hour), again.Ends)
		require.NoError(t, p.Down(again))
		o.empty(t)
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		_, err := o.provider(t, o.user).Up(ctx, o.plan(2), UpOptions{})
		require.ErrorIs(t, err, context.Canceled)
		o.empty(t)
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
			o.empty(t)
		})
	}
}

// command is the program itself, with the site's login, whose CHI@UC is this
// test bed.
func (o *realBed) command(t *testing.T, store string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	sites := filepath.Join(dir, "sites.yaml")
	require.NoError(t, os.WriteFile(sites, []byte("- {name: CHI@UC, auth_url: \"http://127.0.0.1:5000/v3\", region: RegionOne, leases: hosts, boot: 3m, poll: 300ms}\n"), 0o600))
	c := exec.CommandContext(t.Context(), os.Getenv("REPRISE_PROGRAM"), args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "REPRISE_SITES="+sites, "OS_CLIENT_CONFIG_FILE="+o.Clouds, "OS_CLOUD=osdev", "REPRISE_STORE="+store, "NO_COLOR=1")
	return c
}

func (o *realBed) run(t *testing.T) {
	store := t.TempDir()
	c := o.command(t, store, "run", "heimdall", "--profile", "kick", "--on", "chameleon", "--yes", "--max-su", "4")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	t.Logf("$ reprise run heimdall --profile kick --on chameleon --yes --max-su 4\n%s", out.String())
	if to := os.Getenv("REPRISE_TRANSCRIPT"); to != "" {
		require.NoError(t, os.WriteFile(to, out.Bytes(), 0o644))
	}
	var exit *exec.ExitError
	if err != nil { // some of heimdall's claims do not reproduce in kick
		require.ErrorAs(t, err, &exit)
		require.Contains(t, []int{1, 6}, exit.ExitCode(), "%s", out.String())
	}
	require.Contains(t, out.String(), "node0")
	require.Contains(t, out.String(), "released reprise-heimdall-storage-")
	o.empty(t)
	o.noSecrets(t, store, out.String())
}

const slow = `
reprise: 1
artifact: slow
title: a step that takes its time
platforms:
  bed: {provider: chameleon, site: CHI@UC, node_type: compute_nvme, image: CC-Ubuntu22.04}
experiments:
  E1:
    title: a step
    profiles: {kick: {compute: 10m}}
    run: [{name: wait, sh: "echo begun; sleep 500"}]
`

// begun starts a run on a leased node and returns once its step is running.
func (o *realBed) begun(t *testing.T, store string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	manifest := filepath.Join(t.TempDir(), "slow.yaml")
	require.NoError(t, os.WriteFile(manifest, []byte(slow), 0o600))
	c := o.command(t, store, "run", manifest, "--on", "chameleon", "--yes")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool {
		logs, _ := filepath.Glob(filepath.Join(store, "runs", "*", "attempts", "*", "stdout.log"))
		for _, log := range logs {
			if data, err := os.ReadFile(log); err == nil && bytes.Contains(data, []byte("begun")) {
				return true
			}
		}
		return false
	}, 3*time.Minute, 50*time.Millisecond)
	return c, &out
}

func (o *realBed) runKilled(t *testing.T) {
	store := t.TempDir()
	c, _ := o.begun(t, store)
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	listed, err := o.command(t, store, "chameleon", "leases").CombinedOutput()
	require.NoError(t, err, "%s", listed)
	require.Contains(t, string(listed), "its reprise ended without releasing it")
	out, err := o.command(t, store, "chameleon", "cleanup").CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("$ reprise chameleon leases\n%s$ reprise chameleon cleanup\n%s", listed, out)
	o.empty(t)
}

func (o *realBed) runInterrupted(t *testing.T) {
	store := t.TempDir()
	c, out := o.begun(t, store)
	require.NoError(t, c.Process.Signal(syscall.SIGINT))
	var exit *exec.ExitError
	require.ErrorAs(t, c.Wait(), &exit)
	require.Equal(t, 130, exit.ExitCode(), "%s", out.String())
	require.Contains(t, out.String(), "released reprise-slow-bed-")
	o.empty(t)
}

// noSecrets fails if the password is in what was printed or recorded.
func (o *realBed) noSecrets(t *testing.T, store, said string) {
	t.Helper()
	password := o.creds.auth.Password
	require.NotContains(t, said, password)
	require.NoError(t, filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		require.False(t, bytes.Contains(data, []byte(password)), path)
		return err
	}))
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
