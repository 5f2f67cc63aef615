package chameleon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/chameleon/cloudtest"
	"reprise/chameleon/leases"
)

func TestPlanSizesTheLease(t *testing.T) {
	sites, err := Sites(nil)
	require.NoError(t, err)
	experiment := func(d time.Duration) artifacts.Experiment {
		return artifacts.Experiment{Profiles: map[string]artifacts.Profile{
			"paper": {Compute: artifacts.Duration(d), Platform: "p"}, "kick": {Compute: artifacts.Duration(time.Hour)},
		}}
	}
	m := func(hours float64, budgets ...time.Duration) *artifacts.Manifest {
		m := &artifacts.Manifest{Artifact: "demo", Experiments: map[string]artifacts.Experiment{}, Platforms: map[string]artifacts.Platform{
			"p": {Provider: "chameleon", Site: "chi@uc", NodeType: "storage_nvme", Image: "CC-Ubuntu22.04", Hours: hours}, "laptop": {Provider: "local"},
		}}
		for i, b := range budgets {
			m.Experiments[fmt.Sprintf("E%d", i+1)] = experiment(b)
		}
		return m
	}
	cases := map[string]struct {
		m     *artifacts.Manifest
		r     Request
		lease time.Duration
		warns int
		err   string
	}{
		"the manifest's hours":          {m: m(6), lease: 6 * time.Hour},
		"what is asked for":             {m: m(6, time.Hour), r: Request{Hours: 1.25, Profile: "paper"}, lease: 75 * time.Minute},
		"budgets, boot and margin":      {m: m(0, 4*time.Hour, time.Hour), r: Request{Profile: "paper"}, lease: 7 * time.Hour}, // (0.5+5)·1.25 = 6.875
		"only what runs":                {m: m(0, 4*time.Hour, time.Hour), r: Request{Profile: "paper", Only: []string{"E2"}}, lease: 2 * time.Hour},
		"a profile that runs elsewhere": {m: m(3, time.Hour), r: Request{Profile: "kick"}, lease: 3 * time.Hour},
		"far from the manifest's hours": {m: m(48, 2*time.Hour), r: Request{Profile: "paper"}, lease: 210 * time.Minute, warns: 1},
		"longer than allowed":           {m: m(0, 300*time.Hour), r: Request{Profile: "paper"}, lease: 168 * time.Hour, warns: 1},
		"more asked for than allowed":   {m: m(0), r: Request{Hours: 169}, err: "at most 168 hours"},
		"unknown":                       {m: m(0), err: "give --hours, or a profile"},
		"no such site":                  {m: m(1), r: Request{Site: "CHI@Mars"}, err: `no site "CHI@Mars"; there are CHI@TACC`},
		"a site without hosts":          {m: m(1), r: Request{Site: "KVM@TACC"}, err: "KVM@TACC leases virtual machines"},
		"a site of neither":             {m: m(1), r: Request{Site: "CHI@Edge"}, err: "neither whole hosts nor virtual machines"},
		"no such platform":              {m: m(1), r: Request{Platform: "q"}, err: `no platform "q" on Chameleon; it has p`},
		"not a number":                  {m: m(1), r: Request{Hours: -1}, err: "a lease of -1 hours"},
	}
	for name, c := range cases {
		p, err := NewPlan(c.m, sites, c.r)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.lease, p.Lease, name)
		require.Len(t, p.Warnings, c.warns, name)
		sum := 0.0
		for _, l := range p.Estimate {
			sum += l.Hours
		}
		require.InDelta(t, p.Lease.Hours(), sum, 1e-6, "%s: the lines add up to the lease", name)
		require.InDelta(t, c.lease.Hours(), p.SU(), 1e-9, name)
	}
}

func TestNamesFitAndDiffer(t *testing.T) {
	long := strings.Repeat("a", 90)
	a := Plan{Artifact: long, Platform: "x"}.Name("u", "p")
	b := Plan{Artifact: long, Platform: "y"}.Name("u", "p")
	require.NotEqual(t, a, b)
	require.LessOrEqual(t, len(a)+len("-10"), 80)
	require.NotEqual(t, Plan{Artifact: "a", Platform: "x"}.Name("u", "p"), Plan{Artifact: "a", Platform: "x"}.Name("v", "p"))
}

