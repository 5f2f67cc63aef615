// Package device finds the block devices that an artifact asks for among those
// of a machine, by what its kernel says of them, and refuses those that hold
// anything.
package device

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"reprise/artifacts"
)

// Device is a whole disk of a machine.
type Device struct {
	Path   string `json:"path"`  // /dev/nvme0n1
	Model  string `json:"model"` // the kernel's string, without the padding
	Serial string `json:"serial,omitempty"`
	Kind   string `json:"kind"` // nvme, ssd or hdd
	Bytes  uint64 `json:"bytes"`
	// Firmware is its revision.
	Firmware string `json:"firmware,omitempty"`
	// InUse says what it holds; empty: nothing that the kernel knows of.
	InUse string `json:"in_use,omitempty"`
}

func (d Device) String() string {
	return fmt.Sprintf("%s (%s, %s, %s)", d.Path, cmp.Or(d.Model, "no model"), d.Kind, sizeText(d.Bytes))
}

// sizeText writes a size as disks are sold: decimal.
func sizeText(n uint64) string {
	switch {
	case n >= 1e12:
		return fmt.Sprintf("%.2f TB", float64(n)/1e12)
	case n >= 1e9:
		return fmt.Sprintf("%.0f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}

// This lists the disks of the machine this program runs on. There are none
// where the kernel is not Linux.
func This() ([]Device, error) { return Scan("/") }

// Scan lists the disks by the sysfs, procfs and devices under a root. Loops,
// memory disks and what is made of other disks are left out.
func Scan(root string) ([]Device, error) {
	blocks := filepath.Join(root, "sys", "block")
	entries, err := os.ReadDir(blocks)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	mounts, err := mounted(filepath.Join(root, "proc", "self", "mountinfo"))
	if err != nil {
		return nil, err
	}
	// What a container of this machine cannot see, its first process may.
	if more, err := mounted(filepath.Join(root, "proc", "1", "mountinfo")); err == nil {
		maps.Copy(mounts, more)
	}
	swaps, err := swapped(filepath.Join(root, "proc", "swaps"))
	if err != nil {
		return nil, err
	}
	var list []Device
	for _, e := range entries {
		dir := filepath.Join(blocks, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "device")); err != nil || text(dir, "hidden") == "1" {
			continue
		}
		sectors, err := strconv.ParseUint(text(dir, "size"), 10, 64)
		if err != nil || sectors == 0 {
			continue // an empty slot
		}
		d := Device{
			Path: "/dev/" + e.Name(), Bytes: sectors * 512, Serial: text(dir, "device/serial"),
			Model: strings.TrimSpace(text(dir, "device/vendor") + " " + text(dir, "device/model")), Kind: "ssd",
			Firmware: cmp.Or(text(dir, "device/firmware_rev"), text(dir, "device/rev")),
		}
		switch {
		case strings.HasPrefix(e.Name(), "nvme"):
			d.Kind, d.Model = "nvme", text(dir, "device/model") // its vendor is a number
		case text(dir, "queue/rotational") == "1":
			d.Kind = "hdd"
		}
		d.InUse = inUse(dir, d.Path, mounts, swaps)
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Device) int {
		return cmp.Or(cmp.Compare(len(a.Path), len(b.Path)), strings.Compare(a.Path, b.Path))
	})
	return list, nil
}

// text reads a file of sysfs; "" where there is none.
func text(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// inUse says what a disk or a part of it is used for.
func inUse(dir, dev string, mounts, swaps map[string]string) string {
	of := func(dir, dev string) string {
		if at, is := mounts[text(dir, "dev")]; is {
			return dev + " is mounted at " + at
		}
		if _, is := swaps[dev]; is {
			return dev + " is swap space"
		}
		if holders, _ := os.ReadDir(filepath.Join(dir, "holders")); len(holders) > 0 {
			return dev + " is part of " + holders[0].Name()
		}
		return ""
	}
	if use := of(dir, dev); use != "" {
		return use
	}
	parts, _ := filepath.Glob(filepath.Join(dir, "*", "partition"))
	slices.Sort(parts)
	for _, part := range parts {
		part = filepath.Dir(part)
		if use := of(part, "/dev/"+filepath.Base(part)); use != "" {
			return use
		}
	}
	if len(parts) > 0 {
		return fmt.Sprintf("%s has %d partition(s)", dev, len(parts))
	}
	return ""
}

// mounted gives the mount points by device number.
func mounted(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	points := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
		if fields := strings.Fields(lines.Text()); len(fields) > 4 {
			if _, has := points[fields[2]]; !has {
				points[fields[2]] = fields[4]
			}
			// A file system over several disks, as btrfs, has a number of its
			// own, but names one of them.
			if i := slices.Index(fields, "-"); i > 0 && i+2 < len(fields) && strings.HasPrefix(fields[i+2], "/dev/") {
				if number := numberOf(fields[i+2], file); number != "" {
					points[number] = fields[4]
				}
			}
		}
	}
	return points, lines.Err()
}

// numberOf finds the device number of a path in the sysfs beside mountinfo.
func numberOf(dev, mountinfo string) string {
	blocks := filepath.Join(mountinfo, "..", "..", "..", "sys", "block")
	name := filepath.Base(dev)
	if n := text(filepath.Join(blocks, name), "dev"); n != "" {
		return n
	}
	if parts, _ := filepath.Glob(filepath.Join(blocks, "*", name)); len(parts) == 1 {
		return text(parts[0], "dev")
	}
	return ""
}

// swapped gives the devices that are swap space.
func swapped(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	swaps := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[0], "/dev/") {
			swaps[fields[0]] = fields[1]
		}
	}
	return swaps, nil
}

