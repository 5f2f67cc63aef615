package chameleon

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/chameleon/cloudtest"
)

// faults are the ways in which a request can go wrong.
var faults = map[string]cloudtest.Fault{
	"401":       {Status: 401},
	"403":       {Status: 403},
	"404":       {Status: 404},
	"409":       {Status: 409},
	"429":       {Status: 429, Header: http.Header{"Retry-After": {"0"}}},
	"500":       {Status: 500},
	"503":       {Status: 503},
	"timeout":   {Delay: 150 * time.Millisecond}, // carried out after the caller has given up
	"reset":     {Cut: true},
	"lost":      {Cut: true, Late: true}, // carried out, but the answer is lost
	"truncated": {Half: true},
}

// points is how many faults and kills are tried; $REPRISE_LEAK_POINTS may ask
// for more.
func points(t *testing.T, otherwise int) int {
	if text := os.Getenv("REPRISE_LEAK_POINTS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	return otherwise
}

// lives are the kinds of deployment that are made to fail, in order.
var lives = []struct {
	name string
	plan func(*bed, *testing.T, int) Plan
}{
	{"hosts", (*bed).plan},
	{"virtual machines", (*bed).virtual},
	{"a reserved network", func(b *bed, t *testing.T, count int) Plan { return onItsOwn(b.plan(t, count)) }},
	{"a network made", func(b *bed, t *testing.T, count int) Plan { return onItsOwn(b.virtual(t, count)) }},
}

// onItsOwn is the plan on an isolated network.
func onItsOwn(p Plan) Plan {
	p.Isolated = true
	return p
}

// requestsOfLives counts what Up and Down ask for when all goes well.
func requestsOfLives(t *testing.T) (counts []int) {
	for _, life := range lives {
		b := newBed(t)
		plan := life.plan(b, t, 1)
		p := b.at(t, plan.Site.Name)
		d, err := p.Up(t.Context(), plan, UpOptions{})
		require.NoError(t, err)
		require.NoError(t, p.Down(d))
		counts = append(counts, len(b.Requests()))
	}
	return counts
}

// TestNoFaultLeaks has one request, or a row of them, go wrong somewhere between
// login and release: afterwards nothing is left on the site. Where a release
// itself was refused, the record is, and cleanup does the rest.
func TestNoFaultLeaks(t *testing.T) {
	totals := requestsOfLives(t)
	rng := rand.New(rand.NewPCG(8, 8))
	names := make([]string, 0, len(faults))
	for name := range faults {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range points(t, 60) {
		life := lives[i%len(lives)]
		name, at, row := names[rng.IntN(len(names))], rng.IntN(totals[i%len(lives)]), 1+rng.IntN(2)*rng.IntN(12)
		t.Run(fmt.Sprintf("%s, %s at %d for %d", life.name, name, at, row), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			plan := life.plan(b, t, 1)
			b.Intercept = func(n int, _ *http.Request) cloudtest.Fault {
				if at <= n && n < at+row {
					return faults[name]
				}
				return cloudtest.Fault{}
			}
			conn := Connection{Timeout: 30 * time.Millisecond, Backoff: time.Millisecond}
			if name != "timeout" {
				conn.Timeout = 5 * time.Second
			}
			cloud, err := Login(t.Context(), plan.Site, b.creds, conn)
			if err == nil {
				p := b.providerOf(cloud)
				var d *Deployment
				if d, err = p.Up(t.Context(), plan, UpOptions{}); err == nil {
					err = p.Down(d)
				}
			}
			b.noSecretIn(t, err)
			b.Intercept = nil
			if len(b.Left()) > 0 {
				require.Error(t, err, "what is left is told")
				_, err = b.at(t, plan.Site.Name).Cleanup(t.Context(), false)
				require.NoError(t, err)
			}
			require.Empty(t, b.Left(), "%s", b.heard())
		})
	}
}

// noSecretIn fails if the password or a token is in an error, in what was said
// or in the records.
func (b *bed) noSecretIn(t *testing.T, err error) {
	t.Helper()
	text := b.heard()
	if err != nil {
		text += err.Error() + HintOf(err)
	}
	require.NoError(t, filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			text += string(data)
			return err
		}
		return err
	}))
	require.NotContains(t, text, b.Password)
	require.NotContains(t, text, "token-")
}

// TestKilledUpLeavesARecord is the child of TestNoKillLeaks.
func TestKilledUpLeavesARecord(t *testing.T) {
	dir := os.Getenv("REPRISE_KILL_TEST")
	if dir == "" {
		t.Skip("the child of TestNoKillLeaks")
	}
	f, err := os.Open(filepath.Join(dir, "sites.yaml"))
	require.NoError(t, err)
	sites, err := Sites(f)
	require.NoError(t, err)
	site, err := FindSite(sites, "CHI@Test")
	require.NoError(t, err)
	creds, err := FindCredentials(site, "", func(name string) string {
		return map[string]string{"OS_CLIENT_CONFIG_FILE": filepath.Join(dir, "clouds.yaml")}[name]
	})
	require.NoError(t, err)
	b := &bed{sites: sites, dir: filepath.Join(dir, "records"), creds: creds}
	life, err := strconv.Atoi(os.Getenv("REPRISE_KILL_LIFE"))
	require.NoError(t, err)
	plan := lives[life].plan(b, t, 1)
	p := b.at(t, plan.Site.Name)
	d, err := p.Up(t.Context(), plan, UpOptions{})
	require.NoError(t, err)
	require.NoError(t, p.Down(d))
}

// TestNoKillLeaks kills the program, with no chance to clean up, in the middle
// of a request: another one's cleanup leaves nothing on the site.
func TestNoKillLeaks(t *testing.T) {
	totals := requestsOfLives(t)
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range points(t, 4*len(lives)) {
		life := i % len(lives)
		at, late := 3+rng.IntN(totals[life]-3), rng.IntN(2) == 0
		t.Run(fmt.Sprintf("%s at %d, carried out %v", lives[life].name, at, late), func(t *testing.T) {
			b := newBed(t)
			dir := t.TempDir()
			b.dir = filepath.Join(dir, "records")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "sites.yaml"), []byte(b.SitesYAML()), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte(b.CloudsYAML()), 0o600))
			child := exec.Command(os.Args[0], "-test.run=^TestKilledUpLeavesARecord$")
			child.Env = append(os.Environ(), "REPRISE_KILL_TEST="+dir, "REPRISE_KILL_LIFE="+strconv.Itoa(life))
			var killed atomic.Bool
			b.Intercept = func(n int, _ *http.Request) cloudtest.Fault {
				if n == at && killed.CompareAndSwap(false, true) {
					_ = child.Process.Kill()
					return cloudtest.Fault{Cut: true, Late: late}
				}
				return cloudtest.Fault{}
			}
			out, err := child.CombinedOutput()
			require.True(t, killed.Load() || err == nil, "%s", out)
			p := b.at(t, lives[life].plan(b, t, 1).Site.Name)
			_, err = p.Cleanup(t.Context(), false)
			require.NoError(t, err)
			require.Empty(t, b.Left(), "%s", strings.TrimSpace(b.heard()))
			list, _, err := p.Records.List()
			require.NoError(t, err)
			require.Empty(t, list)
		})
	}
}
