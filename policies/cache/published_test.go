package cache

import (
	"container/list"
	"context"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/traces"
)

// TestPublishedMisses compares the exact counts in libCacheSim's own unit
// tests, object sizes counted. They are of an earlier commit; SLRU has changed
// since.
func TestPublishedMisses(t *testing.T) {
	f, err := os.Open(sharedTraces(t, "published", "libcachesim-expected-misses.csv"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	trace := cloudPhysics(t, false)
	compared := 0
	for _, row := range rows[1:] {
		policy := strings.ToLower(row[0])
		if !slices.Contains([]string{"lru", "fifo", "clock", "sieve", "s3fifo", "arc", "lirs", "lfu", "gdsf", "lecar", "belady"}, policy) {
			continue
		}
		size, err := strconv.ParseInt(row[1], 10, 64)
		require.NoError(t, err)
		r, err := Replay(context.Background(), trace, choice(t, policy).New(size, 0), nil)
		require.NoError(t, err)
		require.Equal(t, row[2], strconv.FormatInt(r.Misses, 10), "%s, %d bytes", policy, size)
		require.Equal(t, row[3], strconv.FormatInt(r.MissBytes, 10), "%s, %d bytes", policy, size)
		compared++
	}
	require.Equal(t, 88, compared)
}

// TestPublishedHitRatios compares with the tables of the ARC paper, as far as
// they could be checked against its traces, to 0.02 points.
func TestPublishedHitRatios(t *testing.T) {
	f, err := os.Open(sharedTraces(t, "published", "published-hit-ratios.csv"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	names := map[string]string{"LRU": "lru", "ARC": "arc-paper", "MIN": "belady"}
	loaded := map[string]*Trace{}
	compared := 0
	for _, row := range rows[1:] {
		name, policy := row[0], names[row[1]]
		if !strings.Contains(row[5], "reproduced here from the trace") || policy == "" {
			continue
		}
		if loaded[name] == nil {
			stream, err := traces.Open(sharedTraces(t, "arc", name+".lis.zst"), traces.Options{})
			require.NoError(t, err)
			loaded[name], err = Load(context.Background(), stream, LoadOptions{IgnoreSizes: true})
			require.NoError(t, err)
			require.NoError(t, stream.Close())
		}
		size, err := strconv.ParseInt(row[2], 10, 64)
		require.NoError(t, err)
		want, err := strconv.ParseFloat(row[3], 64)
		require.NoError(t, err)
		hits := 1 - float64(run(t, loaded[name], policy, size, 0))/float64(loaded[name].Len())
		require.InDelta(t, want, hits, 0.0002, "%s, %s of %d", name, policy, size)
		compared++
	}
	require.Equal(t, 17, compared)
}

// TestSizedLRUAgainstAList replays objects of many sizes, so that one insert
// evicts several and freed nodes wait with their old ids while the index grows.
func TestSizedLRUAgainstAList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		capacity := 1 + rng.Int64N(1<<20)
		objects := 1 + rng.Uint64N(20_000)
		trace := &Trace{}
		want, occupied := int64(0), int64(0)
		order, at := list.New(), map[uint64]*list.Element{}
		type object struct {
			id   uint64
			size int64
		}
		for range 50_000 {
			id := rng.Uint64N(objects)
			size := 1 + int64(id*id%977)
			trace.ids, trace.sizes = append(trace.ids, id), append(trace.sizes, uint32(size))
			if e, hit := at[id]; hit {
				order.MoveToFront(e)
				continue
			}
			want++
			if size > capacity {
				continue
			}
			for occupied+size > capacity {
				last := order.Remove(order.Back()).(object)
				delete(at, last.id)
				occupied -= last.size
			}
			at[id] = order.PushFront(object{id, size})
			occupied += size
		}
		trace.ready()
		r, err := Replay(context.Background(), trace, choice(t, "lru").New(capacity, 0), nil)
		require.NoError(t, err)
		require.Equal(t, want, r.Misses, "capacity %d, %d objects", capacity, objects)
	}
}
