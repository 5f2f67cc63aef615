package nbd

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/emulator"
)

// BenchmarkUnpaced is the rate of random requests of 4 KiB that one client keeps
// 16 of under way, as fio does with --iodepth=16: it answers each reply with the
// next request in a write of its own. The client and its kernel calls are part of
// what is measured.
func BenchmarkUnpaced(b *testing.B) {
	const depth, size = 16, 4096
	for _, data := range []struct {
		name string
		open func(int64) Store
	}{
		{"none", func(int64) Store { return NewNothing() }},
		{"memory", NewMemory},
	} {
		for _, op := range []struct {
			name string
			kind uint16
		}{{"write", cmdWrite}, {"read", cmdRead}} {
			b.Run("data="+data.name+"/"+op.name, func(b *testing.B) {
				d, err := emulator.New(emulator.DefaultConfig())
				require.NoError(b, err)
				e := NewExport("ssd", d, data.open(int64(d.Pages())*size))
				_, path := start(b, false, e)
				c := dial(b, path, "ssd")
				require.NoError(b, c.SetDeadline(time.Time{}))

				request, answer := make([]byte, 28), make([]byte, 16)
				if op.kind == cmdWrite {
					request = make([]byte, 28+size)
				} else {
					answer = make([]byte, 16+size)
				}
				binary.BigEndian.PutUint32(request, magicReq)
				binary.BigEndian.PutUint16(request[6:], op.kind)
				binary.BigEndian.PutUint32(request[24:], size)
				rng := rand.New(rand.NewPCG(1, 2))
				send := func() {
					binary.BigEndian.PutUint64(request[16:], uint64(rng.IntN(d.Pages()))*size)
					if _, err := c.Write(request); err != nil {
						b.Fatal(err)
					}
				}
				replies := bufio.NewReaderSize(c, 1<<17)
				b.ReportAllocs()
				b.ResetTimer()
				for range min(depth, b.N) {
					send()
				}
				for i := range b.N {
					if _, err := io.ReadFull(replies, answer); err != nil {
						b.Fatal(err)
					}
					if i+depth < b.N {
						send()
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "IOPS")
				require.Zero(b, e.Stat().Client.Errors)
			})
		}
	}
}
