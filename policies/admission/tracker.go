package admission

import "math"

// Tracker is what a host knows of one device at a time: what is in flight, and
// what the requests that completed last took. It never knows more than has
// completed. Features for training are read off a Tracker too, fed with a log,
// so that a model meets at run time what it was trained on.
//
// Times are nanoseconds. A Tracker allocates only to grow with the greatest
// number in flight.
type Tracker struct {
	flight []flying // ring: ticket t lies at t & (len-1)
	oldest uint32   // the oldest ticket that may be in flight
	next   uint32

	queue, writes int32
	bytes         int64
	recent        [history]completion // recent[0] the last
	lastDone      int64
	smooth        int64 // us·16, latencies smoothed by eighths
}

// history is how many completed requests a model looks back on (N = 3, §3.3).
const history = 3

type flying struct {
	submit int64
	size   uint32
	queue  int32
	read   bool
	busy   bool
}

type completion struct{ latency, throughput, queue int32 }

// Ticket names a request in flight.
type Ticket uint32

// Submit tells that a request was handed to the device.
func (t *Tracker) Submit(now int64, size uint32, read bool) Ticket {
	if int(t.next-t.oldest) == len(t.flight) {
		t.grow()
	}
	t.queue++
	t.bytes += int64(size)
	if !read {
		t.writes++
	}
	ticket := t.next
	t.flight[ticket&uint32(len(t.flight)-1)] = flying{now, size, t.queue, read, true}
	t.next++
	return Ticket(ticket)
}

func (t *Tracker) grow() {
	larger := make([]flying, max(64, 2*len(t.flight)))
	for i := t.oldest; i != t.next; i++ {
		larger[i&uint32(len(larger)-1)] = t.flight[i&uint32(len(t.flight)-1)]
	}
	t.flight = larger
}

// Complete tells that the device is done with a request.
func (t *Tracker) Complete(ticket Ticket, now int64) {
	f := t.leave(ticket)
	latency := max(1, (now-f.submit)/1000)
	t.recent[2], t.recent[1] = t.recent[1], t.recent[0]
	t.recent[0] = completion{clamp32(latency), clamp32(int64(f.size) * 1000 / latency), f.queue}
	t.lastDone = now
	t.smooth += (latency<<4 - t.smooth) >> 3
}

// Cancel tells that a request left the device undone: nothing is learned.
func (t *Tracker) Cancel(ticket Ticket) { t.leave(ticket) }

func (t *Tracker) leave(ticket Ticket) flying {
	mask := uint32(len(t.flight) - 1)
	f := &t.flight[uint32(ticket)&mask]
	f.busy = false
	t.queue--
	t.bytes -= int64(f.size)
	if !f.read {
		t.writes--
	}
	for t.oldest != t.next && !t.flight[t.oldest&mask].busy {
		t.oldest++
	}
	return *f
}

// Queue is the number of requests in flight.
func (t *Tracker) Queue() int { return int(t.queue) }

// Bytes is the number of bytes in flight.
func (t *Tracker) Bytes() int64 { return t.bytes }

// OldestAge is for how many nanoseconds the oldest request has been in flight.
func (t *Tracker) OldestAge(now int64) int64 {
	if t.oldest == t.next {
		return 0
	}
	return now - t.flight[t.oldest&uint32(len(t.flight)-1)].submit
}

// SmoothLatency is the moving average of latencies in microseconds.
func (t *Tracker) SmoothLatency() float64 { return float64(t.smooth) / 16 }

// Heimdall writes Heimdall's eleven inputs for a read of size bytes that would
// be submitted now.
func (t *Tracker) Heimdall(x []int32, size uint32) {
	_ = x[10]
	x[0], x[1] = clamp32(int64(size)), t.queue+1
	for k, r := range t.recent {
		x[2+k], x[5+k], x[8+k] = r.queue, r.latency, r.throughput
	}
}

// Extended writes Heimdall's inputs and five that tell a device which has
// stalled from one which is idle: no completion tells that until it is over.
func (t *Tracker) Extended(x []int32, now int64, size uint32) {
	_ = x[15]
	t.Heimdall(x, size)
	x[11] = clamp32(t.bytes)
	x[12] = t.writes
	x[13] = clamp32(t.OldestAge(now) / 1000)
	x[14] = clamp32((now - t.lastDone) / 1000)
	x[15] = clamp32(t.smooth)
}

func clamp32(v int64) int32 { return int32(min(max(v, 0), math.MaxInt32)) }
