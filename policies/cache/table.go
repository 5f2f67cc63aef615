package cache

// Table is what a policy outside this package is made of: the nodes and the
// index of every policy here, and queues of them numbered from 1. A type that
// embeds it needs Find, Insert, Remove and Demote to be a Policy.
type Table struct {
	store
	queues []queue
}

// NewTable makes a table for objects of capacity units together and so many
// ghosts, with so many queues.
func NewTable(capacity, ghosts int64, queues int) Table {
	t := Table{store: newStore(max(capacity, 0), queues), queues: make([]queue, queues+1)}
	t.expect(t.capacity+ghosts, t.capacity+ghosts)
	for i := range t.queues {
		t.queues[i].root = Handle(i)
	}
	return t
}

// Lookup finds an object that is known, resident or ghost.
func (t *Table) Lookup(k Key) Handle { return t.lookup(k) }

// Ghost says whether an object is known only, not resident.
func (t *Table) Ghost(h Handle) bool { return t.nodes[h].flag&flagGhost != 0 }

// Add makes an unknown object resident. It is in no queue yet. Handles stay
// valid, pointers from Note don't.
func (t *Table) Add(k Key, size uint32, origin Origin) Handle { return t.add(k, size, origin) }

// Note is 16 bits of an object that are its policy's own, 0 at first.
func (t *Table) Note(h Handle) *uint16 { return &t.nodes[h].freq }

// Push makes an object the newest of a queue.
func (t *Table) Push(queue uint8, h Handle) { t.push(&t.queues[queue], h) }

// PushOldest makes an object the oldest of a queue.
func (t *Table) PushOldest(queue uint8, h Handle) { t.pushOldest(&t.queues[queue], h) }

// Pull takes an object out of its queue.
func (t *Table) Pull(h Handle) { t.pull(&t.queues[t.nodes[h].list], h) }

// Pop takes the oldest object out of a queue that is not empty.
func (t *Table) Pop(queue uint8) Handle { return t.pop(&t.queues[queue]) }

// Count is the number of objects in a queue.
func (t *Table) Count(queue uint8) int { return t.queues[queue].n }

// Queue is the queue an object is in, or was in last.
func (t *Table) Queue(h Handle) uint8 { return t.nodes[h].list }

// Bury turns a resident object that is in no queue into a ghost. The victim is
// for Report, once the policy is consistent.
func (t *Table) Bury(h Handle) Victim {
	v := t.victim(h)
	t.ghosted(h)
	return v
}

// Forget drops an object that is in no queue, resident or ghost.
func (t *Table) Forget(h Handle) { t.forget(h) }

// Report tells the observer of an eviction.
func (t *Table) Report(v Victim) { t.report(v) }

// NodeBytes is what a known object takes in a table that is full: its node and
// its part of the index.
const NodeBytes = nodeBytes + bucketBytes*loadDen/loadNum + 1
