package admission

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func randomLog(n int, seed uint64) *Log {
	rng := rand.New(rand.NewPCG(seed, 5))
	l := &Log{}
	at := int64(0)
	for range n {
		at += int64(rng.IntN(3)) * int64(rng.IntN(200_000))
		l.Append(at, 1+int64(rng.ExpFloat64()*400), uint32(4096*(1+rng.IntN(30))), rng.IntN(4) > 0)
	}
	return l
}

// The features of each read by looking at all requests before it anew.
func TestExtractAgainstDefinition(t *testing.T) {
	l := randomLog(600, 1)
	s, err := Extract(l, make([]bool, l.Len()), ExtendedInputs)
	require.NoError(t, err)
	done := func(i int) int64 { return l.Submit[i] + l.Latency[i]*1000 }
	queueAt := make([]int32, l.Len())
	at := 0
	for i := range l.Len() {
		now := l.Submit[i]
		var completed []int
		var bytes, writes int64
		oldest := now
		for j := range i {
			if done(j) < now {
				completed = append(completed, j)
				continue
			}
			bytes += int64(l.Size[j])
			if !l.Read[j] {
				writes++
			}
			oldest = min(oldest, l.Submit[j])
		}
		queueAt[i] = int32(i-len(completed)) + 1
		if !l.Read[i] {
			continue
		}
		slices.SortFunc(completed, func(a, b int) int {
			if done(a) != done(b) {
				return int(done(b) - done(a))
			}
			return b - a
		})
		want := make([]int32, 15)
		want[0], want[1] = int32(l.Size[i]), queueAt[i]
		for k, j := range completed[:min(3, len(completed))] {
			want[2+k], want[5+k], want[8+k] = queueAt[j], int32(l.Latency[j]), int32(int64(l.Size[j])*1000/l.Latency[j])
		}
		want[11], want[12], want[13] = int32(bytes), int32(writes), int32((now-oldest)/1000)
		since := now
		if len(completed) > 0 {
			since = now - done(completed[0])
		}
		want[14] = int32(since / 1000)
		require.Equal(t, want, s.Ints(at)[:15], "request %d", i)
		require.Equal(t, int32(i), s.Row[at])
		at++
	}
	require.Equal(t, at, s.Len())
}

// Features of a read do not depend on what completes after its submission.
func TestExtractSeesNoFuture(t *testing.T) {
	for _, in := range []Inputs{HeimdallInputs, ExtendedInputs, LinnOSInputs} {
		l := randomLog(500, 2)
		before, err := Extract(l, make([]bool, l.Len()), in)
		require.NoError(t, err)
		const moment = 300
		for i := range l.Len() {
			if done := l.Submit[i] + l.Latency[i]*1000; done >= l.Submit[moment] {
				l.Latency[i] += 100_000
			}
		}
		after, err := Extract(l, make([]bool, l.Len()), in)
		require.NoError(t, err)
		until := before.Before(moment + 1)
		require.True(t, slices.Equal(until.X, after.X[:len(until.X)]), in)
		require.False(t, slices.Equal(before.X, after.X), in)
	}
}

// As published: history is what was submitted before, in flight or not, and the
// artifact's queue counts requests of the very same time.
func TestExtractPublished(t *testing.T) {
	l := &Log{}
	for i, at := range []int64{0, 0, 0, 100_000, 100_000, 100_000} {
		l.Append(at, int64(1000+i), 4096, true)
	}
	rows := []int32{0, 1, 2, 3, 5}
	s := ExtractPublished(l, make([]bool, 6), rows, Fixed)
	require.Equal(t, []int32{3, 5}, s.Row)
	require.Equal(t, []int32{4096, 4, 3, 2, 1, 1002, 1001, 1000, 4, 4, 4}, s.Ints(0))
	require.Equal(t, []int32{4096, 5, 4, 3, 2, 1003, 1002, 1001, 4, 4, 4}, s.Ints(1))
	s = ExtractPublished(l, make([]bool, 6), rows, Artifact)
	require.Equal(t, []int32{4096, 1, 3, 2, 1}, s.Ints(0)[:5])
	require.Equal(t, []int32{4096, 2, 1, 3, 2}, s.Ints(1)[:5])
}

func TestGroups(t *testing.T) {
	s := trafficSamples(7, 3, HeimdallInputs)
	s.Slow = []bool{true, false, false, true, true, false, true}
	for joint, from := range map[Joint]int{JointArtifact: 2, JointPaper: 0} {
		g := s.Groups(3, joint)
		require.Equal(t, []bool{false, true}, g.Slow)
		require.Equal(t, 13, g.Width)
		require.Equal(t, []float32{s.X[0], s.X[11], s.X[22]}, g.X[:3])
		require.Equal(t, s.X[from*11+1:from*11+11], g.X[3:13], joint)
		require.Equal(t, "size_2", g.Names()[2])
		require.Len(t, g.Names(), 13)
	}
	g := s.Groups(3, JointCausal)
	require.Equal(t, s.X[33:44], g.X[11:22])
	require.Equal(t, []int32{2, 5}, g.Row)
	m := s.MeasureReads([]float32{-1, 1}, 3)
	require.Equal(t, []int{2, 1, 2, 1}, []int{m.TP, m.FP, m.TN, m.FN})
}

func TestDigits(t *testing.T) {
	x := make([]int32, 3)
	digits(x, 47)
	require.Equal(t, []int32{0, 4, 7}, x)
	digits(x, 4711)
	require.Equal(t, []int32{9, 9, 9}, x)
}

// The tracker follows many requests in flight and any order of completion.
func TestTracker(t *testing.T) {
	var k Tracker
	rng := rand.New(rand.NewPCG(51, 52))
	submitted := map[Ticket]int64{}
	now := int64(0)
	for range 20_000 {
		now += int64(rng.IntN(50_000))
		if rng.IntN(2) == 0 || len(submitted) == 0 {
			submitted[k.Submit(now, 4096, rng.IntN(2) == 0)] = now
		} else {
			for ticket := range submitted {
				if rng.IntN(5) == 0 {
					k.Cancel(ticket)
				} else {
					k.Complete(ticket, now)
				}
				delete(submitted, ticket)
				break
			}
		}
		require.Equal(t, len(submitted), k.Queue())
		require.Equal(t, int64(4096*len(submitted)), k.Bytes())
		oldest := now
		for _, at := range submitted {
			oldest = min(oldest, at)
		}
		require.Equal(t, now-oldest, k.OldestAge(now))
	}
}
