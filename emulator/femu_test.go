package emulator

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// traceDir finds the optional folder of recorded traces.
func traceDir(t testing.TB) string {
	dir := os.Getenv("REPRISE_TRACES")
	for up := ".."; dir == "" && len(up) < 40; up = filepath.Join(up, "..") {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			dir = filepath.Join(up, "..", "shared", "traces")
		}
	}
	dir = filepath.Join(dir, "femu-oracle")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no FEMU oracle (set REPRISE_TRACES): %v", err)
	}
	return dir
}

// miniGeometry is the oracle's G0.
func miniGeometry() FEMUConfig {
	cfg := DefaultFEMU()
	cfg.PagesPerBlock, cfg.BlocksPerPlane, cfg.LUNsPerChannel, cfg.Channels = 8, 64, 2, 2
	return cfg
}

func (d *FEMU) do(q Request) (int64, error) {
	switch q.Op {
	case 'R':
		return d.Read(q.Time, q.LBA, q.Sectors)
	case 'W':
		return d.Write(q.Time, q.LBA, q.Sectors)
	}
	return d.Trim(q.Time, q.LBA, q.Sectors)
}

// check verifies what must hold between requests.
func (d *FEMU) check(t testing.TB) {
	t.Helper()
	mapped, valid := 0, uint32(0)
	for p, at := range d.mapping {
		if at != none {
			mapped++
			require.EqualValues(t, p, d.owner[at])
			require.NotZero(t, d.valid[at>>6]>>(at&63)&1)
		}
	}
	erases := uint64(0)
	for line, n := range d.lineValid {
		valid += n
		erases += uint64(d.lineErases[line])
		if pos := d.heapPos[line]; pos != 0 {
			require.EqualValues(t, line, d.victims[pos])
			require.NotEqual(t, d.line, uint32(line), "the open line is a victim")
			require.LessOrEqual(t, d.lineValid[d.victims[max(pos/2, 1)]], n)
		}
	}
	require.EqualValues(t, mapped, valid)
	require.Equal(t, d.stats.BlockErases, erases*uint64(d.units))
	require.Equal(t, d.cfg.Lines(), d.free.len()+len(d.victims)-1+int(d.full)+1)
}

func TestFEMUEqualsOracle(t *testing.T) {
	dir := traceDir(t)
	for _, workload := range []string{"uniform", "zipf", "mixed", "ragged"} {
		for _, gc := range []string{"greedy", "fifo", "cost-benefit"} {
			t.Run(workload+"/"+gc, func(t *testing.T) {
				cfg := miniGeometry()
				cfg.GC = gc
				d, err := NewFEMU(cfg)
				require.NoError(t, err)
				name := workload
				if gc != "greedy" {
					name += "." + gc
				}
				in, err := os.Open(filepath.Join(dir, workload+".reqs.csv"))
				require.NoError(t, err)
				defer in.Close()
				out, err := os.Open(filepath.Join(dir, name+".femu.csv"))
				require.NoError(t, err)
				defer out.Close()
				want := bufio.NewScanner(out)
				want.Scan() // header

				reqs, err := NewRequestReader(in)
				require.NoError(t, err)
				latencies := NewHash64()
				for i := 0; ; i++ {
					q, err := reqs.Next()
					if errors.Is(err, io.EOF) {
						require.False(t, want.Scan(), "the oracle goes on")
						break
					}
					require.NoError(t, err)
					latency, err := d.do(q)
					require.NoError(t, err)
					latencies.Add(uint64(latency))
					require.True(t, want.Scan())
					require.Equal(t, want.Text(), fmt.Sprintf("%d,%d,%c,%d,%d,%d,%d,%d,%d", i, q.Time, q.Op, q.LBA, q.Sectors,
						latency, d.free.len(), d.stats.GCLines, d.stats.GCPages))
					if i%500 == 0 {
						d.check(t)
					}
				}
				d.check(t)

				var total struct {
					Host    uint64 `json:"host_pages"`
					Erases  uint64 `json:"block_erases"`
					Victims int    `json:"victim_lines"`
					Full    int    `json:"full_lines"`
					Latency string `json:"latency_fnv1a64"`
					Map     string `json:"maptbl_fnv1a64"`
					Erase   string `json:"erase_fnv1a64"`
				}
				b, err := os.ReadFile(filepath.Join(dir, name+".json"))
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(b, &total))
				r := d.Report()
				require.Equal(t, total.Host, r.HostPages)
				require.Equal(t, total.Erases, r.BlockErases)
				require.Equal(t, total.Victims, r.VictimLines)
				require.Equal(t, total.Full, r.FullLines)
				require.Equal(t, total.Latency, latencies.String())
				mapping, erases := d.Hashes()
				require.Equal(t, total.Map, mapping.String())
				require.Equal(t, total.Erase, erases.String())
			})
		}
	}
}

