package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownGroup puts a child in a process group of its own and has the kernel kill
// it should the runner die without a chance to.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// groupRSS sums the resident memory of a process group's members in bytes.
func groupRSS(group int) uint64 {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pages uint64
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		// Fields are counted from behind the command's name, which may itself
		// hold blanks and parentheses: state ppid pgrp … and rss as the 22nd.
		fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(fields) < 22 {
			continue
		}
		if pgrp, _ := strconv.Atoi(string(fields[2])); pgrp != group {
			continue
		}
		rss, _ := strconv.ParseUint(string(fields[21]), 10, 64)
		pages += rss
	}
	return pages * uint64(os.Getpagesize())
}

// describe fills in what the kernel says of the machine.
func describe(m *Machine) {
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = string(bytes.TrimSpace(release))
	}
	m.CPU = procField("/proc/cpuinfo", "model name")
	if kib, _, _ := strings.Cut(procField("/proc/meminfo", "MemTotal"), " "); kib != "" {
		n, _ := strconv.ParseUint(kib, 10, 64)
		m.Memory = n << 10
	}
}

// procField finds the first line "name : value" of a file.
func procField(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func usage(state *os.ProcessState, wall time.Duration) Usage {
	u := Usage{Wall: wall, User: state.UserTime(), Sys: state.SystemTime()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.MaxRSS = uint64(r.Maxrss) << 10 // the kernel counts KiB
	}
	return u
}
