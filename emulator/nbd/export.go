package nbd

import (
	"errors"
	"sync"

	"reprise/emulator"
)

// Export is one emulated SSD under a name, with its data.
type Export struct {
	Name  string
	Size  int64 // bytes
	store Store
	// sector is the device's sector size: requests are rounded out to it.
	sector int64

	mu    sync.Mutex // guards what follows
	ssd   *emulator.Device
	stats ExportStats
	// serial: the device's clock does not stay behind it, see Server.Paced.
	serial bool
	idleAt int64 // when the requests so far are done, if serial
}

// begin locks the device for a request that arrives at now and returns the
// device's time; end unlocks it after a request that took latency.
func (e *Export) begin(now int64) int64 {
	e.mu.Lock()
	if e.serial {
		now = max(now, e.idleAt)
	}
	return now
}

func (e *Export) end(now, latency int64) {
	e.idleAt = max(e.idleAt, now+latency)
	e.mu.Unlock()
}

// ExportStats counts the requests of an export's clients.
type ExportStats struct {
	Reads        uint64              `json:"reads"`
	Writes       uint64              `json:"writes"`
	Trims        uint64              `json:"trims"`
	Zeroes       uint64              `json:"write_zeroes"`
	Flushes      uint64              `json:"flushes"`
	Errors       uint64              `json:"errors"`
	ReadBytes    uint64              `json:"read_bytes"`
	WriteBytes   uint64              `json:"write_bytes"`
	ReadLatency  *emulator.Histogram `json:"read_latency_ns"` // of the device, not the connection
	WriteLatency *emulator.Histogram `json:"write_latency_ns"`
}

// NewExport serves a device's logical capacity, with data in store.
func NewExport(name string, ssd *emulator.Device, store Store) *Export {
	c := ssd.Config()
	return &Export{
		Name: name, Size: int64(ssd.Pages()) * int64(c.PageSize()), store: store, sector: int64(c.SectorSize), ssd: ssd,
		stats: ExportStats{ReadLatency: new(emulator.Histogram), WriteLatency: new(emulator.Histogram)},
	}
}

// Stat is the state of an export.
type Stat struct {
	Name   string          `json:"name"`
	Size   int64           `json:"size_bytes"`
	Client ExportStats     `json:"client"`
	Device emulator.Report `json:"device"`
}

// Stat returns the present counters.
func (e *Export) Stat() Stat {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Stat{Name: e.Name, Size: e.Size, Client: e.stats, Device: e.ssd.Report()}
	read, write := *e.stats.ReadLatency, *e.stats.WriteLatency
	s.Client.ReadLatency, s.Client.WriteLatency = &read, &write
	return s
}

// Device gives the export's device to f while no request touches it.
func (e *Export) Device(f func(*emulator.Device) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f(e.ssd)
}

// Close makes the data durable and closes the store.
func (e *Export) Close() error { return errors.Join(e.store.Sync(), e.store.Close()) }

// sectors rounds a range of bytes out to sectors.
func (e *Export) sectors(off, n int64) (lba, count uint64) {
	first, end := off/e.sector, (off+n+e.sector-1)/e.sector
	return uint64(first), uint64(end - first)
}

func (e *Export) read(now int64, p []byte, off int64) (latency int64, err error) {
	lba, n := e.sectors(off, int64(len(p)))
	now = e.begin(now)
	latency, err = e.ssd.Read(now, lba, n)
	e.stats.Reads++
	e.stats.ReadBytes += uint64(len(p))
	e.stats.ReadLatency.Add(latency)
	e.end(now, latency)
	if err == nil {
		_, err = e.store.ReadAt(p, off)
	}
	return latency, err
}

func (e *Export) write(now int64, p []byte, off int64, fua bool) (latency int64, err error) {
	lba, n := e.sectors(off, int64(len(p)))
	now = e.begin(now)
	latency, err = e.ssd.Write(now, lba, n)
	if err == nil && fua {
		latency = max(latency, e.ssd.Flush(now))
	}
	e.stats.Writes++
	e.stats.WriteBytes += uint64(len(p))
	e.stats.WriteLatency.Add(latency)
	e.end(now, latency)
	if err == nil {
		_, err = e.store.WriteAt(p, off)
	}
	if err == nil && fua {
		err = e.store.Sync()
	}
	return latency, err
}

// trim discards a range, which then reads as zeros; so do parts of pages,
// which the device cannot discard.
func (e *Export) trim(now, off, n int64) (latency int64, err error) {
	lba, count := e.sectors(off, n)
	// Sectors covered in part must not be lost with the rest.
	if off%e.sector != 0 {
		lba, count = lba+1, count-1
	}
	if (off+n)%e.sector != 0 && count > 0 {
		count--
	}
	now = e.begin(now)
	if count > 0 {
		latency, err = e.ssd.Trim(now, lba, count)
	}
	e.stats.Trims++
	e.end(now, latency)
	if err == nil {
		err = e.store.Zero(off, n)
	}
	return latency, err
}

// zero writes zeros; with punch it may discard instead.
func (e *Export) zero(now, off, n int64, punch, fua bool) (latency int64, err error) {
	e.mu.Lock()
	e.stats.Zeroes++
	e.mu.Unlock()
	if punch {
		latency, err = e.trim(now, off, n)
	} else {
		lba, count := e.sectors(off, n)
		now = e.begin(now)
		latency, err = e.ssd.Write(now, lba, count)
		if err == nil && fua {
			latency = max(latency, e.ssd.Flush(now))
		}
		e.end(now, latency)
		if err == nil {
			err = e.store.Zero(off, n)
		}
	}
	if err == nil && fua {
		err = e.store.Sync()
	}
	return latency, err
}

func (e *Export) flush(now int64) (latency int64, err error) {
	now = e.begin(now)
	latency = e.ssd.Flush(now)
	e.stats.Flushes++
	e.end(now, latency)
	return latency, e.store.Sync()
}

func (e *Export) failed() {
	e.mu.Lock()
	e.stats.Errors++
	e.mu.Unlock()
}
