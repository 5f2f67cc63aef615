package cache

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// run replays a trace, and returns the misses.
func run(t testing.TB, trace *Trace, policy string, size int64, seed uint64) int64 {
	r, err := Replay(context.Background(), trace, choice(t, policy).New(size, seed), nil)
	require.NoError(t, err)
	return r.Misses
}

func traceOf(ids ...uint64) *Trace {
	t := &Trace{ids: ids}
	t.ready()
	return t
}

// Traces small enough to follow by hand, objects of size 1.
func TestByHand(t *testing.T) {
	for _, c := range []struct {
		policy string
		size   int64
		ids    []uint64
		misses int64
	}{
		{"fifo", 2, []uint64{1, 2, 1, 3, 1}, 4},  // 3 pushes 1 out though it was just hit
		{"lru", 2, []uint64{1, 2, 1, 3, 1}, 3},   // the hit saves 1
		{"clock", 2, []uint64{1, 2, 1, 3, 1}, 3}, // so does the second chance
		{"clock", 2, []uint64{1, 2, 1, 3, 4, 1}, 5},
		{"clock:bits=2", 2, []uint64{1, 1, 1, 2, 3, 4, 1}, 4}, // counted twice, spared twice
		{"sieve", 2, []uint64{1, 2, 1, 3, 1}, 3},
		{"sieve", 3, []uint64{1, 2, 3, 1, 4, 5, 1}, 5}, // the hand went past 1 and left it where it was
		{"lfu", 2, []uint64{1, 1, 2, 3, 1}, 3},
		{"belady", 2, []uint64{1, 2, 3, 1, 2, 1}, 4},
		{"arc", 2, []uint64{1, 1, 2, 3, 4, 1}, 4}, // the scan 2, 3, 4 stays in T1
	} {
		require.Equal(t, c.misses, run(t, traceOf(c.ids...), c.policy, c.size, 0), "%s of %d: %v", c.policy, c.size, c.ids)
	}
}

func TestLimits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, spec := range Policies() {
		for _, sized := range []bool{false, true} {
			trace := randomTrace(rng, 3000, sized)
			footprint := trace.Footprint()
			for _, size := range []int64{-1, 0, 1, 2, 3, footprint.Bytes, 3 * footprint.Bytes, math.MaxInt64 / 8} {
				if spec.Name == "wtinylfu" && size > 1<<40 {
					continue // its counters are 4 bytes a unit up to there
				}
				p := choice(t, spec.Name).New(size, 0)
				r, err := Replay(context.Background(), trace, p, nil)
				require.NoError(t, err)
				require.GreaterOrEqual(t, r.Misses, footprint.Objects)
				require.LessOrEqual(t, r.Misses, int64(trace.Len()))
				require.LessOrEqual(t, p.Occupied(), max(size, 0))
				check(t, p)
			}
		}
	}
}

func TestNobodyBeatsBelady(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 10 {
		trace := randomTrace(rng, 3000, false)
		for _, size := range []int64{1, 2, 5, 17, 60, 200} {
			best := run(t, trace, "belady", size, 0)
			for _, spec := range Policies() {
				// In LIRS a phantom's hit costs no room; belady-size need not take in
				// what it was asked for.
				if spec.Name != "lirs" && spec.Name != "belady-size" {
					require.GreaterOrEqual(t, run(t, trace, spec.Name, size, 0), best, "%s of %d", spec.Name, size)
				}
			}
		}
	}
}

// LRU and MIN are stack algorithms: a larger cache holds what a smaller does.
func TestLargerMissesNoMore(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 10 {
		trace := randomTrace(rng, 3000, false)
		for _, policy := range []string{"lru", "belady"} {
			last := int64(math.MaxInt64)
			for size := int64(0); size < 120; size += 3 {
				misses := run(t, trace, policy, size, 0)
				require.LessOrEqual(t, misses, last, "%s of %d", policy, size)
				last = misses
			}
		}
	}
}

func TestSeed(t *testing.T) {
	trace := randomTrace(rand.New(rand.NewPCG(6, 6)), 20000, false)
	for _, spec := range Policies() {
		require.Equal(t, run(t, trace, spec.Name, 40, 9), run(t, trace, spec.Name, 40, 9), spec.Name)
	}
}

