//go:build !linux

package nbd

import (
	"errors"
	"math"
	"os"
)

func punchHole(*os.File, int64, int64) error { return errors.ErrUnsupported }

// extent does not know of holes.
func extent(_ *os.File, off int64) (n int64, hole bool) { return math.MaxInt64 - off, false }
