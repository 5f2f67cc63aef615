package emulator

// Report says what a device has done and how it stands. Pages are flash pages,
// latencies nanoseconds.
type Report struct {
	HostPages   uint64  `json:"host_pages"`     // programmed for the host
	GCPages     uint64  `json:"gc_pages_moved"` // programmed by collection
	WLPages     uint64  `json:"wl_pages_moved"` // programmed by wear leveling
	BlockErases uint64  `json:"block_erases"`
	WAF         float64 `json:"waf"` // programs over host programs; 1 before any

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

	// MappingHash covers, for every logical page, FEMU's flat index of the
	// page that holds it, all ones where there is none; EraseHash every
	// line's erase count.
	MappingHash Hash64 `json:"maptbl_fnv1a64"`
	EraseHash   Hash64 `json:"erase_fnv1a64"`
}
