package remote

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"reprise/runner/node"
	"reprise/runner/node/nodetest"
)

// said collects what is noted of a command.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, text)
}

func sh(t *testing.T, n node.Node, c node.Command, script string) (node.Result, string, error) {
	t.Helper()
	var out bytes.Buffer
	c.Argv, c.Stdout, c.Stderr = []string{"sh", "-c", script}, &out, &out
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	r, err := n.Run(t.Context(), c)
	return r, out.String(), err
}

// TestCutConnections cuts every connection several times while a command runs.
// It goes on, and not a byte of its output is lost or doubled.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	n := open(t, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 4 {
			time.Sleep(250 * time.Millisecond)
			s.Cut(t)
		}
	}()
	var notes said
	r, out, err := sh(t, n, node.Command{Note: notes.note}, `i=0; while [ $i -lt 150 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; echo kept >file; exit 7`)
	<-done
	require.NoError(t, err)
	require.Equal(t, 7, r.ExitCode)
	var want strings.Builder
	for i := range 150 {
		fmt.Fprintf(&want, "line %d\n", i+1)
	}
	require.Equal(t, want.String(), out)
	require.NotEmpty(t, notes.lines)
	require.Contains(t, notes.lines[0], "is back after")
}

// TestServerAway stops the server for a while and starts it again.
func TestServerAway(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	n := open(t, s)
	go func() {
		time.Sleep(300 * time.Millisecond)
		cut := nodetest.Children(s.PID())
		s.Stop()
		for _, pid := range cut {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(1200 * time.Millisecond)
		s.Start(t)
	}()
	r, out, err := sh(t, n, node.Command{}, `echo one; sleep 1; echo two`)
	require.NoError(t, err)
	require.Zero(t, r.ExitCode)
	require.Equal(t, "one\ntwo\n", out)
	require.Less(t, r.Usage.Wall, 1400*time.Millisecond, "the command did not wait for the server")
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	n := open(t, s)
	n.Patience = time.Second
	go func() {
		time.Sleep(300 * time.Millisecond)
		cut := nodetest.Children(s.PID())
		s.Stop()
		for _, pid := range cut {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}()
	_, _, err := sh(t, n, node.Command{}, `sleep 2`)
	require.ErrorContains(t, err, "could not be reached for")
	require.ErrorContains(t, err, s.Address)
}

// TestSupervisorKilled kills what watches over a command, as a machine that
// starts anew does: the command is lost, which is no fault of its own.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	n := open(t, nodetest.StartSSHD(t))
	_, _, err := sh(t, n, node.Command{}, `kill -9 $PPID; sleep 60`)
	require.ErrorContains(t, err, "the command was lost")
}

// TestAbandoned runs a job that nobody follows.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	h := &Host{home}
	j := Job{ID: "J", Argv: []string{"sleep", "60"}, Grace: time.Second, Abandoned: 300 * time.Millisecond}
	require.NoError(t, h.Prepare(Tree{Dir: j.dir() + "/work"}, &[]Want{}))
	require.NoError(t, h.Start(j, nil))
	dir := filepath.Join(home, j.dir())
	require.Eventually(t, func() bool { end, err := ended(dir); return err == nil && end != nil }, 10*time.Second, 20*time.Millisecond)
	end, err := ended(dir)
	require.NoError(t, err)
	require.Equal(t, node.Stopped, end.Result.End)
}

func TestStartedOnce(t *testing.T) {
	home := t.TempDir()
	h := &Host{home}
	j := Job{ID: "J", Argv: []string{"sh", "-c", "echo ran; sleep 0.2"}, Grace: time.Second, Abandoned: time.Minute}
	require.NoError(t, h.Prepare(Tree{Dir: j.dir() + "/work"}, &[]Want{}))
	for range 3 {
		require.NoError(t, h.Start(j, nil))
	}
	at, out := Position{Job: "J"}, ""
	for {
		var p Progress
		require.NoError(t, h.Follow(at, &p))
		out += string(p.Data[0])
		at.Offsets[0] += int64(len(p.Data[0]))
		if p.Ended {
			break
		}
	}
	require.NoError(t, h.Start(j, nil), "after its end, too")
	require.Equal(t, "ran\n", out)
	require.NoError(t, h.Forget("J", nil))
	require.NoDirExists(t, filepath.Join(home, j.dir()))
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	host, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	o := reach(s)

	o.KnownHosts = []string{filepath.Join(t.TempDir(), "none")}
	_, err = OpenSSH(t.Context(), s.Target(), o)
	var key *HostKeyError
	require.ErrorAs(t, err, &key)
	require.Regexp(t, `^the key of .* ssh-ed25519 SHA256:\S+, is not in `, err.Error())
	require.Contains(t, key.Hint(), "ssh-keyscan -p "+port+" "+host)

	// The hint mends it.
	scan := strings.SplitN(key.Hint(), "then: ", 2)[1]
	out, err := exec.Command("sh", "-c", scan).CombinedOutput()
	require.NoError(t, err, "%s", out)
	n, err := OpenSSH(t.Context(), s.Target(), o)
	require.NoError(t, err)
	require.NoError(t, n.Close())

	s.Stop()
	s.NewHostKey(t)
	s.Start(t)
	_, err = OpenSSH(t.Context(), s.Target(), o)
	require.ErrorAs(t, err, &key)
	require.Contains(t, err.Error(), "has changed")
	require.Regexp(t, `none:\d`, err.Error())
	require.Contains(t, key.Hint(), "ssh-keygen -f "+o.KnownHosts[0]+" -R '["+host+"]:"+port+"'")
}

