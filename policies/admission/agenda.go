package admission

// Event is something due at a time: in a log, the completion of a request; in
// a replay, that of a copy, or a timer.
type Event struct {
	At    int64
	Order uint32 // decides among those due at once; may wrap around
	ID    uint32 // whose it is
}

func (a Event) before(b Event) bool {
	return a.At < b.At || a.At == b.At && int32(a.Order-b.Order) < 0
}

// Agenda is a heap of events, the earliest on top.
type Agenda []Event

// Push puts an event in.
func (q *Agenda) Push(ev Event) {
	h := append(*q, ev)
	*q = h
	at := len(h) - 1
	for at > 0 {
		parent := (at - 1) / 2
		if !ev.before(h[parent]) {
			break
		}
		h[at] = h[parent]
		at = parent
	}
	h[at] = ev
}

// Pop takes the earliest event of an agenda that has one.
func (q *Agenda) Pop() Event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	at := 0
	for child := 1; child < len(h); child = 2*at + 1 {
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(last) {
			break
		}
		h[at] = h[child]
		at = child
	}
	if len(h) > 0 {
		h[at] = last
	}
	return first
}
