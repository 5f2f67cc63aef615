package prefetch

import (
	"math/bits"
	"unsafe"

	"reprise/policies/cache/params"
)

var readaheadSpec = Spec{
	Name: "readahead",
	Doc:  "Linux ondemand readahead: a window that grows, fetched anew when its marker is reached; streams are told by the pages cached behind",
	Source: "Wu et al., OLS 2007; mm/readahead.c of Linux 4.4 (the logic of 5.x and 6.x is the same). A volume stands for a file, " +
		"whose end is not known",
	Params: []params.Param{
		{Name: "max", Doc: "largest window in pages", Default: 32, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "volumes", Doc: "volumes whose window is remembered", Default: 64, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "markers", Doc: "markers remembered", Default: 4096, Min: 1, Max: 1 << 24, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &readahead{
			max: c.Int("max"), volumes: newStreams[window](c.Int("volumes")), markers: newStreams[struct{}](c.Int("markers")),
		}
	},
}

// readahead takes 44 bytes for each volume and 12 for each marker.
type readahead struct {
	max     int
	volumes streams[window]
	markers streams[struct{}]
}

// window is what Linux keeps of an open file.
type window struct {
	start uint64 // first page of the window
	size  int    // its pages; 0: there is none
	async int    // how many of them are behind the marker
	prev  uint64 // the last page read
}

func (a *readahead) Bytes() int {
	return a.volumes.bytes(int(unsafe.Sizeof(window{}))) + a.markers.bytes(0)
}

func (a *readahead) Access(r *Request, p *Plan) {
	volume := r.First >> volumeShift << volumeShift
	w := a.volumes.find(volume)
	if w == nil {
		w = a.volumes.put(volume)
		w.prev = volume - 2 // adjacent to nothing
	}
	// Pages before covered that the request missed are in a window asked for
	// in its course: the reader finds them there.
	covered := r.First
	for i, o := range r.Outcomes {
		page, left := r.First+uint64(i), len(r.Outcomes)-i
		missing := o == Miss && page >= covered
		marked := a.markers.find(page) != nil
		if marked {
			a.markers.drop(page)
		}
		if !missing && !marked {
			continue
		}
		if fresh := a.decide(w, volume, page, left, !missing, p); !fresh {
			if missing { // a random read: nothing more, nothing remembered
				covered = r.End()
			}
			continue
		}
		p.Prefetch(w.start, w.size, 0)
		covered = max(covered, w.start+uint64(w.size))
		// A page that is cached already is not marked.
		if m := w.start + uint64(w.size-w.async); m >= r.End() && !p.Resident(m) ||
			m >= page && m < r.End() && r.Outcomes[m-r.First] == Miss {
			a.markers.of(m)
		}
	}
	w.prev = r.End() - 1
}

// decide is what Linux does at a page that is missing, or that is marked, with
// left pages of the request to go. It says whether there is a window to fetch.
func (a *readahead) decide(w *window, volume, page uint64, left int, marked bool, p *Plan) bool {
	sequential := page == w.prev || page == w.prev+1
	switch {
	case page == volume: // the start of the file
		a.initial(w, page, left)
	case w.size > 0 && (page == w.start+uint64(w.size-w.async) || page == w.start+uint64(w.size)):
		w.start += uint64(w.size)
		w.size = a.grow(w.size)
		w.async = w.size
	case marked:
		// A marker of a window that was forgotten, for another stream: go on
		// after what is cached.
		hole := page + 1
		for p.Resident(hole) {
			if hole++; hole-page > uint64(a.max) {
				return false
			}
		}
		w.start = hole
		w.size = a.grow(int(hole-page) + left)
		w.async = w.size
	case left > a.max, sequential:
		a.initial(w, page, left)
	default:
		behind := 0
		for behind < a.max && page-uint64(behind) > volume && p.Resident(page-uint64(behind)-1) {
			behind++
		}
		if behind <= left {
			return false
		}
		if page-uint64(behind) == volume {
			behind *= 2 // read from the start of the file
		}
		w.start = page
		w.size = min(behind+left, a.max)
		w.async = 1
	}
	if page == w.start && w.size == w.async {
		// It would hit its own marker at once: take the next window with it.
		w.async = a.grow(w.size)
		w.size += w.async
	}
	return true
}

func (a *readahead) initial(w *window, page uint64, left int) {
	w.start = page
	w.size = a.first(left)
	w.async = w.size
	if w.size > left {
		w.async = w.size - left
	}
}

// first is the size of a first window for a read of so many pages.
func (a *readahead) first(pages int) int {
	size := 1 << bits.Len(uint(pages-1))
	switch {
	case size <= a.max/32:
		size *= 4
	case size <= a.max/4:
		size *= 2
	default:
		size = a.max
	}
	return size
}

// grow is the size of the window after one of so many pages.
func (a *readahead) grow(size int) int {
	if size < a.max/16 {
		return min(4*size, a.max)
	}
	return min(2*size, a.max)
}
