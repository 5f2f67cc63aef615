package nbd

import (
	"container/heap"
	"runtime"
	"sync"
	"time"

	"reprise/emulator"
)

// pacer lets replies go at their time. One goroutine serves all connections:
// it sleeps until shortly before the next reply is due and then watches the
// clock, since timers of a shared virtual machine are late by a millisecond.
// How late each reply left is recorded.
type pacer struct {
	now  func() int64 // nanoseconds of the server's clock
	wake chan struct{}

	mu   sync.Mutex
	due  dueHeap
	late emulator.Histogram
}

type dueReply struct {
	at    int64
	conn  *conn
	reply reply
}

// watch is how long before a deadline sleeping ends.
const watch = 200 * time.Microsecond

func newPacer(now func() int64) *pacer { return &pacer{now: now, wake: make(chan struct{}, 1)} }

// add has reply sent on a connection at a time of the server's clock.
func (p *pacer) add(at int64, c *conn, r reply) {
	p.mu.Lock()
	heap.Push(&p.due, dueReply{at, c, r})
	first := p.due[0].at == at
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *pacer) run(done <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		wait := time.Hour
		if len(p.due) > 0 {
			wait = time.Duration(p.due[0].at - p.now())
			if wait <= 0 {
				d := heap.Pop(&p.due).(dueReply)
				p.late.Add(int64(-wait))
				p.mu.Unlock()
				d.conn.out <- d.reply // has room: see conn.inFlight
				continue
			}
		}
		p.mu.Unlock()
		if wait <= watch {
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
			continue
		}
		timer.Reset(wait - watch)
		select {
		case <-done:
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// lateness is a copy of the record.
func (p *pacer) lateness() *emulator.Histogram {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := p.late
	return &late
}

type dueHeap []dueReply

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueReply)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