// TestChangedKeyOnReconnection refuses a host whose key has changed since the
// command was started, at once.
func TestChangedKeyOnReconnection(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	n := open(t, s)
	go func() {
		time.Sleep(300 * time.Millisecond)
		cut := nodetest.Children(s.PID())
		s.Stop()
		s.NewHostKey(t)
		s.Start(t)
		for _, pid := range cut {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}()
	_, _, err := sh(t, n, node.Command{}, `sleep 3`)
	require.ErrorContains(t, err, "has changed")
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	o := reach(s)

	other := filepath.Join(t.TempDir(), "other")
	nodetest.WriteKey(t, other)
	o.Identities = []string{other}
	_, err := OpenSSH(t.Context(), s.Target(), o)
	var auth *AuthError
	require.ErrorAs(t, err, &auth)
	require.Contains(t, auth.Hint(), "ssh-copy-id")

	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("open sesame"))
	require.NoError(t, err)
	locked := filepath.Join(t.TempDir(), "locked")
	require.NoError(t, os.WriteFile(locked, pem.EncodeToMemory(block), 0o600))
	o.Identities = []string{locked}
	_, err = OpenSSH(t.Context(), s.Target(), o)
	require.ErrorAs(t, err, &auth)
	require.Contains(t, auth.Hint(), "ssh-add "+locked)

	s.Stop()
	_, err = OpenSSH(t.Context(), s.Target(), reach(s))
	require.ErrorContains(t, err, "connection refused")
}

func TestAgent(t *testing.T) {
	s := nodetest.StartSSHD(t)
	data, err := os.ReadFile(s.Identity)
	require.NoError(t, err)
	key, err := ssh.ParseRawPrivateKey(data)
	require.NoError(t, err)
	ring := agent.NewKeyring()
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn) }()
		}
	}()
	o := reach(s)
	o.Identities, o.Agent = nil, socket
	n, err := OpenSSH(t.Context(), s.Target(), o)
	require.NoError(t, err)
	require.NoError(t, n.Close())
}

// TestJumpHost reaches a host by the name that a configuration file gives it,
// through another one.
func TestJumpHost(t *testing.T) {
	t.Parallel()
	gate, s := nodetest.StartSSHD(t), nodetest.StartSSHD(t)
	home := t.TempDir()
	config := ""
	for name, h := range map[string]*nodetest.SSHD{"gate": gate, "inside": s} {
		host, port, err := net.SplitHostPort(h.Address)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(h.Identity, filepath.Join(home, "id_"+name)))
		config += fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n  IdentityFile ~/id_%s\n  UserKnownHostsFile %s\n", name, host, port, name, h.KnownHosts)
	}
	config += "Host ins*\n  ProxyJump gate\nHost *\n  User " + s.User + "\n"
	o := SSH{User: "nobody-else", Config: filepath.Join(home, "config"), Home: home}
	require.NoError(t, os.WriteFile(o.Config, []byte(config), 0o600))
	n, err := OpenSSH(t.Context(), "inside", o)
	require.NoError(t, err)
	defer func() { _ = n.Close() }()
	require.Equal(t, "inside", n.Name())
	gate.Cut(t)
	r, out, err := sh(t, n, node.Command{}, `echo "$HOME"`)
	require.NoError(t, err)
	require.Zero(t, r.ExitCode)
	require.Equal(t, s.Home+"\n", out)
}

func TestRoute(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(config, []byte(`
Host deep
  ProxyJump one,u@two:2200
Host one
  HostName one.%h.net
  ProxyJump zero
Host circle
  ProxyJump circle
Host command
  ProxyCommand nc %h %p
Match host matched
  User m
`), 0o600))
	o := SSH{User: "me", Config: config}
	for target, want := range map[string]string{
		"a":              "me@a",
		"u@a:2022":       "u@a:2022",
		"ssh://u@a":      "u@a",
		"u@[::1]:2022":   "u@[::1]:2022",
		"::1":            "me@::1",
		"deep":           "me@zero me@one.one.net u@two:2200 me@deep",
		"matched":        "m@matched",
		"first@second@c": "first@second@c",
	} {
		hops, err := o.route(target)
		require.NoError(t, err, target)
		var got []string
		for _, h := range hops {
			got = append(got, h.String())
		}
		require.Equal(t, want, strings.Join(got, " "), target)
	}
	for target, want := range map[string]string{
		"": "no host", "u@": "no host", "a:b:": "no host", "a b": "no host", "circle": "circle", "command": "ProxyCommand",
	} {
		_, err := o.route(target)
		require.ErrorContains(t, err, want, target)
	}
}

