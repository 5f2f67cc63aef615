package nodetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHD is a real OpenSSH server for one test, with keys and a home folder of
// its own.
type SSHD struct {
	User, Address string // Address is host:port
	Home          string // $HOME of who logs in; programs in its bin come first
	Identity      string // key file that lets in
	KnownHosts    string // file that knows the server's key

	dir    string
	server *exec.Cmd
}

// Target is user@host:port.
func (s *SSHD) Target() string { return s.User + "@" + s.Address }

// StartSSHD starts a server on loopback, or skips the test where there is no
// OpenSSH.
func StartSSHD(t testing.TB) *SSHD {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	s := PrepareSSHD(t, address)
	s.Start(t)
	return s
}

// PrepareSSHD makes the keys and configuration of a server.
func PrepareSSHD(t testing.TB, address string) *SSHD {
	t.Helper()
	sshdPath(t)
	me, err := user.Current()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "sshd") //nolint:usetesting // a server's last process may still write when the test ends
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &SSHD{User: me.Username, Address: address, dir: dir, Home: filepath.Join(dir, "home"), Identity: filepath.Join(dir, "id"), KnownHosts: filepath.Join(dir, "known_hosts")}
	require.NoError(t, os.Mkdir(s.Home, 0o700))
	public := WriteKey(t, s.Identity)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(public), 0o600))
	s.NewHostKey(t)
	s.Trust(t)
	return s
}

func sshdPath(t testing.TB) string {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/libexec/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("needs an OpenSSH server: apt-get install openssh-server")
	return ""
}

// WriteKey makes a new key without a passphrase.
func WriteKey(t testing.TB, path string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "test")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(key), 0o644))
	return key
}

// NewHostKey gives the server another host key when it next starts.
func (s *SSHD) NewHostKey(t testing.TB) { WriteKey(t, filepath.Join(s.dir, "host_key")) }

// Trust makes KnownHosts know the server's key.
func (s *SSHD) Trust(t testing.TB) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "host_key.pub"))
	require.NoError(t, err)
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.KnownHosts, []byte(knownhosts.Line([]string{s.Address}, key)+"\n"), 0o600))
}

// Start starts the server. prefix are words before the command, to start it
// elsewhere; without it the server has begun to answer on return.
func (s *SSHD) Start(t testing.TB, prefix ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	if len(prefix) > 0 {
		host = "0.0.0.0" // the address may come later
	}
	if os.Getuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // sshd's own place, which it wants to be there
	}
	config := filepath.Join(s.dir, "config")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
ListenAddress %s
Port %s
HostKey %s/host_key
AuthorizedKeysFile %s/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME=%s PATH=%s/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
MaxStartups 100
`, host, port, s.dir, s.dir, s.Home, s.Home), 0o600))
	log, err := os.Create(filepath.Join(s.dir, "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	args := append(prefix, sshdPath(t), "-D", "-e", "-f", config)
	s.server = exec.Command(args[0], args[1:]...)
	s.server.Stderr = log
	s.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, s.server.Start())
	t.Cleanup(func() { s.Stop() })
	if len(prefix) > 0 {
		return
	}
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", s.Address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "sshd does not answer: %s", s.Log())
}

// PID is the process of the server, or of what Start's prefix started.
func (s *SSHD) PID() int { return s.server.Process.Pid }

// Log is what the server wrote.
func (s *SSHD) Log() string {
	data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(data)
}

// Stop ends the server; connections go on.
func (s *SSHD) Stop() {
	if s.server != nil {
		_ = s.server.Process.Kill()
		_ = s.server.Wait()
		s.server = nil
	}
}

// Cut ends all connections to the server, which goes on.
func (s *SSHD) Cut(t testing.TB) {
	t.Helper()
	for _, pid := range Children(s.PID()) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Children are the processes that a process has started.
func Children(parent int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var pid, ppid int
		var state string
		_, _ = fmt.Sscan(string(data), &pid)
		rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
		if _, err := fmt.Sscan(rest, &state, &ppid); err == nil && ppid == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}
