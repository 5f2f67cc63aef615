package emulator

import (
	"fmt"
	"math"
)

// Geometry is the shape of a flash device, in the terms and under the property
// names that FEMU uses. The block with the same index on every plane of the
// device makes one line (superblock), the unit of collection.
type Geometry struct {
	SectorSize     int `yaml:"secsz" doc:"bytes a sector"`
	SectorsPerPage int `yaml:"secs_per_pg" doc:"sectors a page"`
	PagesPerBlock  int `yaml:"pgs_per_blk" doc:"pages a block"`
	BlocksPerPlane int `yaml:"blks_per_pl" doc:"blocks a plane"`
	PlanesPerLUN   int `yaml:"pls_per_lun" doc:"planes a LUN"`
	LUNsPerChannel int `yaml:"luns_per_ch" doc:"LUNs a channel"`
	Channels       int `yaml:"nchs" doc:"channels"`
}

// Timing holds the latencies of flash operations in nanoseconds.
type Timing struct {
	Read     int64 `yaml:"pg_rd_lat" doc:"page read, ns"`
	Program  int64 `yaml:"pg_wr_lat" doc:"page program, ns"`
	Erase    int64 `yaml:"blk_er_lat" doc:"block erase, ns"`
	Transfer int64 `yaml:"ch_xfer_lat" doc:"transfer of a page over the channel, ns"`
}

// FEMUGeometry is the geometry of FEMU's black-box device: 16 GiB raw in 64
// LUNs with 1 MiB blocks of 4 KiB pages.
func FEMUGeometry() Geometry {
	return Geometry{
		SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: 256, BlocksPerPlane: 256,
		PlanesPerLUN: 1, LUNsPerChannel: 8, Channels: 8,
	}
}

// FEMUTiming is the timing of FEMU's black-box device.
func FEMUTiming() Timing {
	return Timing{Read: 40_000, Program: 200_000, Erase: 2_000_000}
}

// Lines is the number of lines.
func (g Geometry) Lines() int { return g.BlocksPerPlane }

// Units is the number of planes, each of which works by itself.
func (g Geometry) Units() int { return g.PlanesPerLUN * g.LUNsPerChannel * g.Channels }

// PagesPerLine is the number of pages in a line.
func (g Geometry) PagesPerLine() int { return g.Units() * g.PagesPerBlock }

// Pages is the number of physical pages.
func (g Geometry) Pages() int { return g.PagesPerLine() * g.Lines() }

// PageSize is the size of a page in bytes.
func (g Geometry) PageSize() int { return g.SectorSize * g.SectorsPerPage }

// Bytes is the raw capacity.
func (g Geometry) Bytes() uint64 { return uint64(g.Pages()) * uint64(g.PageSize()) }

// maxPages keeps page numbers in a uint32 with one value left for "none".
const maxPages = math.MaxUint32

func (g Geometry) validate() error {
	product := uint64(1)
	for _, axis := range []struct {
		name  string
		value int
	}{
		{"pgs_per_blk", g.PagesPerBlock}, {"blks_per_pl", g.BlocksPerPlane}, {"pls_per_lun", g.PlanesPerLUN},
		{"luns_per_ch", g.LUNsPerChannel}, {"nchs", g.Channels}, {"secsz", g.SectorSize}, {"secs_per_pg", g.SectorsPerPage},
	} {
		if axis.value < 1 {
			return fmt.Errorf("%s is %d; it must be at least 1", axis.name, axis.value)
		}
		if uint64(axis.value) > math.MaxInt32 {
			return fmt.Errorf("%s is %d; it must be at most %d", axis.name, axis.value, math.MaxInt32)
		}
		if axis.name == "secsz" {
			break // the axes before this one multiply to pages
		}
		product *= uint64(axis.value)
		if product >= maxPages {
			return fmt.Errorf("the geometry has more than %d pages; make %s smaller", uint32(maxPages-1), axis.name)
		}
	}
	if g.SectorsPerPage < 1 || g.SectorsPerPage > math.MaxInt32 || uint64(g.SectorSize)*uint64(g.SectorsPerPage) > 1<<24 {
		return fmt.Errorf("a page of %d sectors of %d bytes is not between 1 byte and 16 MiB", g.SectorsPerPage, g.SectorSize)
	}
	return nil
}

func (t Timing) validate() error {
	for _, v := range []struct {
		name  string
		value int64
	}{{"pg_rd_lat", t.Read}, {"pg_wr_lat", t.Program}, {"blk_er_lat", t.Erase}, {"ch_xfer_lat", t.Transfer}} {
		if v.value < 0 || v.value > math.MaxInt32*1000 {
			return fmt.Errorf("%s is %d ns; it must be between 0 and %d", v.name, v.value, int64(math.MaxInt32)*1000)
		}
	}
	return nil
}
