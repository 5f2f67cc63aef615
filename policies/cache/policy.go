// Package cache has cache eviction policies and the simulator that replays
// traces through them.
//
// # Policies
//
// A policy is a value of type Policy, made from a Spec of the registry. The
// policies whose names are plain (lru, s3fifo, lirs …) decide exactly as
// libCacheSim commit aa0fc40 does, its departures from the papers included, so
// that the two count the same misses; each departure is told where it is made.
// That holds for the fourteen that its authors call deterministic, and qdlp;
// the others are after their papers, and those that draw at random come near.
// A name with -paper is the policy as published.
//
// Every policy shares one frame: Find, and after a miss Insert, which evicts
// until the object fits. "Head" is the newest end of a list. Shares of the
// capacity are truncated to whole units. An object keeps the size it came in
// with. Time is the number of requests so far, from 1.
//
// # Memory
//
// An object is a node of 20 bytes, its part of the index, 5.6 bytes once a
// unit-size cache is full, and 4 for its size where sizes count. A ghost is an
// id in a ring of chunks and its part of the index, 13.8 bytes, for the policies
// whose ghosts have queues of their own. Caches that grow (object sizes counted)
// have up to a quarter more. What a policy takes beyond this stands in its type's
// comment; docs/artifacts/codesign.md has a table of all, which
// TestBytesPerObject keeps to what is held.
package cache

// Policy decides what a cache of fixed capacity keeps. The unit of capacity
// and sizes is the caller's: objects (every size 1) or bytes.
//
// Objects are named by Handle while they are resident. A policy is for one
// goroutine.
type Policy interface {
	// Find looks for an object that is requested, and counts the use if it is
	// resident. Otherwise it returns None, and the caller calls Insert for the
	// same object before it calls Find again, or drops the matter: what Find
	// learnt from a ghost is then lost. With LIRS and belady-size a hit may push
	// the object out that was hit: whoever keeps the handle asks Peek.
	Find(k Key) Handle
	// Insert brings in an object that is not resident, after evicting until it
	// fits. It returns None if the policy will not have it. A prefetched object
	// is no evidence of reuse: it is treated as never seen before, and a ghost
	// of it is dropped unread.
	Insert(k Key, size uint32, origin Origin) Handle
	// Admits says whether an object of this size could be cached at all.
	Admits(size uint32) bool
	// Remove drops a resident object, without a ghost and unreported.
	Remove(h Handle)
	// Demote makes a resident object the one to go next, or as near to that as
	// the policy's own rules come.
	Demote(h Handle)

	// Peek gives the handle of a resident object, or None, and changes nothing.
	Peek(k Key) Handle
	// Object gives an object's id and stored size, and whether it was
	// prefetched and has not been used.
	Object(h Handle) (id uint64, size uint32, unused bool)
	// Used takes note that a request found h and says whether it was the first
	// to do so since h was prefetched.
	Used(h Handle) bool
	// Observe has f called after each eviction, once the object is gone and the
	// policy consistent. f may give the object a second chance with Insert: it
	// fits.
	Observe(f func(Victim))
	Capacity() int64
	Occupied() int64
	// Len is the number of resident objects, Known that number and the ghosts.
	Len() int
	Known() int

	base() *store
}

// clairvoyant is a policy that must be told the future: for each request of
// the trace, by its time less one, the time of the next request to the same
// object, or never.
type clairvoyant interface {
	Foresee(next []uint32)
}

// never is the time of a request that does not come.
const never = 1<<32 - 1
