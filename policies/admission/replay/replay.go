// Package replay puts traces to pairs of replicated devices in virtual time and
// lets an admission policy choose, read by read, which replica serves it.
//
// Each client's trace has a device of its own, the primary of its requests; the
// next device is its peer, as in Heimdall's client-level evaluation (Kurniawan
// et al., EuroSys '25, §6.1). Arrivals are open-loop: a request's latency
// counts from when its trace wants it, however late it was sent.
package replay

import (
	"context"
	"errors"
	"fmt"
	"math"

	"reprise/emulator"
	"reprise/policies/admission"
	"reprise/traces"
)

// Device serves requests at virtual times that do not go back: it is asked when
// a request reaches it and says in how many nanoseconds it will be done. An
// emulator.SSD is one.
type Device interface {
	Read(now int64, lba, sectors uint64) (latency int64, err error)
	Write(now int64, lba, sectors uint64) (latency int64, err error)
}

// Live are devices in real time. Its methods are called by one goroutine.
type Live interface {
	Devices() int
	// Now is the time in ns since some moment in the past.
	Now() int64
	// Submit hands a request to a device and does not wait for it. Lba and
	// sectors are as a Device has them.
	Submit(device int, tag uint32, read bool, lba, sectors uint64)
	// Wait gives the next request that is done and when it was, or, with ok
	// false, that it is until and none was.
	Wait(ctx context.Context, until int64) (tag uint32, at int64, ok bool, err error)
}

// Replicas says where writes go.
type Replicas string

// The ways to write.
const (
	WriteBoth    Replicas = "both"    // to every replica, done when the last is
	WritePrimary Replicas = "primary" // to the client's own device alone, as the published replayer does
)

// Config describes the machine that replays.
type Config struct {
	Devices []Device
	Live    Live // in place of Devices: real ones
	// Bytes is the capacity of each device that requests are folded into:
	// offsets are taken modulo it and down to a page of 4 KiB, as the published
	// replayer does.
	Bytes  uint64
	Writes Replicas
	// Workers is how many requests of a client can be under way, as with the
	// published replayer's blocking threads (8); 0: any number.
	Workers int
	// Depth is how many requests a device takes at a time; others wait in the
	// host, where they can be cancelled; 0: any number.
	Depth int
	// Start is the virtual time at which the devices are ready, in ns. Live
	// devices have a time of their own.
	Start int64
}

const (
	sectorSize = 512
	pageSize   = 4096
)

// Engine replays on one set of devices. Time goes on from run to run.
type Engine struct {
	cfg     Config
	devices int
	host    Host
	now     int64
	events  admission.Agenda // IDs: an io's or copy's number, twice, and 1 for a timer
	seq     uint32

	ios     []io
	free    []uint32
	copies  []copied
	spare   []uint32
	waiting []fifo // by device: copies beyond its depth
	active  []int  // by device: copies it works on
	blocked []fifo // by client: requests for which no worker is free
	busy    []int  // by client: workers

	policy   Policy
	observer Observer
	run      *Result
	logs     []*admission.Log
	decided  func(Read, Choice)
}

// Host is what a policy may look at: what is in flight and what has completed,
// by device.
type Host struct {
	Now      int64
	Trackers []admission.Tracker
}

// Read is a read to route.
type Read struct {
	At           int64 // ns, virtual
	Client       int   // also its primary device
	Size         uint32
	LBA, Sectors uint64
}

// Choice is where a read goes.
type Choice struct {
	Device int
	// Hedge is after how many nanoseconds without completion a second copy goes
	// to HedgeTo; 0: never.
	Hedge   int64
	HedgeTo int
	// Cancel takes the slower copy back where it still waits in the host.
	Cancel bool
}

// Policy routes reads. It is told of nothing but the past.
type Policy interface {
	Name() string
	Route(h *Host, r Read) Choice
}

// Observer is a Policy that wants to know what is sent to the devices and what
// comes back.
type Observer interface {
	// Sent is told when a request is handed to a device or its queue. What it
	// returns comes back with the request's Done.
	Sent(device int, size uint32, read bool) (mark uint32)
	// Done is told the latency in nanoseconds; it is negative where the request
	// was taken back.
	Done(device int, size uint32, read bool, latency int64, mark uint32)
}

// io is a request of a client.
type io struct {
	arrival, sent int64
	offset        uint64
	size          uint32
	client        int32
	pending       int32 // copies and timers that refer to it
	waitFor       int32 // copies that must complete for it to be done
	first         uint32
	choice        Choice
	read, done    bool
}

