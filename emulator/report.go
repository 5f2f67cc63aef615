package emulator

// Report says what a device has done and how it stands. Pages are flash pages,
// latencies nanoseconds.
type Report struct {
	HostPages   uint64  `json:"host_pages"`     // programmed for the host
	GCPages     uint64  `json:"gc_pages_moved"` // programmed by collection
	WLPages     uint64  `json:"wl_pages_moved"` // programmed by wear leveling
	BlockErases uint64  `json:"block_erases"`
	WAF         float64 `json:"waf"` // programs over host programs; 1 before any

	// What the FEMU model does not have.
	RefreshPages  uint64  `json:"refresh_pages_moved,omitempty"` // rewritten because of read disturb
	GCShare       float64 `json:"waf_gc,omitempty"`              // each cause's programs over host programs
	WLShare       float64 `json:"waf_wl,omitempty"`
	RefreshShare  float64 `json:"waf_refresh,omitempty"`
	Swaps         uint64  `json:"wl_swaps,omitempty"`       // migrations by wear leveling
	Retries       uint64  `json:"read_retries,omitempty"`   // repeated page reads for the host
	Trimmed       uint64  `json:"trimmed_pages,omitempty"`  // unmapped by the host
	BadBlocks     uint64  `json:"bad_blocks,omitempty"`     // retired
	CapacityPages uint64  `json:"capacity_pages,omitempty"` // pages in blocks that are not bad
	LogicalPages  int     `json:"logical_pages,omitempty"`
	FirstBad      uint64  `json:"first_bad_block_at,omitempty"` // host pages written by then
	WornOut       uint64  `json:"worn_out_at,omitempty"`        // host pages written when the device became read-only

	GCLines          uint64 `json:"gc_lines"` // lines collected
	FreeLines        int    `json:"free_lines"`
	VictimLines      int    `json:"victim_lines"` // closed lines with an invalid page
	FullLines        int    `json:"full_lines"`   // closed lines without
	GCThresholdLines int    `json:"gc_thres_lines"`
	GCHighLines      int    `json:"gc_thres_lines_high"`
	Lines            int    `json:"tt_lines"`
	PagesPerLine     int    `json:"pgs_per_line"`
	Pages            int    `json:"tt_pgs"`
	MappedPages      int    `json:"mapped_lpns"`

	EraseMin  uint32  `json:"line_erase_min"`
	EraseMax  uint32  `json:"line_erase_max"`
	EraseMean float64 `json:"line_erase_mean"`
	EraseSD   float64 `json:"line_erase_sd"`
	Wear      Wear    `json:"wear"`
}

// Report says what the device has done so far and how it stands.
func (d *Device) Report() Report {
	s := &d.stats
	host := float64(max(s.Programs[byHost], 1))
	wear := WearOf(d.lines.Erases)
	r := Report{
		HostPages: s.Programs[byHost], GCPages: s.Programs[byGC], WLPages: s.Programs[byWL], RefreshPages: s.Programs[byRefresh],
		WAF: s.WAF(), GCShare: float64(s.Programs[byGC]) / host, WLShare: float64(s.Programs[byWL]) / host,
		RefreshShare: float64(s.Programs[byRefresh]) / host, Swaps: s.Swaps, Retries: s.Retries, Trimmed: s.Trimmed,
		BadBlocks: s.BadBlocks, CapacityPages: d.capacity, LogicalPages: len(d.mapping), FirstBad: s.FirstBad, WornOut: s.WornOut,
		BlockErases: s.BlockErases, GCLines: s.Erases[byGC], FreeLines: d.free.len(), GCThresholdLines: d.cfg.GCFree, GCHighLines: d.cfg.reserve(),
		Lines: d.cfg.Lines(), PagesPerLine: d.cfg.PagesPerLine(), Pages: d.cfg.Pages(), MappedPages: d.mapped,
		EraseMin: wear.Min, EraseMax: wear.Max, EraseMean: wear.Mean, EraseSD: wear.SD, Wear: wear,
	}
	for _, line := range d.lines.Closed {
		if d.lines.Valid[line] == d.lines.Capacity[line] {
			r.FullLines++
		} else {
			r.VictimLines++
		}
	}
	return r
}

// Hashes digests the device's state: see SSD.
func (d *Device) Hashes() (mapping, erases Hash64) {
	mapping = NewHash64()
	for _, at := range d.mapping {
		index := ^uint64(0)
		if at != none {
			index = d.flatIndex(at)
		}
		mapping.Add(index)
	}
	return mapping, hashCounts(d.lines.Erases)
}

// flatIndex numbers pages as FEMU does: channel by channel, LUN by LUN, plane
// by plane, block by block.
func (d *Device) flatIndex(at uint32) uint64 {
	line, unit, row := d.perLine.div(at), at%d.units, at%d.pagesPerLine/d.units
	channels, planes := uint32(d.cfg.Channels), uint32(d.cfg.PlanesPerLUN)
	plane := unit%channels*uint32(d.cfg.LUNsPerChannel)*planes + unit/channels%uint32(d.cfg.LUNsPerChannel)*planes + unit/channels/uint32(d.cfg.LUNsPerChannel)
	return (uint64(plane)*uint64(d.cfg.BlocksPerPlane)+uint64(line))*uint64(d.cfg.PagesPerBlock) + uint64(row)
}
