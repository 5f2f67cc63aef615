package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// system is where the kernel tells about itself; tests have their own.
type system struct{ sys, proc string }

var kernel = system{"/sys", "/proc"}

// Inspect looks at a target without changing it. It refuses, with an
// InUseError, what is mounted, swapped to, partitioned, or held by another
// device.
func Inspect(path string) (*Target, error) { return kernel.inspect(path) }

func (s system) inspect(path string) (*Target, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: no such device or file (make a file with: fallocate -l 4G %s)", path, path)
		}
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	t := &Target{Path: path, sector: 4096, dev: st.Dev, ino: st.Ino}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		t.Block, t.dev, t.ino = true, st.Rdev, 0
		if err := s.free(t, path); err != nil {
			return nil, err
		}
	case unix.S_IFREG:
		t.Bytes = uint64(st.Size)
		t.Sparse = st.Blocks*512 < st.Size
		if err := s.freeFile(path, &st); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s is neither a block device nor a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if t.Block {
		size, err := f.Seek(0, 2)
		if err != nil {
			return nil, &os.PathError{Op: "size of", Path: path, Err: err}
		}
		t.Bytes = uint64(size)
		if sector, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET); err == nil && sector > 0 {
			t.sector = uint64(sector)
		}
	}
	if t.Bytes < 1<<20 {
		return nil, fmt.Errorf("%s: %d bytes: want 1 MiB or more", path, t.Bytes)
	}
	head := make([]byte, 68<<10)
	n, err := f.ReadAt(head, 0)
	if err != nil && n == 0 {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	if table := partitionTable(head); table != "" {
		return nil, &InUseError{path, "has a " + table + " partition table", "wipe it first if it may go: wipefs -a " + path}
	}
	t.Holds = signature(head)
	return t, nil
}

// number names a block device as the kernel's files do.
func number(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

// free says that a block device is neither in use nor partitioned.
func (s system) free(t *Target, path string) error {
	dir := filepath.Join(s.sys, "dev/block", number(t.dev))
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%s: the kernel does not tell about it, so that nobody knows whether it is in use: %w", path, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "partition")); err == nil {
			return &InUseError{path, "has partitions (" + e.Name() + ")", "name a whole disk without any"}
		}
	}
	if holders, err := os.ReadDir(filepath.Join(dir, "holders")); err == nil && len(holders) > 0 {
		return &InUseError{path, "is held by " + holders[0].Name(), "it belongs to a volume, array or mapping: take it out of that first"}
	}
	mounts, err := os.ReadFile(filepath.Join(s.proc, "self/mountinfo"))
	if err != nil {
		return fmt.Errorf("%s: whether it is mounted cannot be told: %w", path, err)
	}
	for line := range strings.Lines(string(mounts)) {
		// id parent major:minor root where ... - type source options
		fields := strings.Fields(line)
		_, tail, _ := strings.Cut(line, " - ")
		source := strings.Fields(tail)
		if len(fields) > 4 && (fields[2] == number(t.dev) || len(source) > 1 && s.is(source[1], t.dev)) {
			return &InUseError{path, "is mounted on " + fields[4], "unmount it if what is on it may go"}
		}
	}
	swaps, _ := os.ReadFile(filepath.Join(s.proc, "swaps"))
	for line := range strings.Lines(string(swaps)) {
		if name, _, _ := strings.Cut(line, " "); s.is(name, t.dev) {
			return &InUseError{path, "is swapped to", "swapoff it first"}
		}
	}
	for _, at := range []string{"device/model", "../device/model"} {
		if model, err := os.ReadFile(filepath.Join(dir, at)); err == nil {
			t.Model = strings.TrimSpace(string(model))
			break
		}
	}
	return nil
}

// is says that a path is the block device of a number.
func (system) is(path string, dev uint64) bool {
	var st unix.Stat_t
	return strings.HasPrefix(path, "/") && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == dev
}

// freeFile says that a file backs no loop device and no swap.
func (s system) freeFile(path string, st *unix.Stat_t) error {
	same := func(other string) bool {
		var o unix.Stat_t
		return unix.Stat(other, &o) == nil && o.Dev == st.Dev && o.Ino == st.Ino
	}
	loops, _ := filepath.Glob(filepath.Join(s.sys, "block/*/loop/backing_file"))
	for _, l := range loops {
		if name, err := os.ReadFile(l); err == nil && same(strings.TrimSpace(string(name))) {
			return &InUseError{path, "backs " + filepath.Base(filepath.Dir(filepath.Dir(l))), "detach it, or name that device"}
		}
	}
	swaps, _ := os.ReadFile(filepath.Join(s.proc, "swaps"))
	for line := range strings.Lines(string(swaps)) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "/") && same(name) {
			return &InUseError{path, "is swapped to", "swapoff it first"}
		}
	}
	return nil
}

// partitionTable names the partition table in the first bytes of a disk.
func partitionTable(head []byte) string {
	for _, at := range []int{512, 4096} {
		if bytes.HasPrefix(head[at:], []byte("EFI PART")) {
			return "GPT"
		}
	}
	if head[510] != 0x55 || head[511] != 0xaa {
		return ""
	}
	// FAT and NTFS end their first sector alike; a table has entries that are
	// active or not and at least one of some type.
	used := false
	for i := range 4 {
		entry := head[446+16*i:][:16]
		if entry[0]&0x7f != 0 {
			return ""
		}
		used = used || entry[4] != 0
	}
	if !used {
		return ""
	}
	return "MBR"
}

// signatures of what a disk may hold, and where they lie.
var signatures = []struct {
	at    int
	magic string
	name  string
}{
	{0x438, "\x53\xef", "an ext2, ext3 or ext4 file system"},
	{0, "XFSB", "an XFS file system"},
	{0x10040, "_BHRfS_M", "a btrfs file system"},
	{0x400, "\x10\x20\xf5\xf2", "an F2FS file system"},
	{3, "NTFS    ", "an NTFS file system"},
	{54, "FAT", "a FAT file system"},
	{82, "FAT32", "a FAT32 file system"},
	{0, "LUKS\xba\xbe", "a LUKS volume"},
	{512, "LABELONE", "an LVM volume"},
	{4096, "\xfc\x4e\x2b\xa9", "a member of a RAID array"},
	{4086, "SWAPSPACE2", "swap space"},
}

func signature(head []byte) string {
	for _, s := range signatures {
		if bytes.HasPrefix(head[s.at:], []byte(s.magic)) {
			return s.name
		}
	}
	return ""
}