// TestEarliest compares with trying every minute.
func TestEarliest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 300 {
		busy := map[string][]span{}
		hosts, count := 1+rng.IntN(4), 1
		count += rng.IntN(hosts)
		for h := range hosts {
			for range rng.IntN(5) {
				start := now.Add(time.Duration(rng.IntN(200)-50) * time.Minute)
				busy[fmt.Sprint(h)] = append(busy[fmt.Sprint(h)], span{start, start.Add(time.Duration(1+rng.IntN(60)) * time.Minute)})
			}
			busy[fmt.Sprint(h)] = append([]span{}, busy[fmt.Sprint(h)]...)
		}
		length := time.Duration(1+rng.IntN(90)) * time.Minute
		want := now
		for ; ; want = want.Add(time.Minute) {
			free := 0
			for _, spans := range busy {
				ok := true
				for _, s := range spans {
					ok = ok && !(s.start.Before(want.Add(length)) && want.Before(s.end))
				}
				if ok {
					free++
				}
			}
			if free >= count {
				break
			}
		}
		require.Equal(t, want, earliest(now, busy, count, length))
	}
}

func TestWaitForHardware(t *testing.T) {
	b := newBed(t)
	other := b.provider(t)
	other.Records.Dir = t.TempDir()
	plan := b.plan(t, 2)
	plan.Platform = "another"
	d, err := other.Up(t.Context(), plan, UpOptions{})
	require.NoError(t, err)
	time.AfterFunc(300*time.Millisecond, func() { _ = other.Down(d) })
	p := b.provider(t)
	d, err = p.Up(t.Context(), b.plan(t, 1), UpOptions{Wait: 10 * time.Second})
	require.NoError(t, err)
	require.Contains(t, b.heard(), "compute_nvme is booked; asking again until")
	require.NoError(t, p.Down(d))
	require.Empty(t, b.Left())
}

func TestExtend(t *testing.T) {
	b := newBed(t)
	p := b.provider(t)
	d, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{})
	require.NoError(t, err)
	ends := d.Ends
	require.NoError(t, p.Extend(t.Context(), d, ends.Add(time.Hour)))
	require.Equal(t, ends.Add(time.Hour), d.Ends)
	require.Equal(t, Limit, KindOf(p.Extend(t.Context(), d, ends)))
	require.Equal(t, Limit, KindOf(p.Extend(t.Context(), d, time.Now().Add(8*24*time.Hour))))
	p.Cloud.Site.ExtendWithin = time.Minute
	require.ErrorContains(t, p.Extend(t.Context(), d, ends.Add(2*time.Hour)), "only in its last")
	require.NoError(t, p.Down(d))
}

// TestAttend prolongs a lease that has less than half a step left, up to a
// limit, and tells when it has ended.
func TestAttend(t *testing.T) {
	b := newBed(t)
	p := b.provider(t)
	d, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{}) // of two hours
	require.NoError(t, err)
	ends := d.Ends
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ended := make(chan error)
	go func() { ended <- p.Attend(ctx, d, 8*time.Hour, ends.Add(90*time.Minute)) }()
	require.Eventually(t, func() bool { return strings.Contains(b.heard(), "will not be prolonged further") }, 5*time.Second, time.Millisecond)
	b.EndLeases()
	err = <-ended
	require.NoError(t, ctx.Err())
	require.Equal(t, Broken, KindOf(err), "%v", err)
	require.ErrorContains(t, err, ": it is TERMINATING: end_lease IN_PROGRESS")
	require.Equal(t, ends.Add(90*time.Minute), d.Ends)
	require.NoError(t, p.Down(d))
	require.Empty(t, b.Left())
}

