//go:build linux

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/node/nodetest"
)

func init() { asRunner = runnerToKill }

// runnerToKill is a runner in a process of its own: it executes points of a
// script on a host.
func runnerToKill(args []string) error {
	target, user, known, identity, store, points, script := args[0], args[1], args[2], args[3], args[4], args[5], args[6]
	n, err := OpenSSH(context.Background(), target, SSH{User: user, KnownHosts: []string{known}, Identities: []string{identity}, Alive: 300 * time.Millisecond})
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(points)
	if err != nil {
		return err
	}
	_, err = executeIn(context.Background(), store, count, script, func(event.Event) {}, n)
	return err
}

// killable starts such a runner.
func killable(t *testing.T, s *nodetest.SSHD, store string, points int, script string) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self, "runner", s.Target(), s.User, s.KnownHosts, s.Identity, store, fmt.Sprint(points), script)
	c.Stderr = os.Stderr
	require.NoError(t, c.Start())
	kill = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	t.Cleanup(kill)
	return kill
}

// ran is a file in which each point of a script says that it has begun.
type ran string

func (r ran) script(then string) string { return `echo ${n} >>'` + string(r) + `'; ` + then }

func (r ran) points() []string {
	data, _ := os.ReadFile(string(r))
	return strings.Fields(string(data))
}

// begun waits until a number of points have begun.
func (r ran) begun(t *testing.T, points int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.points()) >= points }, 60*time.Second, 10*time.Millisecond)
}

// TestRunnerKilled kills a runner while its steps run on a host. The next run
// takes them over: none runs twice, and what is observed is what an undisturbed
// run observes.
func TestRunnerKilled(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	begun := ran(filepath.Join(t.TempDir(), "ran"))
	gate := filepath.Join(t.TempDir(), "gate")
	script := begun.script(`echo line; while [ ! -e '` + gate + `' ]; do sleep 0.05; done; echo v=${n} >>left; cat left`)
	const points = 5
	store := t.TempDir()
	kill := killable(t, s, store, points, script)
	begun.begun(t, 2)
	beside := open(t, s)
	require.Empty(t, beside.kept, "their runner lives")
	kill()

	n := open(t, s)
	require.NotEmpty(t, n.kept)
	left := n.Left(func(string) bool { return false })
	require.Len(t, left, len(n.kept))
	require.Contains(t, left[0], "still runs net/E1/n=")
	require.Empty(t, n.Left(func(string) bool { return true }))
	require.NoError(t, os.WriteFile(gate, nil, 0o644))
	r := &record{done: map[string]string{}}
	sum, err := executeIn(t.Context(), store, points, script, r.see, n)
	require.NoError(t, err)
	require.Equal(t, points, sum.Steps["done"], "%v", r.warnings)
	require.ElementsMatch(t, []float64{1, 2, 3, 4, 5}, r.values)
	require.ElementsMatch(t, []string{"1", "2", "3", "4", "5"}, begun.points(), "none runs twice")
	require.Contains(t, strings.Join(r.warnings, "\n"), "taken over")
	jobs, err := os.ReadDir(filepath.Join(s.Home, ".cache", "reprise", "jobs"))
	require.NoError(t, err)
	require.Empty(t, jobs)
}

// TestEndedUnseen takes over a command that has ended after its runner died, and
// one only of two runners does.
func TestEndedUnseen(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	begun := ran(filepath.Join(t.TempDir(), "ran"))
	store := t.TempDir()
	kill := killable(t, s, store, 1, begun.script(`sleep 0.5; echo v=${n}; echo end >>'`+string(begun)+`'`))
	begun.begun(t, 1)
	kill()
	begun.begun(t, 2)
	one, two := open(t, s), open(t, s)
	require.Len(t, one.kept, 1)
	require.Len(t, two.kept, 1)
	for key := range one.kept {
		for i, n := range []*Node{one, two} {
			var out bytes.Buffer
			c := node.Command{Argv: []string{"echo", "anew"}, Dir: t.TempDir(), Key: key, Limit: time.Minute, Stdout: &out, Stderr: &out}
			require.True(t, n.Holds(key))
			_, err := n.Run(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, []string{"v=1\n", "anew\n"}[i], out.String())
			require.False(t, n.Holds(key))
		}
	}
}

// TestRunnerOf tells whether a runner lives.
func TestRunnerOf(t *testing.T) {
	me := thisRunner()
	for name, c := range map[string]struct {
		change      func(*Runner)
		lives, sure bool
	}{
		"this process":                     {func(*Runner) {}, true, true},
		"another process with its number":  {func(r *Runner) { r.Start = "1" }, false, true},
		"before the machine started anew":  {func(r *Runner) { r.Boot = "before" }, false, true},
		"on another machine":               {func(r *Runner) { r.Host = "elsewhere" }, false, false},
		"in a container of this machine's": {func(r *Runner) { r.Space = "pid:[1]" }, false, false},
	} {
		r := me
		c.change(&r)
		lives, sure := r.lives()
		require.Equal(t, c.lives, lives, name)
		require.Equal(t, c.sure, sure, name)
	}
	k := Kept{Runner: Runner{Host: "elsewhere"}, Unheard: time.Second}
	require.False(t, k.dead())
	k.Unheard = time.Minute
	require.True(t, k.dead())
}