// copied is a request as a device sees it.
type copied struct {
	io        uint32
	device    int32
	sent      int64
	ticket    admission.Ticket
	mark      uint32 // the observer's
	row       int32  // in a live device's log
	handed    int64  // to a live device
	hedge     bool
	cancelled bool
	queued    bool // waits in the host
}

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	n := len(cfg.Devices)
	if cfg.Live != nil {
		n = cfg.Live.Devices()
	}
	switch {
	case n < 2:
		return nil, fmt.Errorf("replay: %d devices: a replica needs another", n)
	case cfg.Bytes < pageSize:
		return nil, fmt.Errorf("replay: devices of %d bytes", cfg.Bytes)
	case cfg.Writes != WriteBoth && cfg.Writes != WritePrimary:
		return nil, fmt.Errorf("replay: writes %q: want %s or %s", cfg.Writes, WriteBoth, WritePrimary)
	}
	return &Engine{
		cfg: cfg, devices: n, now: cfg.Start, host: Host{Trackers: make([]admission.Tracker, n)},
		waiting: make([]fifo, n), active: make([]int, n), blocked: make([]fifo, n), busy: make([]int, n),
	}, nil
}

// Options of one run.
type Options struct {
	// Log records each device's requests, to train on.
	Log bool
	// Decided, unless nil, sees every read's choice.
	Decided func(Read, Choice)
}

// Result is what a run measured.
type Result struct {
	Policy string
	// Latency of reads counts from when the trace wants them, Service from when
	// they were handed to a device or its queue; they differ with Workers, and
	// on live devices by Lag: how late the replay itself was with a request.
	Latency, Service, WriteLatency, Lag emulator.Histogram
	Reads, Writes                       int
	Redirected                          int // reads that went to a device other than their primary
	Hedged                              int // second copies sent
	HedgeWon                            int // of which were done first
	Cancelled                           int // copies taken back
	Devices                             []DeviceLoad
	Clients                             []emulator.Histogram // read latency by client
	// Logs are by device, where Options.Log asked for them.
	Logs []*admission.Log
}

// DeviceLoad is what a device was given.
type DeviceLoad struct {
	Reads, Writes         int
	ReadBytes, WriteBytes uint64
	Foreign               int // reads whose primary is another device
}

// Run replays the streams, one a client, under a policy until every request is
// done. Times of the streams count from the engine's present; they must not go
// back.
func (e *Engine) Run(ctx context.Context, p Policy, streams [][]traces.Request, o Options) (*Result, error) {
	n := e.devices
	if len(streams) > n {
		return nil, fmt.Errorf("replay: %d clients for %d devices", len(streams), n)
	}
	e.policy, e.decided = p, o.Decided
	e.observer, _ = p.(Observer)
	e.run = &Result{Policy: p.Name(), Devices: make([]DeviceLoad, n), Clients: make([]emulator.Histogram, len(streams))}
	e.logs = nil
	if o.Log {
		for range n {
			e.logs = append(e.logs, &admission.Log{})
		}
		e.run.Logs = e.logs
	}
	if e.cfg.Live != nil {
		e.now = e.cfg.Live.Now()
	}
	base := e.now
	at := make([]int, len(streams))
	last := int64(0)
	for count := 0; ; count++ {
		client := -1
		var next int64
		for c, s := range streams {
			if at[c] < len(s) && (client < 0 || s[at[c]].Time < next) {
				client, next = c, s[at[c]].Time
			}
		}
		if count&0xffff == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if client < 0 {
			break
		}
		if next < last {
			return nil, fmt.Errorf("replay: request %d of client %d arrives before the one ahead of it", at[client], client)
		}
		last = next
		if err := e.until(ctx, base+next); err != nil {
			return nil, err
		}
		if err := e.arrive(client, &streams[client][at[client]], base+next); err != nil {
			return nil, err
		}
		at[client]++
	}
	for len(e.events) > 0 || e.cfg.Live != nil && e.underWay() > 0 {
		to := int64(math.MaxInt64)
		if len(e.events) > 0 {
			to = e.events[0].At
		}
		if err := e.until(ctx, to); err != nil {
			return nil, err
		}
	}
	return e.run, nil
}

// until lets time pass, virtual or real.
func (e *Engine) until(ctx context.Context, to int64) error {
	if e.cfg.Live != nil {
		return e.wait(ctx, to)
	}
	return e.advance(to)
}