// TestBorrowedLease uses the hosts of a lease that somebody made by hand, and
// gives back only what it added.
func TestBorrowedLease(t *testing.T) {
	b := newBed(t)
	p := b.provider(t)
	_, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{Lease: "by-hand"})
	require.Equal(t, Missing, KindOf(err), "%v", err)
	made, err := leases.Create(t.Context(), p.Cloud.reservation, leases.CreateOpts{
		Name: "by-hand", EndDate: time.Now().Add(3 * time.Hour), Reservations: []leases.ReservationOptsBuilder{
			leases.HostReservationOpts{Min: 1, Max: 1}, leases.FloatingIPReservationOpts{NetworkID: cloudtest.PublicNetwork, Amount: 1},
		},
	}).Extract()
	require.NoError(t, err)
	_, err = p.Up(t.Context(), b.plan(t, 2), UpOptions{Lease: made.ID})
	require.ErrorContains(t, err, "it has 1 hosts, and 2 are needed")
	for _, which := range []string{made.ID, "by-hand"} {
		d, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{Lease: which})
		require.NoError(t, err, b.heard())
		require.True(t, d.Borrowed)
		require.Len(t, b.Left(), 4)
		require.NoError(t, p.Down(d))
		require.ElementsMatch(t, []string{"lease by-hand", "floating IP 127.0.0.2"}, b.Left())
	}
	// A network that the lease does not bring is made, and released.
	d, err := p.Up(t.Context(), onItsOwn(b.plan(t, 1)), UpOptions{Lease: made.ID})
	require.NoError(t, err, b.heard())
	require.Contains(t, b.Left(), "network "+d.Name)
	require.NoError(t, p.Down(d))
	require.Len(t, b.Left(), 2)
	// What a killed run leaves on it is an orphan; the lease is not.
	d, err = p.Up(t.Context(), b.plan(t, 1), UpOptions{Lease: made.ID})
	require.NoError(t, err)
	require.NoError(t, d.Leave())
	_, err = p.Cleanup(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, b.Left(), 2)
}

func TestCredentialsNameWhatIsMissing(t *testing.T) {
	site := Site{Name: "CHI@UC", Region: "CHI@UC", AuthURL: "https://chi.uc.chameleoncloud.org:5000/v3"}
	all := map[string]string{
		"OS_AUTH_URL": site.AuthURL, "OS_USERNAME": "alice", "OS_PASSWORD": "secret words", "OS_PROJECT_NAME": "CH-1",
		"OS_USER_DOMAIN_NAME": "chameleon", "OS_PROJECT_DOMAIN_NAME": "chameleon", "OS_REGION_NAME": "CHI@UC",
	}
	get := func(without ...string) func(string) string {
		return func(name string) string {
			for _, w := range without {
				if w == name {
					return ""
				}
			}
			return all[name]
		}
	}
	c, err := FindCredentials(site, "", get())
	require.NoError(t, err)
	require.Equal(t, "the OS_ variables", c.From)
	for _, name := range []string{"OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME"} {
		_, err := FindCredentials(site, "", get(name))
		require.ErrorContains(t, err, name+" is missing in the environment")
		require.NotContains(t, err.Error(), "secret words")
	}
	all["OS_REGION_NAME"], all["OS_AUTH_URL"] = "CHI@TACC", "https://chi.tacc.chameleoncloud.org:5000/v3"
	_, err = FindCredentials(site, "", get())
	require.ErrorContains(t, err, "are for region CHI@TACC, not for CHI@UC")

	dir := t.TempDir()
	file := filepath.Join(dir, "clouds.yaml")
	env := func(name string) string { return map[string]string{"OS_CLIENT_CONFIG_FILE": file}[name] }
	_, err = FindCredentials(site, "", env)
	require.ErrorContains(t, err, "no credentials: OS_AUTH_URL is not set and there is no "+file)
	cases := []struct{ yaml, secure, says string }{
		{"clouds: {}", "", `has no section "clouds"`},
		{"clouds: {uc: {region_name: CHI@UC}}", "", `cloud uc in ` + file + ` has no section "auth"`},
		{"clouds: {tacc: {region_name: CHI@TACC, auth: {}}}", "", "no cloud in " + file + " is for CHI@UC (region_name CHI@UC); it has tacc"},
		{"clouds: {uc: {region_name: CHI@UC, auth: {application_credential_id: x}}}", "", "auth.application_credential_secret is missing in cloud uc"},
		{"clouds: {uc: {region_name: CHI@UC, auth: {username: a, password: hunter22}}}", "", "auth.user_domain_name is missing"},
		{"clouds: {uc: {region_name: CHI@UC, auth: {username: a, password: hunter22}", "", "is not valid YAML, line"},
		{"clouds: {uc: {region_name: CHI@UC, auth: {application_credential_id: x}}}", "clouds: {uc: {auth: {application_credential_secret: hunter22}}}", ""},
	}
	for _, c := range cases {
		require.NoError(t, os.WriteFile(file, []byte(c.yaml), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "secure.yaml"), []byte(c.secure), 0o600))
		creds, err := FindCredentials(site, "", env)
		if c.says == "" {
			require.NoError(t, err)
			require.True(t, creds.ApplicationCredential())
			continue
		}
		require.ErrorContains(t, err, c.says, c.yaml)
		require.NotContains(t, err.Error(), "hunter22")
		require.Equal(t, BadLogin, KindOf(err))
		require.NotEmpty(t, HintOf(err))
	}
}

