//go:build !linux

package disk

import (
	"context"
	"errors"
)

var errLinux = errors.New("replaying on real devices needs Linux: it is the kernel there that says whether a device is in use")

// Set is the devices of a replay.
type Set struct{ Direct []bool }

// Inspect refuses.
func Inspect(string) (*Target, error) { return nil, errLinux }

// Open refuses.
func Open([]*Target, Options) (*Set, uint64, error) { return nil, 0, errLinux }

// Fill, Devices, Now, Submit, Wait and Close are never reached.

func (*Set) Fill(context.Context, uint64, func(done, of uint64)) error { return errLinux }
func (*Set) Devices() int                                              { return 0 }
func (*Set) Now() int64                                                { return 0 }
func (*Set) Submit(int, uint32, bool, uint64, uint64)                  {}
func (*Set) Wait(context.Context, int64) (uint32, int64, bool, error)  { return 0, 0, false, errLinux }
func (*Set) Close()                                                    {}