// wait lets real time pass up to a moment or, without one, until nothing is
// under way.
func (e *Engine) wait(ctx context.Context, to int64) error {
	for {
		next := to
		if len(e.events) > 0 {
			next = min(next, e.events[0].At)
		}
		c, at, ok, err := e.cfg.Live.Wait(ctx, next)
		switch {
		case err != nil:
			return err
		case ok:
			e.now = max(e.now, at)
			if err := e.complete(c); err != nil {
				return err
			}
			if to == math.MaxInt64 && e.underWay() == 0 {
				return nil
			}
			continue
		}
		e.now = max(e.now, e.cfg.Live.Now())
		if len(e.events) > 0 && e.events[0].At <= e.now {
			if err := e.hedge(e.events.Pop().ID >> 1); err != nil {
				return err
			}
			continue
		}
		if e.now >= to {
			return nil
		}
	}
}

// underWay is the number of copies at devices.
func (e *Engine) underWay() (n int) {
	for _, a := range e.active {
		n += a
	}
	return n
}

// advance lets everything happen that happens up to a time.
func (e *Engine) advance(to int64) error {
	for len(e.events) > 0 && e.events[0].At <= to {
		ev := e.events.Pop()
		e.now = ev.At
		var err error
		if ev.ID&1 != 0 {
			err = e.hedge(ev.ID >> 1)
		} else {
			err = e.complete(ev.ID >> 1)
		}
		if err != nil {
			return err
		}
	}
	e.now = to
	return nil
}

func (e *Engine) arrive(client int, r *traces.Request, wanted int64) error {
	if r.Op != traces.Read && r.Op != traces.Write || r.Size == 0 {
		return nil
	}
	id := e.newIO()
	size := uint64(r.Size)
	offset := r.Offset % e.cfg.Bytes &^ (pageSize - 1)
	if size > e.cfg.Bytes {
		return fmt.Errorf("replay: a request of %d bytes on devices of %d", size, e.cfg.Bytes)
	}
	if offset+size > e.cfg.Bytes {
		offset = (e.cfg.Bytes - size) &^ (pageSize - 1)
	}
	e.ios[id] = io{arrival: wanted, offset: offset, size: r.Size, client: int32(client), read: r.Op == traces.Read}
	if e.cfg.Live != nil {
		e.run.Lag.Add(e.now - wanted)
	}
	if e.cfg.Workers > 0 && e.busy[client] >= e.cfg.Workers {
		e.blocked[client].push(id)
		return nil
	}
	return e.start(id)
}

// start hands a request out: a worker has taken it.
func (e *Engine) start(id uint32) error {
	q := &e.ios[id]
	q.sent = e.now
	client := int(q.client)
	e.busy[client]++
	if !q.read {
		e.run.Writes++
		if e.cfg.Writes == WritePrimary {
			q.waitFor = 1
			return e.send(id, client, false)
		}
		q.waitFor = int32(e.devices)
		for d := range e.devices {
			if err := e.send(id, d, false); err != nil {
				return err
			}
		}
		return nil
	}
	e.run.Reads++
	q.waitFor = 1
	lba, sectors := q.place()
	e.host.Now = e.now
	r := Read{At: e.now, Client: client, Size: q.size, LBA: lba, Sectors: sectors}
	c := e.policy.Route(&e.host, r)
	if c.Device < 0 || c.Device >= e.devices || c.HedgeTo < 0 || c.HedgeTo >= e.devices {
		return fmt.Errorf("replay: policy %s chose device %d and hedge %d of %d", e.policy.Name(), c.Device, c.HedgeTo, e.devices)
	}
	q.choice = c
	if e.decided != nil {
		e.decided(r, c)
	}
	if c.Device != client {
		e.run.Redirected++
	}
	if c.Hedge > 0 {
		q.pending++
		e.schedule(e.now+c.Hedge, id<<1|1)
	}
	return e.send(id, c.Device, false)
}

// place is where on the device a request lies, in sectors.
func (q *io) place() (lba, sectors uint64) {
	return q.offset / sectorSize, (uint64(q.size) + sectorSize - 1) / sectorSize
}

// send gives a copy of a request to a device, or to its queue in the host.
func (e *Engine) send(id uint32, device int, hedge bool) error {
	c := e.newCopy()
	q := &e.ios[id]
	q.pending++
	if !hedge {
		q.first = c
	}
	e.copies[c] = copied{io: id, device: int32(device), sent: e.now, hedge: hedge}
	e.copies[c].ticket = e.host.Trackers[device].Submit(e.now, q.size, q.read)
	if e.observer != nil {
		e.copies[c].mark = e.observer.Sent(device, q.size, q.read)
	}
	if e.cfg.Depth > 0 && e.active[device] >= e.cfg.Depth {
		e.copies[c].queued = true
		e.waiting[device].push(c)
		return nil
	}
	return e.submit(c)
}

