//go:build !linux

package node

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownGroup puts a child in a process group of its own. There is no
// parent-death signal here, so a runner that is killed leaves its child.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// groupRSS sums the resident memory of a process group's members in bytes.
func groupRSS(group int) uint64 {
	out, err := exec.Command("ps", "-A", "-o", "pgid=,rss=").Output()
	if err != nil {
		return 0
	}
	var kib uint64
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == strconv.Itoa(group) {
			rss, _ := strconv.ParseUint(fields[1], 10, 64)
			kib += rss
		}
	}
	return kib << 10
}

// describe fills in what sysctl says of the machine.
func describe(m *Machine) {
	ask := func(names ...string) string {
		for _, name := range names {
			if out, err := exec.Command("sysctl", "-n", name).Output(); err == nil {
				return strings.TrimSpace(string(out))
			}
		}
		return ""
	}
	m.Kernel = ask("kern.osrelease")
	m.CPU = ask("machdep.cpu.brand_string", "hw.model")
	m.Memory, _ = strconv.ParseUint(ask("hw.memsize", "hw.physmem"), 10, 64)
}

// mountOf finds nothing here: there is no one way to ask.
func mountOf(string) (Mount, bool) { return Mount{}, false }

// ThisLoad says how busy this machine is, as far as sysctl tells.
func ThisLoad() (Load, error) {
	out, err := exec.Command("sysctl", "-n", "vm.loadavg").Output()
	if err != nil {
		return Load{}, err
	}
	var l Load
	if fields := strings.Fields(strings.Trim(strings.TrimSpace(string(out)), "{}")); len(fields) > 0 {
		l.Load1, err = strconv.ParseFloat(fields[0], 64)
	}
	return l, err
}

func usage(state *os.ProcessState, wall time.Duration) Usage {
	u := Usage{Wall: wall, User: state.UserTime(), Sys: state.SystemTime()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.MaxRSS = uint64(r.Maxrss) // bytes on the BSDs and macOS
	}
	return u
}