func TestProgramDoesNotFit(t *testing.T) {
	t.Parallel()
	s := nodetest.StartSSHD(t)
	bin := filepath.Join(s.Home, "bin")
	require.NoError(t, os.Mkdir(bin, 0o700))
	uname := filepath.Join(bin, "uname")
	require.NoError(t, os.WriteFile(uname, []byte("#!/bin/sh\n[ $1 = -s ] && echo Plan9 || echo mips\n"), 0o700))
	_, err := OpenSSH(t.Context(), s.Target(), reach(s))
	var program *ProgramError
	require.ErrorAs(t, err, &program)
	require.ErrorContains(t, err, "is plan9/mips, and there is no reprise for that here")
	require.Contains(t, program.Hint(), "GOOS=plan9 GOARCH=mips CGO_ENABLED=0 go build")
	require.NoError(t, os.Remove(uname))

	// A program for the platform that does not start, here because it is
	// another one.
	o := reach(s)
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	o.Programs = []string{filepath.Join(strings.TrimSpace(string(goroot)), "bin", "gofmt")}
	_, err = OpenSSH(t.Context(), s.Target(), o)
	require.ErrorAs(t, err, &program)
	require.NotEmpty(t, program.Said)

	o.Programs = []string{"/dev/null"}
	_, err = OpenSSH(t.Context(), s.Target(), o)
	require.ErrorContains(t, err, "no program that Go built")
}

func TestPlatformOf(t *testing.T) {
	for _, c := range [][3]string{{"Linux", "x86_64", "linux/amd64"}, {"Linux", "aarch64", "linux/arm64"}, {"Darwin", "arm64", "darwin/arm64"}, {"FreeBSD", "amd64", "freebsd/amd64"}, {"Linux", "loongarch64", "linux/loongarch64"}} {
		require.Equal(t, c[2], platformOf(c[0], c[1]))
	}
	require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, node.ThisMachine().Platform())
}

// TestNothingSecretShows plants secrets where this process has them and looks
// for them everywhere a command leaves something or other users can look.
func TestNothingSecretShows(t *testing.T) {
	const planted = "PLANTED-5f1c9e"
	t.Setenv("OF_THE_RUNNER", planted+"-runner")
	s := nodetest.StartSSHD(t)
	n := open(t, s)
	identity, err := os.ReadFile(s.Identity)
	require.NoError(t, err)
	lines := strings.Split(string(identity), "\n")
	secrets := []string{planted, lines[2], lines[3]}
	dir := t.TempDir()
	var shown []string
	// The job's files are looked through while it runs and after it has printed
	// what it was handed; there are none of them afterwards.
	jobs := filepath.Join(s.Home, ".cache", "reprise", "jobs")
	c := node.Command{Dir: dir, Env: []string{"OF_THE_STEP=" + planted + "-step"}, Secrets: []string{"A_TOKEN=" + planted[:4] + "-handed-77aa01"}}
	_, out, err := sh(t, n, c, `env | grep -v -e ^OF_THE_STEP= -e ^A_TOKEN= ; ps -A -o args; printf %s "$A_TOKEN" | head -c 9; sleep 0.1; printf %s "$A_TOKEN" | tail -c +10; echo; echo "$A_TOKEN" >&2
		sleep 0.1; ls `+jobs+`/*/command.json; grep -r -- "$A_TOKEN" `+jobs+` && echo found; true`)
	require.NoError(t, err)
	require.Contains(t, out, "[secret A_TOKEN]\n")
	require.Contains(t, out, "command.json")
	require.NotContains(t, out, "found\n")
	shown = append(shown, strings.ReplaceAll(out, "77aa01", planted))
	shown = append(shown, out, s.Log())
	for _, place := range []string{s.Home, dir} {
		require.NoError(t, filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "reprise" { // the program holds the words of this test
				return err
			}
			data, err := os.ReadFile(path)
			shown = append(shown, path+"\n"+string(data))
			return err
		}))
	}
	for _, secret := range secrets {
		for _, text := range shown {
			require.NotContains(t, text, secret)
		}
	}
}

// TestDialIsBounded connects to something that accepts and says nothing.
func TestDialIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("no answer"))
	defer cancel()
	_, err = OpenSSH(ctx, l.Addr().String(), SSH{User: "u", KnownHosts: []string{"none"}})
	require.ErrorContains(t, err, "no answer")
}