// submit puts a copy to its device.
func (e *Engine) submit(c uint32) error {
	k := &e.copies[c]
	q := &e.ios[k.io]
	device := int(k.device)
	k.queued = false
	e.active[device]++
	lba, sectors := q.place()
	load := &e.run.Devices[device]
	if q.read {
		load.Reads++
		load.ReadBytes += uint64(q.size)
		if device != int(q.client) {
			load.Foreign++
		}
	} else {
		load.Writes++
		load.WriteBytes += uint64(q.size)
	}
	if e.cfg.Live != nil {
		k.handed = e.now
		if e.logs != nil {
			k.row = int32(e.logs[device].Len())
			e.logs[device].Append(e.now, 0, q.size, q.read)
		}
		e.cfg.Live.Submit(device, c, q.read, lba, sectors)
		return nil
	}
	var latency int64
	var err error
	if q.read {
		latency, err = e.cfg.Devices[device].Read(e.now, lba, sectors)
	} else {
		latency, err = e.cfg.Devices[device].Write(e.now, lba, sectors)
	}
	if err != nil {
		return fmt.Errorf("replay: device %d: %w", device, err)
	}
	if latency < 0 {
		return errors.New("replay: a device answered before it was asked")
	}
	if e.logs != nil {
		e.logs[device].Append(e.now, latency/1000, q.size, q.read)
	}
	e.schedule(e.now+latency, c<<1)
	return nil
}

// complete is a device being done with a copy.
func (e *Engine) complete(c uint32) error {
	k := e.copies[c]
	q := &e.ios[k.io]
	device := int(k.device)
	e.active[device]--
	if e.cfg.Live != nil && e.logs != nil {
		e.logs[device].Completed(int(k.row), (e.now-k.handed)/1000)
	}
	e.host.Trackers[device].Complete(k.ticket, e.now)
	if e.observer != nil {
		e.observer.Done(device, q.size, q.read, e.now-k.sent, k.mark)
	}
	e.spare = append(e.spare, c)
	q.waitFor--
	if !q.done && q.waitFor <= 0 {
		if err := e.finish(k.io, k.hedge); err != nil {
			return err
		}
	}
	e.release(k.io)
	for e.cfg.Depth > 0 && e.active[device] < e.cfg.Depth && e.waiting[device].len() > 0 {
		next := e.waiting[device].pop()
		if e.copies[next].cancelled {
			e.spare = append(e.spare, next)
			continue
		}
		if err := e.submit(next); err != nil {
			return err
		}
	}
	return nil
}

// finish is a client having its answer.
func (e *Engine) finish(id uint32, byHedge bool) error {
	q := &e.ios[id]
	q.done = true
	client := int(q.client)
	latency := e.now - q.arrival
	if q.read {
		e.run.Latency.Add(latency)
		e.run.Service.Add(e.now - q.sent)
		e.run.Clients[client].Add(latency)
		if byHedge {
			e.run.HedgeWon++
			e.cancel(q.first, q.choice.Cancel)
		}
	} else {
		e.run.WriteLatency.Add(latency)
	}
	e.busy[client]--
	if e.cfg.Workers > 0 && e.blocked[client].len() > 0 {
		return e.start(e.blocked[client].pop())
	}
	return nil
}

// cancel takes a copy back that still waits in the host.
func (e *Engine) cancel(c uint32, wanted bool) {
	k := &e.copies[c]
	if !wanted || !k.queued || k.cancelled {
		return
	}
	k.cancelled = true
	e.run.Cancelled++
	e.host.Trackers[k.device].Cancel(k.ticket)
	q := &e.ios[k.io]
	q.pending--
	if e.observer != nil {
		e.observer.Done(int(k.device), q.size, q.read, -1, k.mark)
	}
}

// hedge is a read's timer going off.
func (e *Engine) hedge(id uint32) error {
	q := &e.ios[id]
	if !q.done {
		e.run.Hedged++
		if err := e.send(id, q.choice.HedgeTo, true); err != nil {
			return err
		}
	}
	e.release(id)
	return nil
}

func (e *Engine) schedule(at int64, id uint32) {
	e.seq++
	e.events.Push(admission.Event{At: at, Order: e.seq, ID: id})
}

func (e *Engine) release(id uint32) {
	q := &e.ios[id]
	if q.pending--; q.pending == 0 && q.done {
		e.free = append(e.free, id)
	}
}

func (e *Engine) newIO() uint32 {
	if n := len(e.free); n > 0 {
		id := e.free[n-1]
		e.free = e.free[:n-1]
		return id
	}
	e.ios = append(e.ios, io{})
	return uint32(len(e.ios) - 1)
}

func (e *Engine) newCopy() uint32 {
	if n := len(e.spare); n > 0 {
		c := e.spare[n-1]
		e.spare = e.spare[:n-1]
		return c
	}
	e.copies = append(e.copies, copied{})
	return uint32(len(e.copies) - 1)
}
