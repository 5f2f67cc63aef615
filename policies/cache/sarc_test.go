package cache

import "testing"

func init() { references["sarc"] = refSARC }

// refSARC keeps each list whole, and counts how many of its oldest make up the
// old end.
func refSARC(c int64, _ []uint32) reference {
	type side struct {
		list refList
		old  int
	}
	var random, sequential side
	end := max(int64(0.05*float64(c)), 1)
	desired, adapt, missed, clock := 0.0, 0.0, 0.0, 0
	refill := func(s *side) {
		for s.old < len(s.list) && s.list[len(s.list)-s.old:].bytes() < end {
			s.old++
		}
	}
	take := func(s *side, i int) refObject {
		if i >= len(s.list)-s.old {
			s.old--
		}
		o := s.list.take(i)
		refill(s)
		return o
	}
	enter := func(s *side, o refObject) {
		clock++
		o.time = clock
		s.list.push(o)
		refill(s)
	}
	return func(id uint64, size int64) bool {
		for _, s := range []*side{&random, &sequential} {
			i := s.list.find(id)
			if i < 0 {
				continue
			}
			if i >= len(s.list)-s.old {
				ratio := 2 * missed * float64(end) / float64(max(sequential.list.bytes(), 1))
				if s == &random {
					missed = 0
					adapt = max(-1, min(1, ratio-1))
				} else if ratio > 20 {
					adapt = 1
				}
			}
			enter(s, take(s, i))
			return true
		}
		if size > c {
			return false
		}
		for random.list.bytes()+sequential.list.bytes()+size > c {
			r, q := random.list, sequential.list
			victim := &random
			switch {
			case len(r) == 0:
				victim = &sequential
			case len(q) == 0:
			case q.bytes() < end || r.bytes() < end:
				if q[len(q)-1].time < r[len(r)-1].time {
					victim = &sequential
				}
			case float64(q.bytes()) > desired:
				victim = &sequential
			}
			desired = max(0, min(desired+adapt/2, float64(c)))
			take(victim, len(victim.list)-1)
		}
		count := 1
		for _, s := range []*side{&random, &sequential} {
			if i := s.list.find(id - 1); i >= 0 {
				count = min(s.list[i].freq+1, 3)
			}
		}
		o := refObject{id: id, size: size, freq: count}
		if count == 3 {
			missed++
			enter(&sequential, o)
		} else {
			enter(&random, o)
		}
		return false
	}
}

// A long scan stays in its list and does not push out what is used again.
func TestSARCKeepsRandomPages(t *testing.T) {
	var ids []uint64
	for i := range uint64(3000) {
		ids = append(ids, 1<<30+i, 7*(i%60), 7*(i*31%60))
	}
	trace := traceOf(ids...)
	sarc, lru := run(t, trace, "sarc", 80, 0), run(t, trace, "lru", 80, 0)
	if sarc >= lru {
		t.Errorf("SARC missed %d, LRU %d", sarc, lru)
	}
}
