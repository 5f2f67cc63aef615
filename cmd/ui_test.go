package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tmux is a real terminal of 80 × 24 in which a shell runs.
type tmux struct {
	t      *testing.T
	socket string
	dir    string
}

// newTmux starts a terminal whose path begins with this test binary under the
// name of reprise.
func newTmux(t *testing.T) *tmux {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	const inside = "REPRISE_TMUX_TEST"
	require.Empty(t, os.Getenv(inside), "a terminal test within a terminal test")
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	// A copy and not a symbolic link: the runner starts its children by the
	// path of this executable, and by its name they know that they are reprise
	// and not the tests.
	program, err := os.ReadFile(self)
	require.NoError(t, err)
	for _, name := range []string{"reprise", "reprise-breaks"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), program, 0o755))
	}
	x := &tmux{t: t, socket: filepath.Join(dir, "socket"), dir: dir}
	x.run("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
		"env", "-u", "CI", "-u", "NO_COLOR", inside+"=1", "PATH="+dir+":"+os.Getenv("PATH"), "REPRISE_STORE="+filepath.Join(dir, "store"), "PS1=ready> ", "sh")
	t.Cleanup(func() { x.run("kill-server") })
	x.sees("ready>")
	return x
}

func (x *tmux) run(args ...string) string {
	out, err := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...).CombinedOutput()
	require.NoError(x.t, err, "%v: %s", args, out)
	return string(out)
}

func (x *tmux) screen() string { return x.run("capture-pane", "-p") }