// TestClaimedOnce lets many runners claim a job at once.
func TestClaimedOnce(t *testing.T) {
	h := &Host{t.TempDir()}
	j := Job{ID: "J", Key: "K", Runner: Runner{PID: 1}, Argv: []string{"sleep", "60"}, Grace: time.Second}
	require.NoError(t, h.Prepare(Tree{Dir: j.dir() + "/work"}, &[]Want{}))
	require.NoError(t, h.Start(j, nil))
	t.Cleanup(func() { _ = h.Stop(Halt{Job: "J", Kill: true}, nil) })
	const many = 20
	got := make(chan bool, many)
	for i := range many {
		go func() {
			var ok bool
			err := h.Claim(Claim{"J", Runner{PID: 1}, Runner{PID: 100 + i}}, &ok)
			got <- ok && err == nil
		}()
	}
	won := 0
	for range many {
		if <-got {
			won++
		}
	}
	require.Equal(t, 1, won)
	var ok bool
	require.NoError(t, h.Claim(Claim{"none", Runner{}, Runner{}}, &ok))
	require.False(t, ok)
}

// TestStartedAnew does not trust what a command left on a machine that has
// started since.
func TestStartedAnew(t *testing.T) {
	h := &Host{t.TempDir()}
	j := Job{ID: "J", Key: "K", Argv: []string{"true"}, Grace: time.Second}
	require.NoError(t, h.Prepare(Tree{Dir: j.dir() + "/work"}, &[]Want{}))
	require.NoError(t, h.Start(j, nil))
	dir := filepath.Join(h.home, j.dir())
	require.Eventually(t, func() bool { end, err := ended(dir); return err == nil && end != nil }, 10*time.Second, 10*time.Millisecond)
	end, err := ended(dir)
	require.NoError(t, err)
	require.False(t, end.useless())
	command := filepath.Join(dir, commandFile)
	data, err := os.ReadFile(command)
	require.NoError(t, err)
	now, err := boot()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(command, bytes.ReplaceAll(data, []byte(now), []byte("before")), 0o600))
	end, err = ended(dir)
	require.NoError(t, err)
	require.True(t, end.useless())
	require.Contains(t, end.Failed, "started anew")
}

// TestSecretsThatDoNotCome does not run a command without what it needs.
func TestSecretsThatDoNotCome(t *testing.T) {
	for _, in := range []string{"", `["A=x`, `["A=x"]`, `null`} {
		j := Job{Handed: []string{"A", "B"}}
		require.ErrorContains(t, j.receive(strings.NewReader(in)), "have not come", in)
	}
	j := Job{Handed: []string{"A"}}
	require.NoError(t, j.receive(strings.NewReader(`["A=x"]`)))
	require.Equal(t, []string{"A=x"}, j.Secrets)
	j = Job{}
	require.NoError(t, j.receive(nil))
}

// TestHostGivenUp gives a host up while a command runs there. When it is tried
// there again, the same command is followed on.
func TestHostGivenUp(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	n := open(t, s)
	n.Patience = 500 * time.Millisecond
	begun := ran(filepath.Join(t.TempDir(), "ran"))
	c := node.Command{Key: "K", Limit: time.Minute, Env: []string{"n=1"}}
	script := begun.script(`sleep 2; echo end`)
	go func() {
		begun.begun(t, 1)
		cut := nodetest.Children(s.PID())
		s.Stop()
		for _, pid := range cut {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}()
	_, _, err := sh(t, n, c, script)
	require.ErrorContains(t, err, "could not be reached for")
	s.Start(t)
	_, out, err := sh(t, n, c, script)
	require.NoError(t, err)
	require.Equal(t, "end\n", out)
	require.Len(t, begun.points(), 1)
}

// TestRunnerKilledBehindACable kills a runner while the cable to its host is
// out, and while the host restarts.
func TestRunnerKilledBehindACable(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	m := newMachine(t, 1)
	n := m.node(t, time.Minute) // the machine answers
	require.NoError(t, n.Close())
	for name, restarts := range map[string]bool{"cable out": false, "host restarts": true} {
		begun := ran(filepath.Join(t.TempDir(), "ran"))
		script := begun.script(`sleep 2; echo v=${n}`)
		store := t.TempDir()
		const points = 4
		kill := killable(t, m.SSHD, store, points, script)
		begun.begun(t, 2)
		if restarts {
			kill()
			m.halt(t)
			m.boot(t)
		} else {
			m.unplug(t)
			time.Sleep(time.Second)
			kill()
			time.Sleep(time.Second)
			m.plug(t)
		}
		lost := len(begun.points())
		n := m.node(t, time.Minute)
		r := &record{done: map[string]string{}}
		sum, err := executeIn(t.Context(), store, points, script, r.see, n)
		require.NoError(t, err)
		require.Equal(t, points, sum.Steps["done"], "%s: %v", name, r.warnings)
		require.ElementsMatch(t, []float64{1, 2, 3, 4}, r.values, name)
		if restarts {
			require.Len(t, begun.points(), points+lost, "%s: those that were lost ran again, the others once", name)
			require.NotContains(t, strings.Join(r.warnings, "\n"), "taken over", name)
		} else {
			require.ElementsMatch(t, []string{"1", "2", "3", "4"}, begun.points(), name)
			require.Contains(t, strings.Join(r.warnings, "\n"), "taken over", name)
		}
		jobs, err := os.ReadDir(filepath.Join(m.Home, ".cache", "reprise", "jobs"))
		if !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
		}
		require.Empty(t, jobs, name)
		require.NoError(t, n.Close())
	}
}
