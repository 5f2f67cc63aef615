package node

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
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
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
	describe(&m)
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