// TestOperations drives policies as a prefetching harness does, in any order.
func TestOperations(t *testing.T) {
	for _, spec := range Policies() {
		t.Run(spec.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, 8))
			for round := range 40 {
				trace := randomTrace(rng, 1500, round%2 == 0)
				capacity := 1 + rng.Int64N(trace.Footprint().Bytes)
				p := choice(t, spec.Name).New(capacity, 1)
				if c, ok := p.(clairvoyant); ok {
					c.Foresee(trace.next())
				}
				resident := map[uint64]bool{}
				second := map[uint64]bool{}
				finding := uint64(1<<64 - 1)
				p.Observe(func(v Victim) {
					// A hit of LIRS may bring an object back, and push it out.
					require.True(t, resident[v.ID] || v.ID == finding, "object %d left twice; round %d, at %d", v.ID, round, finding)
					delete(resident, v.ID)
					require.Equal(t, None, p.Peek(KeyOf(v.ID)))
					if v.Unused && !second[v.ID] {
						second[v.ID] = true
						if p.Insert(KeyOf(v.ID), v.Size, Prefetched) != None {
							resident[v.ID] = true
						}
					}
				})
				insert := func(id uint64, size uint32, origin Origin) {
					finding = id
					if h := p.Insert(KeyOf(id), size, origin); h != None {
						got, _, unused := p.Object(h)
						require.Equal(t, id, got)
						require.Equal(t, origin == Prefetched, unused)
						resident[id] = true
					}
				}
				for i, id := range trace.ids {
					finding = id
					if h := p.Find(KeyOf(id)); h == None {
						require.False(t, resident[id])
						insert(id, trace.size(i), Demand)
					} else {
						p.Used(h)
						if p.Peek(KeyOf(id)) != None {
							require.False(t, p.Used(h))
							resident[id] = true
						}
					}
					if next := id + 1; rng.IntN(3) == 0 && p.Peek(KeyOf(next)) == None {
						insert(next, trace.size(i), Prefetched)
					}
					if h := p.Peek(KeyOf(trace.ids[rng.IntN(i+1)])); h != None {
						switch rng.IntN(10) {
						case 0:
							victim, _, _ := p.Object(h)
							p.Remove(h)
							delete(resident, victim)
						case 1, 2:
							p.Demote(h)
						}
					}
					require.LessOrEqual(t, p.Occupied(), capacity)
					require.Len(t, resident, p.Len(), "request %d", i)
				}
				check(t, p)
			}
		})
	}
}

// A demoted object goes before all others.
func TestDemote(t *testing.T) {
	for _, policy := range []string{"lru", "fifo", "clock", "sieve", "s3fifo", "slru", "lfu", "gdsf", "lfuda", "lecar", "lirs:hir=0.1", "belady",
		"hyperbolic:samples=1000", "qdlp", "clockpro", "car", "random"} {
		p := choice(t, policy).New(100, 0)
		ids := make([]uint64, 400)
		for i := range ids {
			ids[i] = uint64(i)
		}
		if c, ok := p.(clairvoyant); ok {
			c.Foresee(traceOf(ids...).next())
		}
		for _, id := range ids[:200] {
			if p.Find(KeyOf(id)) == None {
				p.Insert(KeyOf(id), 1, Demand)
			}
		}
		h := p.Peek(KeyOf(198))
		require.NotEqual(t, None, h, policy)
		var left []uint64
		p.Observe(func(v Victim) { left = append(left, v.ID) })
		p.Demote(h)
		for _, id := range ids[200:] {
			p.Find(KeyOf(id))
			p.Insert(KeyOf(id), 1, Demand)
			if len(left) > 0 {
				break
			}
		}
		require.Equal(t, []uint64{198}, left, policy)
	}
}

func TestNoAllocationPerRequest(t *testing.T) {
	trace := randomTrace(rand.New(rand.NewPCG(9, 9)), 20000, true)
	for _, spec := range Policies() {
		p := choice(t, spec.Name).New(trace.Footprint().Bytes/10, 0)
		_, err := Replay(context.Background(), trace, p, nil)
		require.NoError(t, err)
		var r Result
		allocs := testing.AllocsPerRun(3, func() {
			switch b := p.(type) {
			case *belady:
				b.now = 0
			case *beladySize:
				b.now = 0
			}
			replay(p, trace, 0, trace.Len(), &r)
		})
		require.Less(t, allocs, 20.0, spec.Name)
	}
}

func TestSweep(t *testing.T) {
	trace := randomTrace(rand.New(rand.NewPCG(10, 10)), 5000, false)
	choices, err := ParsePolicies("lru,s3fifo:small=0.2,ghost=0.5,belady")
	require.NoError(t, err)
	var jobs []Job
	for _, c := range choices {
		for _, size := range []int64{5, 50} {
			jobs = append(jobs, Job{Choice: c, Size: size})
		}
	}
	var served atomic.Int64
	var results []Result
	s := Sweep{Workers: 3, Now: time.Now, Served: &served}
	require.NoError(t, s.Run(context.Background(), trace, jobs, func(r Result) error {
		results = append(results, r)
		return nil
	}))
	require.Len(t, results, len(jobs))
	require.EqualValues(t, len(jobs)*trace.Len(), served.Load())
	for i, r := range results {
		require.Equal(t, jobs[i].Choice.Text, r.Policy)
		require.Equal(t, jobs[i].Size, r.Size)
		require.Equal(t, run(t, trace, r.Policy, r.Size, 0), r.Misses)
		require.Equal(t, r.Requests, r.ReqBytes)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Run(ctx, trace, jobs, func(Result) error { return nil }), context.Canceled)
	require.ErrorIs(t, s.Run(context.Background(), trace, jobs, func(Result) error { return context.DeadlineExceeded }), context.DeadlineExceeded)
}

