package prefetch

// streams is a table of what is known of a number of streams of requests, each
// found by a key. It is set-associative: a stream lives in one of four places
// and takes the one used longest ago.
type streams[T any] struct {
	keys  []uint64
	used  []uint32 // when; 0: free
	state []T
	clock uint32
}

const ways = 4

// newStreams makes a table for about n streams.
func newStreams[T any](n int) streams[T] {
	sets := 1
	for sets*ways < n {
		sets *= 2
	}
	return streams[T]{keys: make([]uint64, sets*ways), used: make([]uint32, sets*ways), state: make([]T, sets*ways)}
}

func (s *streams[T]) set(key uint64) int {
	return int(hash(key)) & (len(s.keys)/ways - 1) * ways
}

// tick never gives 0, which marks what is free.
func (s *streams[T]) tick() uint32 {
	s.clock = max(s.clock+1, 1)
	return s.clock
}

// find gives the place of a stream, or none.
func (s *streams[T]) find(key uint64) *T {
	at := s.set(key)
	for i := at; i < at+ways; i++ {
		if s.used[i] != 0 && s.keys[i] == key {
			s.used[i] = s.tick()
			return &s.state[i]
		}
	}
	return nil
}

// put makes a place for a stream that is not there, and clears it.
func (s *streams[T]) put(key uint64) *T {
	at := s.set(key)
	victim := at
	for i := at + 1; i < at+ways; i++ {
		// The age is a difference, so that the clock may wrap round.
		if s.used[victim] != 0 && (s.used[i] == 0 || s.clock-s.used[i] > s.clock-s.used[victim]) {
			victim = i
		}
	}
	s.keys[victim], s.used[victim] = key, s.tick()
	var zero T
	s.state[victim] = zero
	return &s.state[victim]
}

// drop frees the place of a stream.
func (s *streams[T]) drop(key uint64) {
	at := s.set(key)
	for i := at; i < at+ways; i++ {
		if s.used[i] != 0 && s.keys[i] == key {
			s.used[i] = 0
		}
	}
}

func (s *streams[T]) of(key uint64) *T {
	if t := s.find(key); t != nil {
		return t
	}
	return s.put(key)
}

func (s *streams[T]) bytes(each int) int { return len(s.keys) * (12 + each) }
