package query

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func line(i int, metric string, value float64, policy string, size int) string {
	return fmt.Sprintf(`{"seq":%d,"time":"2026-11-22T12:00:00Z","run":"r","event":"observation","step":"a/E1/policy=%s","metric":"%s","value":%g,"unit":"1","labels":{"policy":"%s","size":"%d"}}`+"\n", i, policy, metric, value, policy, size)
}

func TestQuery(t *testing.T) {
	var log bytes.Buffer
	log.WriteString(`{"seq":1,"time":"2026-11-22T12:00:00Z","run":"r","event":"step_started","step":"a/E1","reason":"says \"metric\":\"miss\""}` + "\n")
	for i := range 100 {
		log.WriteString(line(i, "miss", float64(i), []string{"lru", "fifo"}[i%2], 2+i%4/2*8))
		log.WriteString(line(i, "miss_bytes", 1, "lru", 2))
	}
	log.WriteString(line(0, "miss", 1e9, "lru", 2)[:40]) // a killed process

	q, err := Parse("miss by policy, size where artifact=a")
	require.NoError(t, err)
	r, err := Run(log.Bytes(), q)
	require.NoError(t, err)
	var got []string
	for _, g := range r.Groups {
		s := g.Summary()
		got = append(got, fmt.Sprint(g.Labels, s.N, s.Mean, s.Min, s.Max))
	}
	require.Equal(t, []string{"[fifo 2] 25 49 1 97", "[fifo 10] 25 51 3 99", "[lru 2] 25 48 0 96", "[lru 10] 25 50 2 98"}, got)

	q, err = Parse("miss where policy!=lru,size=2")
	require.NoError(t, err)
	r, err = Run(log.Bytes(), q)
	require.NoError(t, err)
	require.Len(t, r.Groups, 1)
	require.Equal(t, Summary{N: 25, Mean: 49, Min: 1, P50: 49, P90: r.Groups[0].Summary().P90, P99: r.Groups[0].Summary().P99, Max: 97}, r.Groups[0].Summary())

	r, err = Run(log.Bytes(), Query{Metric: "hit"})
	require.NoError(t, err)
	require.Empty(t, r.Groups)
	require.Equal(t, []string{"miss", "miss_bytes"}, r.Metrics)

	for _, bad := range []string{"m change", "m change a=b", "m change a=b to c", "m change a=b from b", "m change =b from c", "m change a=b from c by a", "m change a=b from c d", "", "m policy", "m by ", "m where x", "m where =1", "m by a,,b", "m where a=b by c d"} {
		q, err := Parse(bad)
		require.Error(t, err, "%q: %+v", bad, q)
	}
}

func TestChange(t *testing.T) {
	var log bytes.Buffer
	for i, size := range []int{1, 2, 3} {
		// Halved, doubled, and as it was; a repeat averages.
		log.WriteString(line(0, "miss", []float64{2, 4, 5}[i], "lru", size))
		log.WriteString(line(0, "miss", []float64{2, 4, 7}[i], "lru", size))
		log.WriteString(line(0, "miss", []float64{1, 8, 6}[i], "arc", size))
		log.WriteString(line(0, "miss", 100, "fifo", size))
	}
	log.WriteString(line(0, "miss", 0, "lru", 4))
	log.WriteString(line(0, "miss", 1, "arc", 4)) // no change from 0
	log.WriteString(line(0, "miss", 1, "arc", 5)) // lacks a side
	log.WriteString(line(0, "none", 0, "lru", 1))
	log.WriteString(line(0, "none", 0, "arc", 1))
	log.WriteString(line(0, "gone", 1, "lru", 1))
	log.WriteString(line(0, "gone", 0, "arc", 1))
	for i := range 2 { // a ratio means nothing below 0
		log.WriteString(line(0, "below", []float64{-1, 1}[i], "lru", i))
		log.WriteString(line(0, "below", []float64{-2, -1}[i], "arc", i))
	}
	answer := func(text string) Result {
		q, err := Parse(text)
		require.NoError(t, err)
		r, err := Run(log.Bytes(), q)
		require.NoError(t, err)
		return r
	}
	r := answer("miss change policy=arc from lru")
	require.Equal(t, 2, r.Left)
	require.Len(t, r.Groups, 1)
	s := r.Groups[0].Summary()
	require.Equal(t, 3, s.N)
	require.InDelta(t, 0, s.Mean, 1e-9, "1/2 and 2 and 1, geometrically")
	require.Equal(t, []float64{-50, 0, 100}, []float64{s.Min, s.P50, s.Max})
	require.Equal(t, "%", r.Groups[0].Unit)

	r = answer("miss change policy=arc from lru by size where size!=3")
	require.Len(t, r.Groups, 2)
	require.Equal(t, []string{"2"}, r.Groups[1].Labels)
	require.InDelta(t, 100, r.Groups[1].Summary().Mean, 1e-9)

	require.Zero(t, answer("none change policy=arc from lru").Groups[0].Summary().Mean, "from 0 to 0 nothing changes")
	require.EqualValues(t, -100, answer("gone change policy=arc from lru").Groups[0].Summary().Mean)
	r = answer("below change policy=arc from lru")
	require.Empty(t, r.Groups)
	require.Equal(t, 2, r.Left)
	require.Equal(t, []string{"below", "gone", "miss", "none"}, answer("miss change policy=belady from opt").Metrics)
}

func BenchmarkQuery100k(b *testing.B) {
	var log bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&log, `{"seq":1,"time":"2026-11-22T12:00:00Z","run":"r","event":"step_started","step":"a/E1/%d","key":"k","node":"local","reason":"first run","log":"/a/b"}`+"\n", i)
		log.WriteString(line(i, "miss", float64(i), fmt.Sprint("p", i%20), i%50))
	}
	q, _ := Parse("miss by policy,size")
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		if r, err := Run(log.Bytes(), q); err != nil || len(r.Groups) != 100 {
			b.Fatal(len(r.Groups), err)
		}
	}
}