func TestParsePolicies(t *testing.T) {
	choices, err := ParsePolicies("lru, s3fifo:small=0.2,ghost=0.5,slru:segments=1:4,fifo")
	require.NoError(t, err)
	var texts []string
	for _, c := range choices {
		texts = append(texts, c.Text)
	}
	require.Equal(t, []string{"lru", "s3fifo:small=0.2,ghost=0.5", "slru:segments=1:4", "fifo"}, texts)
	for text, message := range map[string]string{
		"":                           `no policy is called ""`,
		"lur":                        `no policy is called "lur"`,
		"lru:x=1":                    `policy lru: no parameter "x"; it takes none`,
		"s3fifo:smal=1":              `no parameter "smal"; it takes small, ghost, threshold`,
		"s3fifo:small":               `parameter "small" has no value`,
		"s3fifo:small=2":             `2 is not between 0 and 1`,
		"s3fifo:small=NaN":           `"NaN" is not a number`,
		"clock:bits=1.5":             `1.5 is not a whole number`,
		"slru:segments=1:0":          `"1:0" is not a list of positive numbers a:b:c`,
		"slru:segments=1:x":          `"1:x" is not a list`,
		"slru:segments=" + seventeen: `17 segments, where 16 are the most`,
	} {
		_, err := ParsePolicies(text)
		require.ErrorContains(t, err, message, text)
	}
}

const seventeen = "1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1"

func TestSizes(t *testing.T) {
	objects, sized := randomTrace(rand.New(rand.NewPCG(1, 1)), 100, false), &Trace{ids: []uint64{1, 2, 1}, sizes: []uint32{1000, 24, 7}}
	sized.ready()
	sizes, err := ParseSizes("7,10%, 0.5%,2KiB,1.5MiB,3GiB,1TiB,9B,0")
	require.NoError(t, err)
	var got []int64
	for _, s := range sizes {
		n, err := s.Resolve(sized)
		require.NoError(t, err)
		got = append(got, n)
	}
	require.Equal(t, []int64{7, 102, 5, 2048, 3 << 19, 3 << 30, 1 << 40, 9, 0}, got)
	_, err = sizes[3].Resolve(objects)
	require.ErrorContains(t, err, "size 2KiB is in bytes")
	for _, text := range []string{"", "x", "-1", "1KB", "-1%", "%", "NaN%", "1e30TiB", "1.5", "99999999999999999999"} {
		_, err := ParseSizes(text)
		require.ErrorContains(t, err, "is not a number of objects or bytes", text)
	}
}

// FuzzPolicy takes any choice of policy and any small trace.
func FuzzPolicy(f *testing.F) {
	f.Add("s3fifo:small=0.5,ghost=2,threshold=1", int64(9), []byte("abcabcdefabc"))
	f.Add("slru:segments=5:1:3", int64(20), []byte("aabbccddeeff"))
	f.Add("lirs:hir=0.3,stack=1", int64(12), []byte("abcdabceabcd"))
	f.Add("wtinylfu:window=0.3,segments=4:1,fpr=0.3", int64(30), []byte("aZaZbbbbcc"))
	f.Add("twoq:in=1,out=0", int64(3), []byte("abcabd"))
	f.Add("lecar:rate=90,discount=1,ghost=3", int64(3), []byte("abcabdaaa"))
	rng := rand.New(rand.NewPCG(17, 17))
	for _, s := range Policies() {
		var low, high []string
		for _, p := range s.Params {
			if p.Ratios == nil {
				low = append(low, fmt.Sprintf("%s=%v", p.Name, p.Min))
				high = append(high, fmt.Sprintf("%s=%v", p.Name, min(3*p.Default+1, p.Max)))
			}
		}
		for _, params := range [][]string{nil, low, high} {
			for _, capacity := range []int64{0, 1, 2, 33, 300} {
				ids := make([]byte, 600)
				for i := range ids {
					ids[i] = byte(256 * math.Pow(rng.Float64(), 3))
				}
				f.Add(strings.TrimSuffix(s.Name+":"+strings.Join(params, ","), ":"), capacity, ids)
			}
		}
	}
	f.Fuzz(func(t *testing.T, policy string, capacity int64, ids []byte) {
		choices, err := ParsePolicies(policy)
		if err != nil {
			return
		}
		capacity %= 1000
		trace := &Trace{}
		for _, id := range ids {
			trace.ids = append(trace.ids, uint64(id))
			trace.sizes = append(trace.sizes, 1+uint32(id)%31)
		}
		trace.ready()
		for _, c := range choices {
			p := c.New(capacity, 0)
			_, err := Replay(context.Background(), trace, p, nil)
			require.NoError(t, err)
			require.LessOrEqual(t, p.Occupied(), max(capacity, 0))
			check(t, p)
		}
	})
}