// A device of 4 lines of 4 pages (2 channels, 1 LUN, 2 pages a block), followed
// by hand through section 1 of the model: order of writing, queueing on a LUN,
// background collection with its one-in-eight rule, and its cost.
func TestFEMUByHand(t *testing.T) {
	cfg := DefaultFEMU()
	cfg.PagesPerBlock, cfg.BlocksPerPlane, cfg.LUNsPerChannel, cfg.Channels = 2, 4, 1, 2
	cfg.GCThreshold, cfg.GCHigh = 50, 75 // 2 and 1 free lines
	d, err := NewFEMU(cfg)
	require.NoError(t, err)
	require.Equal(t, [2]int{2, 1}, [2]int{d.gcLines, d.gcHigh})

	at := func(p int) int {
		i, ok := d.Locate(p)
		if !ok {
			return -1
		}
		return int(i)
	}
	write := func(now int64, lba, n uint64) int64 {
		lat, err := d.Write(now, lba, n)
		require.NoError(t, err)
		d.check(t)
		return lat
	}
	// Two pages on two channels at once; then a ragged write of two pages.
	require.EqualValues(t, 200_000, write(1, 0, 16))
	require.EqualValues(t, 399_999, write(2, 23, 2), "queued behind the first program")
	// Channel 0 holds flat pages 0..7, channel 1 pages 8..15; page 2 went to
	// channel 0, row 1, page 3 to channel 1, row 1.
	require.Equal(t, []int{0, 8, 1, 9}, []int{at(0), at(1), at(2), at(3)})
	require.EqualValues(t, 1, d.full)
	require.Equal(t, 2, d.free.len(), "line 1 is open")

	lat, err := d.Read(1_000_000, 0, 8)
	require.NoError(t, err)
	require.EqualValues(t, 40_000, lat)
	lat, err = d.Read(1_000_000, 8*10, 8)
	require.NoError(t, err)
	require.Zero(t, lat, "nothing there")

	// The overwrite makes line 0 a victim with 3 valid pages, and the two free
	// lines let it be collected at once: pages 0, 1... in channel order.
	require.EqualValues(t, 200_000, write(2_000_000, 8, 8))
	s := d.stats
	require.EqualValues(t, 1, s.GCLines)
	require.EqualValues(t, 3, s.GCPages)
	require.EqualValues(t, 2, s.BlockErases)
	// The write took line 1 channel 0 row 0; the copies of 0 and 2 (channel 0)
	// and then 3 (channel 1) fill the rest of line 1.
	require.Equal(t, []int{10, 2, 3, 11}, []int{at(0), at(1), at(2), at(3)})
	require.Equal(t, []uint32{1, 0, 0, 0}, d.EraseCounts())
	// Channel 0, one operation after another: program, read, read, program of
	// page 2, erase. A read of page 1 there waits for all of them.
	lat, err = d.Read(2_000_000, 8, 8)
	require.NoError(t, err)
	require.EqualValues(t, 200_000+40_000+40_000+200_000+2_000_000+40_000, lat)

	_, err = d.Trim(3_000_000, 1, 1)
	require.NoError(t, err)
	require.Equal(t, -1, at(0), "a trim of part of a page drops the page")
	d.check(t)
}

