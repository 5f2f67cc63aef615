package emulator

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// splitMix is the generator of the streams below.
type splitMix uint64

func (s *splitMix) below(n uint64) uint64 {
	*s += 0x9e3779b97f4a7c15
	return mix(uint64(*s)-0x9e3779b97f4a7c15) % n
}

// geometryStream fills 3/4 of a device, then overwrites, reads and trims
// ragged ranges of it and, one time in sixteen, its last sectors.
func geometryStream(cfg FEMUConfig, seed uint64) func() (Request, error) {
	rng := splitMix(seed)
	per := uint64(cfg.SectorsPerPage)
	logical := max(uint64(cfg.Pages())*3/4, 1)
	sectors, all := logical*per, uint64(cfg.Pages())*per
	filled, left, now := uint64(0), 2*logical+2000, int64(0)
	return func() (Request, error) {
		if filled < logical {
			q := Request{Time: now, Op: 'W', LBA: filled * per, Sectors: min(16, logical-filled) * per}
			filled += 16
			now += 900_000
			return q, nil
		}
		if left == 0 {
			return Request{}, io.EOF
		}
		left--
		now += int64(rng.below(1_500_000))
		q := Request{Time: now, Op: "WWWWWWRRRT"[rng.below(10)], Sectors: 1 + rng.below(min(3*per, sectors))}
		if rng.below(16) == 0 {
			q.LBA = all - q.Sectors
		} else {
			q.LBA = rng.below(sectors - q.Sectors + 1)
		}
		return q, nil
	}
}

// The answers are those of a C program put together from FEMU's own heap and
// FTL (99ce4fb2b), which gives the oracle's digests for the oracle's streams.
func TestFEMUGeometries(t *testing.T) {
	for i, c := range femuGeometries {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			cfg := DefaultFEMU()
			cfg.SectorsPerPage, cfg.PagesPerBlock, cfg.BlocksPerPlane = c.shape[0], c.shape[1], c.shape[2]
			cfg.PlanesPerLUN, cfg.LUNsPerChannel, cfg.Channels = c.shape[3], c.shape[4], c.shape[5]
			cfg.GCThreshold, cfg.GCHigh, cfg.GC = c.low, c.high, c.gc
			d, err := NewFEMU(cfg)
			require.NoError(t, err)
			r, err := Replay(t.Context(), d, geometryStream(cfg, uint64(i)), nil)
			require.NoError(t, err)
			d.check(t)
			require.Equal(t, c.want, fmt.Sprintf("%d %d %d %v %v %v", r.GCLines, r.GCPages, r.FreeLines, r.LatencyHash, r.MappingHash, r.EraseHash))
		})
	}
}

var femuGeometries = []struct {
	shape     [6]int // sectors a page, pages a block, blocks, planes, LUNs, channels
	low, high float64
	gc, want  string
}{
	{[6]int{8, 64, 64, 1, 4, 4}, 75, 95, "greedy", "897 771887 17 7fc78948e6b694fd 582937ef26a27f7f dbdcda4847e4cc20"},
	{[6]int{8, 64, 64, 1, 4, 4}, 75, 95, "fifo", "846 720013 17 e519577addcae7f4 26ef309341c609ad 0f972c7b5fdc44a3"},
	{[6]int{8, 64, 64, 1, 4, 4}, 75, 95, "cost-benefit", "868 742789 17 de035a15d2ace88d 5a5877cf84cc12c4 f004d557b5e83663"},
	{[6]int{8, 64, 64, 1, 4, 4}, 90, 95, "d-choice", "350 221819 7 38960a6382af8ae3 391546666f75de8c 2a89f9e586f68ae9"},
	{[6]int{7, 13, 33, 1, 3, 5}, 80, 95, "greedy", "339 49229 7 d780d37788360953 1fe8968cd4e03cca cf05dbb5c5224e8c"},
	{[6]int{1, 100, 127, 1, 1, 1}, 90, 98, "greedy", "534 29862 13 eb223a9ca96c4155 37ba3e1324a63761 60d64e770de9f021"},
	{[6]int{3, 5, 100, 1, 1, 7}, 66, 90, "cost-benefit", "1847 54338 31 f7c1885aef500e15 fcf6fcbdc041673c 585d93c409fe46e4"},
	{[6]int{32, 65, 31, 1, 5, 1}, 85, 95, "fifo", "221 47537 5 770b4f0c10336f29 97a5bd0985e2529d f433cbea2a3094e4"},
	{[6]int{8, 31, 64, 2, 2, 3}, 75, 95, "greedy", "953 298865 17 2b21b184a0972e62 fc562fc3e0227296 183c905b31caf0fc"},
	{[6]int{4, 16, 100, 3, 3, 2}, 90, 99, "cost-benefit", "479 78216 10 cc64c9a8c8c87b11 4b51b9e165f8543d b2b31a350f3b6020"},
	{[6]int{8, 1, 256, 4, 2, 2}, 95, 98, "fifo", "1359 10683 13 44fd8c65a707a3cb 98599ed75e9a61a6 69ff7dfbdd377000"},
	{[6]int{8, 2, 64, 1, 1, 1}, 80, 95, "greedy", "1938 756 11 521fc545b1137826 926d3f5849a3b7be 5db07272c557be13"},
	{[6]int{8, 200, 20, 1, 2, 4}, 90, 95, "d-choice", "104 98728 2 9b485878d444e031 d9b0fdf3bef28339 7ebee0d4d7b4eac1"},
	{[6]int{2, 64, 100, 2, 1, 1}, 99, 99, "greedy", "367 21823 2 fe0beead5ac2b393 691fcfb806d6b450 328f3b7b7910e822"},
}