func (x *tmux) write(name, text string) string {
	file := filepath.Join(x.dir, name)
	require.NoError(x.t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func (x *tmux) press(keys ...string) { x.run(append([]string{"send-keys"}, keys...)...) }

// sees waits until the screen matches all the patterns.
func (x *tmux) sees(patterns ...string) string {
	x.t.Helper()
	return x.within(20*time.Second, patterns...)
}

func (x *tmux) within(limit time.Duration, patterns ...string) string {
	x.t.Helper()
	var s string
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		s = x.screen()
		all := true
		for _, p := range patterns {
			all = all && regexp.MustCompile(p).MatchString(s)
		}
		if all {
			return s
		}
	}
	x.t.Fatalf("never saw %q; the screen is\n%s", patterns, s)
	return ""
}

// restored checks that the terminal is as the shell left it: echo, cooked, the
// normal screen and a cursor.
func (x *tmux) restored() {
	x.t.Helper()
	x.sees(`ready>\s*$`)
	x.press("stty -a | tr ';' '\\n' | grep -c -w -e '-icanon' -e '-echo'; echo t''est", "Enter")
	x.sees(`(?m)^0\ntest$`)
	require.Equal(x.t, "0 1\n", x.run("display-message", "-p", "#{alternate_on} #{cursor_flag}"))
}

const slowManifest = `
reprise: 1
artifact: slow
title: steps that take their time
experiments:
  E1:
    title: two short steps and one long
    profiles: {kick: {compute: 120s}}
    matrix: {wait: [0, 0.1, 100]}
    run: [{name: a, sh: "trap '%s' TERM INT; [ ${wait} != 100 ] || : > %s; echo waiting for ${wait}; sleep ${wait} & wait; echo v=1", extract: [{metric: v, unit: "1", regex: {line: "v=(?P<value>.*)"}}]}]
claims:
  C1:
    statement: v is one
    source: {where: "table 1", kind: table}
    experiment: E1
    checks: [{value: {metric: v, aggregate: mean, assume: exact, expect: 1}}]
`

// slow is the manifest of steps that do this when they are asked to end.
func (x *tmux) slow(trap string) string { return fmt.Sprintf(slowManifest, trap, x.mark()) }

func (x *tmux) mark() string { return filepath.Join(x.dir, "began") }

// began waits until the long step is shown and has set its trap.
func (x *tmux) began() {
	x.t.Helper()
	x.sees("2/3 steps: .*1 running")
	require.Eventually(x.t, func() bool { return os.Remove(x.mark()) == nil }, 20*time.Second, 20*time.Millisecond)
}

// TestRunInATerminal goes from the first screen to the verdicts of a kick run
// of an experiment of a built-in artifact, with nothing but keys.
func TestRunInATerminal(t *testing.T) {
	x := newTmux(t)
	x.press("reprise", "Enter")
	x.sees("1 Artifacts", "codesign", "none yet")
	x.press("Enter")
	x.sees(`\d+ steps: \d+ run, 0 reused`)
	// The shortest experiment alone: the others are taken out.
	x.press("g", "j", "Space", "j", "Space")
	x.sees(`\d+ steps: \d+ run, 0 reused`)
	x.press("s")
	x.sees("finished after", "the run has ended", "C1 skipped", "✓ C[0-9]+ reproduced")
	x.press("2")
	x.sees("▶ 2 Claims")
	x.run("resize-window", "-x", "40", "-y", "10")
	x.sees(`(?m)^▶ 2 Claims .*─$`)
	x.run("resize-window", "-x", "100", "-y", "30")
	x.sees("│ ▶ 2 Claims")
	x.press("q")
	x.sees("2 Recorded runs 1")
	x.press("q")
	x.sees(`\d+ claims?: .*Records: `)
	x.restored()
}

func TestCtrlCInATerminal(t *testing.T) {
	x := newTmux(t)
	obeys := x.write("slow.yaml", x.slow("exit 1"))
	x.press("reprise run "+obeys+"; echo code=$?", "Enter")
	x.began()
	x.press("C-c")
	x.sees("code=130", "1 inconclusive|1 error|1 skipped")
	x.restored()

	// A step that does not obey is killed by the second.
	stubborn := x.write("stubborn.yaml", x.slow(""))
	x.press("clear; reprise run "+stubborn+"; echo code=$?", "Enter")
	x.began()
	x.press("C-c")
	x.sees("stopping slow/E1/wait=")
	x.press("C-c")
	x.sees("code=130")
	x.restored()

	// The recorded run can be played back.
	x.press("clear; reprise replay --speed 0; echo code=$?", "Enter")
	x.sees("interrupted after")
	x.press("q")
	x.sees("code=0")
	x.restored()
}

// TestTerminalIsRestored whatever ends the program: a child that was killed, a
// signal from outside, two of them.
func TestTerminalIsRestored(t *testing.T) {
	x := newTmux(t)
	manifest := x.write("slow.yaml", x.slow("exit 1"))
	x.press("reprise run "+manifest+"; echo code=$?", "Enter")
	x.began()
	pane := strings.TrimSpace(x.run("display-message", "-p", "#{pane_pid}"))
	out, err := exec.Command("pgrep", "-P", pane).Output()
	require.NoError(t, err)
	reprise := strings.TrimSpace(string(out))
	out, err = exec.Command("pgrep", "-P", reprise).Output()
	require.NoError(t, err)
	require.NoError(t, exec.Command("kill", "-KILL", strings.Fields(string(out))[0]).Run())
	x.sees("finished with failures", "1 failed")
	x.press("q")
	x.sees("code=4")
	x.restored()

	// A signal from outside stops the run; where a step does not obey, a second
	// one ends the program at once.
	stubborn := x.write("stubborn.yaml", x.slow(""))
	for file, signals := range map[string]int{manifest: 1, stubborn: 2} {
		x.press("clear; reprise run "+file+"; echo code=$?", "Enter")
		x.began()
		out, err = exec.Command("pgrep", "-P", pane).Output()
		require.NoError(t, err)
		for range signals {
			require.NoError(t, exec.Command("kill", "-TERM", strings.TrimSpace(string(out))).Run())
			time.Sleep(300 * time.Millisecond)
		}
		x.sees("code=130")
		x.restored()
	}
}

// TestTerminalIsRestoredAfterAPanic of the UI, or of the run beside it: both
// ask the clock.
func TestTerminalIsRestoredAfterAPanic(t *testing.T) {
	x := newTmux(t)
	manifest := x.write("slow.yaml", x.slow("exit 1"))
	breaks := filepath.Join(x.dir, "broken")
	x.press("REPRISE_BREAKS="+breaks+" reprise-breaks run "+manifest+" 2>panic; echo code=$?", "Enter")
	x.began()
	require.NoError(t, os.WriteFile(breaks, nil, 0o644))
	x.sees("code=[1-9]")
	x.restored()
	said := x.run("display-message", "-p", "#{pane_current_path}")
	data, _ := os.ReadFile(filepath.Join(strings.TrimSpace(said), "panic"))
	_ = os.Remove(filepath.Join(strings.TrimSpace(said), "panic"))
	require.Contains(t, string(data)+x.screen(), "the clock is broken")
}

// TestStepsAreDirectedInATerminal skips a step, asks one to end and then kills
// it, pauses, and changes a parameter of the run that has ended.
func TestStepsAreDirectedInATerminal(t *testing.T) {
	x := newTmux(t)
	stubborn := x.write("stubborn.yaml", x.slow(""))
	x.press("reprise run "+stubborn+" --jobs 1; echo code=$?", "Enter")
	x.began()
	x.press("5")
	x.sees("processor", "memory", "load")
	x.press("1", "x", "y")
	x.sees(`x again kills`)
	x.press("x")
	x.sees("finished after", "1 cancelled")
	x.press("e")
	x.sees("Run slow", `wait += 0,0.1,100`)
	x.press("k", "k", "k", "Enter", "0.2", "Enter")
	x.sees(`0.2 \(changed\)`, "1 steps: 1 run")
	x.press("s")
	x.sees("1/1 steps", "✓ C1 reproduced")
	x.press("o")
	x.sees("Report of run", "slow/C1  ✓ reproduced")
	x.press("q", "q")
	x.sees("code=0")
	x.restored()

	x.press("clear; reprise run "+stubborn+" --fresh --jobs 1; echo code=$?", "Enter")
	x.began()
	x.press("p")
	x.sees("no further step begins")
	x.press("S", "y")
	x.sees("skipping slow/E1/wait=100")
	x.press("x", "p")
	x.sees("finished after", "1 skipped")
	x.press("q")
	x.sees("code=6", "inconclusive")
	x.restored()
}

func TestNoUIWhereItWouldNotDo(t *testing.T) {
	x := newTmux(t)
	manifest := x.write("slow.yaml", strings.Replace(x.slow("exit 1"), ", 100]", "]", 1))
	for _, how := range []string{"TERM=dumb reprise run ", "CI=1 reprise run ", "reprise run --plain ", "reprise run --json "} {
		x.press("clear; "+how+manifest+" 2>&1 | cat; echo o''ver", "Enter")
		s := x.sees(`(?m)^over$`)
		require.NotContains(t, s, "▶ 1 Steps", how)
	}
	x.press("clear; TERM=dumb reprise run "+manifest+"; echo o''ver", "Enter")
	x.sees(`run \d+-\d+-?\d*: slow, profile kick`, `(?m)^over$`)
	x.press("clear; TERM=dumb reprise; echo o''ver", "Enter")
	x.sees(`Use "reprise \[command\] --help"`, `(?m)^over$`)
	x.press("clear; NO_COLOR=1 reprise run "+manifest, "Enter")
	x.sees("finished after")
	require.NotRegexp(t, `\x1b\[[0-9;]*(3|4|9|10)[0-7](;|m)`, x.run("capture-pane", "-p", "-e"))
	x.press("q")
	x.sees("Records: ")
	x.restored()
}
