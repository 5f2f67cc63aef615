package cloudtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is a host: a network, process, mount and host-name namespace with a
// real OpenSSH server in it, at the end of a cable to a bridge. Its files under
// /home outlive a reboot; nothing else does.
type machine struct {
	name, fixed, floating string
	dir, cable            string
	server                *exec.Cmd
}

const (
	bridge  = "br0"
	gateway = "10.52.0.1"
	network = gateway + "/22"
)

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// newBridge makes the network that machines are plugged into.
func newBridge() error {
	if err := run("ip", "link", "add", bridge, "type", "bridge"); err != nil {
		return err
	}
	if err := run("ip", "addr", "add", network, "dev", bridge); err != nil {
		return err
	}
	return run("ip", "link", "set", bridge, "up")
}

// bootScript turns namespaces into a host. Its boot id is a file's, as the
// kernel's would be that of the machine all namespaces share.
const bootScript = `
hostname "$name"
mkdir -p "$dir/home/cc/.ssh"
cp "$dir/authorized" "$dir/home/cc/.ssh/authorized_keys"
chmod 700 "$dir/home/cc" "$dir/home/cc/.ssh"
chown -R 4999:4999 "$dir/home/cc"
mount --bind "$dir/home" /home
cat /proc/sys/kernel/random/uuid >"$dir/boot_id"
mount --bind "$dir/boot_id" /proc/sys/kernel/random/boot_id
mount -t tmpfs tmpfs /tmp
ip link set lo up
exec /usr/sbin/sshd -D -e -f "$dir/sshd_config"
`

// boot starts a machine that lets in the user cc with a key.
func boot(dir, name, fixed, authorized, cable string) (*machine, error) {
	m := &machine{name: name, fixed: fixed, dir: dir, cable: cable}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host_key")); err != nil {
		return nil, err
	}
	for file, text := range map[string]string{
		"authorized":  authorized + "\n",
		"sshd_config": fmt.Sprintf("HostKey %s/host_key\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n", dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return m, m.start()
}

func (m *machine) start() error {
	log, err := os.OpenFile(filepath.Join(m.dir, "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "[    0.000000] %s boots\n", m.name)
	m.server = exec.Command("unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", bootScript)
	m.server.Env = append(os.Environ(), "name="+m.name, "dir="+m.dir)
	m.server.Stdout, m.server.Stderr = log, log
	m.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.server.Start(); err != nil {
		return err
	}
	pid := strconv.Itoa(m.server.Process.Pid)
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if its, err := os.Readlink("/proc/" + pid + "/ns/net"); err == nil && its != ours {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not boot", m.name)
		}
	}
	there := func(args ...string) error { return run("nsenter", append([]string{"-t", pid, "-n", "ip"}, args...)...) }
	for _, err := range []error{
		run("ip", "link", "add", m.cable, "type", "veth", "peer", "name", "eth0", "netns", pid),
		run("ip", "link", "set", m.cable, "master", bridge, "up"),
		there("addr", "add", m.fixed+"/22", "dev", "eth0"),
		there("link", "set", "eth0", "up"),
		there("route", "add", "default", "via", gateway),
	} {
		if err != nil {
			return err
		}
	}
	if m.floating != "" {
		return m.float(m.floating)
	}
	return nil
}

// float has the machine answer at a further address, as a router's translation
// would; "" takes it away.
func (m *machine) float(address string) error {
	if m.floating != "" && m.floating != address {
		_ = run("ip", "route", "del", m.floating+"/32")
	}
	m.floating = address
	if address == "" {
		return nil
	}
	pid := strconv.Itoa(m.server.Process.Pid)
	if err := run("nsenter", "-t", pid, "-n", "ip", "addr", "replace", address+"/32", "dev", "lo"); err != nil {
		return err
	}
	return run("ip", "route", "replace", address+"/32", "via", m.fixed)
}

// console is the log of the machine's console, with its host key as cloud-init
// prints it.
func (m *machine) console() string {
	log, _ := os.ReadFile(filepath.Join(m.dir, "console"))
	key, _ := os.ReadFile(filepath.Join(m.dir, "host_key.pub"))
	return string(log) + "-----BEGIN SSH HOST KEY KEYS-----\n" + string(key) + "-----END SSH HOST KEY KEYS-----\n" + m.name + " login: "
}

// halt kills everything on the machine at once.
func (m *machine) halt() {
	if m.floating != "" {
		_ = run("ip", "route", "del", m.floating+"/32")
	}
	_ = m.server.Process.Kill()
	_ = m.server.Wait()
}