// FEMU ends the machine when every line is taken; so does the model, with an
// error that stays.
func TestFEMUFull(t *testing.T) {
	d, err := NewFEMU(miniGeometry())
	require.NoError(t, err)
	for p := range uint64(d.Pages() - 1) {
		_, err := d.Write(0, p*8, 8)
		require.NoError(t, err, "page %d", p)
	}
	_, err = d.Write(0, uint64(d.Pages()-1)*8, 8)
	require.ErrorIs(t, err, ErrNoFreeLines)
	_, err = d.Read(0, 0, 8)
	require.ErrorIs(t, err, ErrNoFreeLines)
}

func TestFEMURefuses(t *testing.T) {
	for name, change := range map[string]func(*FEMUConfig){
		"pls_per_lun is 0":           func(c *FEMUConfig) { c.PlanesPerLUN = 0 },
		"nchs is 0":                  func(c *FEMUConfig) { c.Channels = 0 },
		"more than":                  func(c *FEMUConfig) { c.Channels, c.BlocksPerPlane = 1<<20, 1<<30 },
		"gc_thres_pcent is 101":      func(c *FEMUConfig) { c.GCThreshold = 101 },
		`gc_policy is "best"`:        func(c *FEMUConfig) { c.GC = "best" },
		"blk_er_lat is -1":           func(c *FEMUConfig) { c.Timing.Erase = -1 },
		"blks_per_pl is 1":           func(c *FEMUConfig) { c.BlocksPerPlane = 1 },
		"a page of 1000000000 secto": func(c *FEMUConfig) { c.SectorsPerPage = 1_000_000_000 },
	} {
		cfg := DefaultFEMU()
		change(&cfg)
		_, err := NewFEMU(cfg)
		require.ErrorContains(t, err, name)
	}
	d, err := NewFEMU(miniGeometry())
	require.NoError(t, err)
	for _, q := range [][2]uint64{{0, 0}, {2048 * 8, 1}, {2048*8 - 1, 2}, {^uint64(0), 2}} {
		_, err := d.Read(0, q[0], q[1])
		require.ErrorIs(t, err, ErrRange)
	}
}

// The lines that FEMU's thresholds leave free, in its own truncating doubles.
func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		pct   float64
		lines int
		want  int
	}{{75, 256, 64}, {90, 256, 25}, {95, 256, 12}, {75, 64, 16}, {95, 64, 3}, {100, 64, 0}} {
		require.Equal(t, c.want, freeLinesAt(c.pct, c.lines), "%v %% of %d", c.pct, c.lines)
	}
}

func FuzzRequestReader(f *testing.F) {
	f.Add("time_ns,op,lba,nsectors\n1,W,0,128\n2,R,8,1\r\n3,T,9,18446744073709551615\n")
	f.Add("time_ns,op,lba,nsectors\n1,W,0\n")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := NewRequestReader(strings.NewReader(in))
		if err != nil {
			return
		}
		d, err := NewFEMU(miniGeometry())
		require.NoError(t, err)
		for {
			q, err := r.Next()
			if err != nil {
				break
			}
			if _, err := d.do(q); err != nil {
				break
			}
		}
	})
}

// Uniform 4 KiB overwrites of FEMU's default 16 GiB device, 12 GiB logical, at
// thresholds that give WA 2.6; requests include their collection.
func BenchmarkFEMU(b *testing.B) {
	cfg := DefaultFEMU()
	cfg.GCThreshold = 95
	d, err := NewFEMU(cfg)
	require.NoError(b, err)
	logical := uint64(d.Pages()) * 3 / 4
	now := int64(1)
	for p := uint64(0); p < logical; p += 16 {
		_, err := d.Write(now, p*8, 128)
		require.NoError(b, err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range logical {
		_, err := d.Write(now, rng.Uint64N(logical)*8, 8)
		require.NoError(b, err)
	}
	before := d.stats
	for b.Loop() {
		now += 1000
		if _, err := d.Write(now, rng.Uint64N(logical)*8, 8); err != nil {
			b.Fatal(err)
		}
	}
	host, gc := d.stats.HostPages-before.HostPages, d.stats.GCPages-before.GCPages
	b.ReportMetric(float64(host+gc)/float64(host), "WA")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}