// Fits says whether a disk of that model, kind and size is one that is asked
// for. A model compares without regard to case.
func Fits(want artifacts.Device, model, kind string, bytes uint64) bool {
	if want.Model != "" {
		if ok, err := path.Match(strings.ToLower(flat(want.Model)), strings.ToLower(flat(model))); err != nil || !ok {
			return false
		}
	}
	return (want.Kind == "" || want.Kind == kind) && bytes >= uint64(want.Size)
}

// flat takes the slash out, which path.Match would not let * stand for.
func flat(s string) string { return strings.ReplaceAll(s, "/", "_") }

// Describe says in words what is asked for.
func Describe(want artifacts.Device) string {
	parts := []string{fmt.Sprintf("%d ×", max(want.Count, 1))}
	if want.Kind != "" {
		parts = append(parts, want.Kind)
	}
	if want.Model != "" {
		parts = append(parts, want.Model)
	}
	if want.Size > 0 {
		parts = append(parts, "of at least "+sizeText(uint64(want.Size)))
	}
	return strings.Join(parts, " ")
}

// Error says why a machine has not the devices that are asked for.
type Error struct {
	Name string // of the request
	Want artifacts.Device
	Free int // that would do
	// Refused are disks that would do if they were not in use, Others the rest.
	Refused, Others []Device
}

func (e *Error) Error() string {
	text := fmt.Sprintf("device %s: %s are asked for, and the machine has %d that are free", e.Name, Describe(e.Want), e.Free)
	for _, d := range e.Refused {
		text += fmt.Sprintf("; %s fits but is in use: %s", d, d.InUse)
	}
	for _, d := range e.Others {
		text += fmt.Sprintf("; %s does not fit", d)
	}
	return text
}

// Choose gives every request its disks, each to one only, and none that is in
// use. Requests that few disks fit choose first.
func Choose(wants map[string]artifacts.Device, have []Device) (map[string][]Device, error) {
	fitting := func(want artifacts.Device) (free, refused, others []Device) {
		for _, d := range have {
			switch {
			case !Fits(want, d.Model, d.Kind, d.Bytes):
				others = append(others, d)
			case d.InUse != "":
				refused = append(refused, d)
			default:
				free = append(free, d)
			}
		}
		return free, refused, others
	}
	names := slices.SortedFunc(maps.Keys(wants), func(a, b string) int {
		x, _, _ := fitting(wants[a])
		y, _, _ := fitting(wants[b])
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
	})
	chosen := map[string][]Device{}
	taken := map[string]bool{}
	for _, name := range names {
		want := wants[name]
		free, refused, others := fitting(want)
		free = slices.DeleteFunc(free, func(d Device) bool { return taken[d.Path] })
		n := max(want.Count, 1)
		if len(free) < n {
			return nil, &Error{Name: name, Want: want, Free: len(free), Refused: refused, Others: others}
		}
		for _, d := range free[:n] {
			taken[d.Path] = true
			chosen[name] = append(chosen[name], d)
		}
	}
	return chosen, nil
}
