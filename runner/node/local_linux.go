package node

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
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
	m.Governor = governor("/sys/devices/system/cpu")
}

// ThisLoad says how busy this machine is.
func ThisLoad() (Load, error) {
	var l Load
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return l, err
	}
	// The first line counts user nice system idle iowait irq softirq steal, in
	// hundredths of a second; guest time is part of user time.
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	for i, field := range bytes.Fields(line) {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		switch {
		case i == 0 || i > 8 || err != nil:
		case i == 4 || i == 5:
			l.Idle += time.Duration(ticks) * 10 * time.Millisecond
		default:
			l.Busy += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return l, err
	}
	kib := func(name string) uint64 {
		for line := range bytes.Lines(memory) {
			if rest, is := bytes.CutPrefix(line, []byte(name+":")); is {
				n, _ := strconv.ParseUint(string(bytes.Fields(rest)[0]), 10, 64)
				return n << 10
			}
		}
		return 0
	}
	l.MemoryTotal = kib("MemTotal")
	l.MemoryUsed = l.MemoryTotal - min(kib("MemAvailable"), l.MemoryTotal)
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if fields := bytes.Fields(load); len(fields) > 0 {
			l.Load1, _ = strconv.ParseFloat(string(fields[0]), 64)
		}
	}
	return l, nil
}

// governor reads what chooses the cores' frequency below a folder of the kernel's.
func governor(cpus string) string {
	files, _ := filepath.Glob(filepath.Join(cpus, "cpu[0-9]*", "cpufreq", "scaling_governor"))
	var kinds []string
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			if kind := string(bytes.TrimSpace(data)); !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, ",")
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
