// Package disk replays on real block devices and files, with O_DIRECT where the
// file system has it. It overwrites them: Inspect says what would be lost.
package disk

import (
	"fmt"
	"strings"
)

// Target is a block device or file that a replay may overwrite.
type Target struct {
	Path  string
	Block bool   // a block device; otherwise a regular file
	Bytes uint64 // its size
	Model string // of a device, where the kernel knows one
	// Holds names what lies on it that a replay destroys: a file system, a
	// volume; empty where nothing is recognised.
	Holds string
	// Sparse says that a file has blocks that were never written. Reading them
	// does not reach a device.
	Sparse bool

	sector   uint64 // what offsets and sizes must be multiples of
	dev, ino uint64 // who it is, to tell two names of one target
}

// InUseError says why a target must not be overwritten.
type InUseError struct{ Path, Why, Hint string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s %s: refusing to overwrite it; %s", e.Path, e.Why, e.Hint)
}

// Options of Open.
type Options struct {
	Depth int    // requests a device takes at a time
	Span  uint64 // bytes of each device that are used; 0: as many as the smallest has
	Most  uint64 // the largest request, in bytes
}

// String tells a person what would be lost.
func (t *Target) String() string {
	kind := "file"
	if t.Block {
		kind = "block device"
	}
	about := []string{fmt.Sprintf("%s, %.1f GB", kind, float64(t.Bytes)/1e9)}
	if t.Model != "" {
		about = append(about, t.Model)
	}
	if t.Holds != "" {
		about = append(about, "holding "+t.Holds)
	}
	return fmt.Sprintf("%s (%s)", t.Path, strings.Join(about, ", "))
}
