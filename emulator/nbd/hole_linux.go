package nbd

import (
	"errors"
	"math"
	"os"
	"syscall"
)

// punchHole deallocates a range of a file, which then reads as zeros.
func punchHole(f *os.File, off, n int64) error {
	const keepSize, punch = 1, 2
	return syscall.Fallocate(int(f.Fd()), keepSize|punch, off, n)
}

// extent is how far a file has data, or none, from off on.
func extent(f *os.File, off int64) (n int64, hole bool) {
	const seekData, seekHole = 3, 4
	data, err := f.Seek(off, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO): // none up to the end
		return math.MaxInt64 - off, true
	case err != nil:
		return math.MaxInt64 - off, false // the file system does not tell
	case data > off:
		return data - off, true
	}
	end, err := f.Seek(off, seekHole)
	if err != nil || end <= off {
		return math.MaxInt64 - off, false
	}
	return end - off, false
}