// TestSecretsAreScrubbed has a service repeat the password in its answer.
func TestSecretsAreScrubbed(t *testing.T) {
	err := explain("log in", fmt.Errorf("dial: %s", "correct horse battery"), []string{"correct horse battery"})
	require.EqualError(t, err, "log in: dial: [secret]")
}

func TestCreationsAreNeverRepeatedBlindly(t *testing.T) {
	for _, f := range []cloudtest.Fault{{Status: 500}, {Status: 503}, {Cut: true}, {Cut: true, Late: true}, {Half: true}} {
		b := newBed(t)
		p := b.provider(t)
		p.Settle = 50 * time.Millisecond
		posts := 0
		b.Intercept = func(_ int, r *http.Request) cloudtest.Fault {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/leases") {
				posts++
				return f
			}
			return cloudtest.Fault{}
		}
		d, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{})
		require.Equal(t, 1, posts)
		if f.Late || f.Half { // it was made: the answer alone was lost
			require.NoError(t, err)
			require.NoError(t, p.Down(d))
		} else {
			require.Error(t, err)
		}
		require.Empty(t, b.Left())
	}
}

func TestHostKeyIn(t *testing.T) {
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2Jd9YFQKbi4bpC6Hq8u1nFkb0M0kI5t0c8a6m4Yq5a"
	console := "boot\r\n-----BEGIN SSH HOST KEY KEYS-----\r\nnonsense\r\n" + ed + " root@node\r\n-----END SSH HOST KEY KEYS-----\r\nlogin:"
	require.Equal(t, ed, hostKeyIn(console))
	require.Empty(t, hostKeyIn("-----BEGIN SSH HOST KEY KEYS-----\n"+ed), "it may have been cut short")
	require.Empty(t, hostKeyIn(""))
}

// TestThePlatformThatPreparesNothing is taken where nobody names one.
func TestThePlatformThatPreparesNothing(t *testing.T) {
	m := manifest(artifacts.Platform{})
	m.Platforms["kernel"] = artifacts.Platform{Provider: "chameleon", Prepare: []artifacts.Preparation{{Name: "boot", Reboot: "6.0*"}}}
	name, _, err := choosePlatform(m, "")
	require.NoError(t, err)
	require.Equal(t, "pair", name)
	name, _, err = choosePlatform(m, "kernel")
	require.NoError(t, err)
	require.Equal(t, "kernel", name)
	m.Platforms["other"] = m.Platforms["pair"]
	_, _, err = choosePlatform(m, "")
	require.ErrorContains(t, err, "choose one of kernel, other, pair")
}
