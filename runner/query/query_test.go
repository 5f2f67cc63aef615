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

	for _, bad := range []string{"", "m policy", "m by ", "m where x", "m where =1", "m by a,,b", "m where a=b by c d"} {
		q, err := Parse(bad)
		require.Error(t, err, "%q: %+v", bad, q)
	}
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
