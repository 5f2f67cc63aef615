package node

import (
	"bytes"
	"cmp"
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
	m.NUMA = numa("/sys/devices/system/node")
	if line, err := os.ReadFile("/proc/cmdline"); err == nil {
		m.CommandLine = commandLine(string(line))
	}
}

// commandLine is the kernel's part of its command line.
func commandLine(line string) string {
	kernel, _, _ := strings.Cut(strings.TrimSpace(line), " -- ")
	return strings.TrimSpace(kernel)
}

// numa reads the memory nodes below a folder of the kernel's.
func numa(folder string) []NUMANode {
	dirs, _ := filepath.Glob(filepath.Join(folder, "node[0-9]*"))
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	var nodes []NUMANode
	for _, dir := range dirs {
		cpus, err := os.ReadFile(filepath.Join(dir, "cpulist"))
		if err != nil {
			continue
		}
		number := strings.TrimPrefix(filepath.Base(dir), "node")
		kib := procField(filepath.Join(dir, "meminfo"), "Node "+number+" MemTotal")
		size, _ := strconv.ParseUint(strings.TrimSuffix(kib, " kB"), 10, 64)
		nodes = append(nodes, NUMANode{CPUs: string(bytes.TrimSpace(cpus)), Memory: size << 10})
	}
	return nodes
}

// mountOf finds the file system of a folder, or of the nearest that is there.
func mountOf(folder string) (Mount, bool) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Mount{}, false
	}
	for {
		if real, err := filepath.EvalSymlinks(folder); err == nil {
			folder = real
			break
		}
		if folder == filepath.Dir(folder) {
			return Mount{}, false
		}
		folder = filepath.Dir(folder)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Mount{}, false
	}
	return findMount(string(table), folder)
}

// findMount finds the entry of mountinfo that a folder is on: the last of those
// with the longest mount point, since later mounts cover earlier ones.
func findMount(mountinfo, folder string) (found Mount, ok bool) {
	longest := -1
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mountinfo) {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
		before, after, _ := strings.Cut(line, " - ")
		at, fs := strings.Fields(before), strings.Fields(after)
		if len(at) < 6 || len(fs) < 2 {
			continue
		}
		point := unescape.Replace(at[4])
		if inside := point == "/" || folder == point || strings.HasPrefix(folder, point+"/"); !inside || len(point) < longest {
			continue
		}
		longest, ok = len(point), true
		found = Mount{Type: fs[0], Source: unescape.Replace(fs[1]), Options: at[5]}
		for _, o := range strings.Split(strings.Join(fs[2:], " "), ",") {
			if o != "" && !slices.Contains(strings.Split(found.Options, ","), o) {
				found.Options += "," + o
			}
		}
	}
	return found, ok
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
