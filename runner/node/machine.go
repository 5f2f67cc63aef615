package node

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"reprise/runner/device"
)

// Machine is what a node's measurements depend on.
type Machine struct {
	OS     string `json:"os"`   // in Go's terms: linux
	Arch   string `json:"arch"` // in Go's terms: amd64
	Kernel string `json:"kernel,omitempty"`
	CPU    string `json:"cpu,omitempty"` // model
	Cores  int    `json:"cores"`
	Memory uint64 `json:"memory"` // bytes; 0: unknown
	// Governor chooses the cores' frequency: performance, powersave, …; several
	// joined by commas; "" where the kernel has none, as in most virtual machines.
	Governor string `json:"governor,omitempty"`
	// NUMA are the memory nodes in the kernel's order; none where it tells none.
	NUMA []NUMANode `json:"numa,omitempty"`
	// CommandLine is the kernel's, without what it hands on to the first process.
	CommandLine string  `json:"kernel_command_line,omitempty"`
	Disks       []Disk  `json:"disks,omitempty"`
	Mounts      []Mount `json:"mounts,omitempty"` // of the folders that matter
	// Environment has those of Variables that are set for the node's commands.
	Environment map[string]string `json:"environment,omitempty"`
	// Identity tells whose machine it is. It is written down so that what is
	// published can leave it out wherever it stands.
	Identity *Identity `json:"identity,omitempty"`
}

// NUMANode is a memory node: which cores are near how much memory.
type NUMANode struct {
	CPUs   string `json:"cpus,omitempty"` // the kernel's list: 0-11,24-35
	Memory uint64 `json:"memory"`         // bytes
}

// Disk is a block device as the kernel describes it. Serial numbers are left out.
type Disk struct {
	Path     string `json:"path"`
	Model    string `json:"model,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Kind     string `json:"kind"` // nvme, ssd or hdd
	Bytes    uint64 `json:"bytes"`
}

// Mount is the file system of a folder.
type Mount struct {
	Of      string `json:"of"`   // what the folder is for: work, results
	Type    string `json:"type"` // ext4, nfs4, …
	Source  string `json:"source,omitempty"`
	Options string `json:"options,omitempty"`
}

// Identity is what names a machine and its user.
type Identity struct {
	Host string `json:"host,omitempty"`
	User string `json:"user,omitempty"`
	Home string `json:"home,omitempty"`
}

// Variables are the environment variables that change what programs measure and
// that hold no secrets. docs/records.md says what each is for.
var Variables = []string{
	"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG", "GOFLAGS", "GOAMD64",
	"OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OMP_SCHEDULE", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
	"CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
	"CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "MAKEFLAGS",
	"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_BIND_NOW", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_CONF",
	"PYTHONHASHSEED", "PYTHONOPTIMIZE", "LANG", "LC_ALL", "TZ", "TMPDIR",
}

// environmentOf picks the variables that matter from an environment.
func environmentOf(env []string) map[string]string {
	picked := map[string]string{}
	for _, v := range env {
		if name, value, _ := strings.Cut(v, "="); slices.Contains(Variables, name) {
			picked[name] = value
		}
	}
	return picked
}

// On is the machine with the file system of a folder added, where it is known.
func (m Machine) On(of, folder string) Machine {
	if mount, ok := mountOf(folder); ok {
		mount.Of = of
		m.Mounts = append(slices.Clip(m.Mounts), mount)
	}
	return m
}

// Platform is the class of machine that results are kept under: operating
// system and architecture.
func (m Machine) Platform() string { return m.OS + "/" + m.Arch }

func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = m.Arch
	}
	return fmt.Sprintf("%s, %d cores, %d GiB, %s %s", cpu, m.Cores, (m.Memory+1<<29)>>30, m.OS, m.Kernel)
}

// ThisMachine describes the machine this program runs on.
func ThisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Environment: environmentOf(os.Environ()), Identity: &Identity{}}
	describe(&m)
	disks, _ := device.This() // where they cannot be read, none are known
	for _, d := range disks {
		m.Disks = append(m.Disks, Disk{Path: d.Path, Model: d.Model, Firmware: d.Firmware, Kind: d.Kind, Bytes: d.Bytes})
	}
	m.Identity.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		m.Identity.User, m.Identity.Home = u.Username, u.HomeDir
	}
	return m
}

// Load is how busy a machine is; what is not known is zero.
type Load struct {
	Busy, Idle  time.Duration // processor time of all cores since it started
	MemoryUsed  uint64        // bytes that are not available to programs
	MemoryTotal uint64
	Load1       float64 // runnable tasks, averaged over a minute
}

// FreeSpace is how many bytes can be written on the disk of a folder; ok is
// false where that is not known.
func FreeSpace(folder string) (bytes uint64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true //nolint:unconvert // the types differ between systems
}
