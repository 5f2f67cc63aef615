package report_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/report"
)

// The sample recorded twice: the simulations agree to the last digit, the
// measured times need not.
func TestCompareGolden(t *testing.T) {
	c := report.Compare([]*report.Run{read(t, "sample"), read(t, "again")})
	var b bytes.Buffer
	require.NoError(t, c.Text(&b, false))
	golden(t, "golden/diff.txt", b.Bytes())
	require.Equal(t, 18, c.Equal)
	_, err := json.Marshal(c)
	require.NoError(t, err)
}

// log makes the log of a run that observes v once for every value.
func log(t *testing.T, machine, params, unit, verdict string, values ...float64) *report.Run {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"seq":1,"time":"2026-01-02T12:00:00Z","run":"r-` + verdict + `","event":"run_started","profile":"kick","artifacts":["a"],"nodes":[{"name":"local","cpu":"` + machine + `","cores":2}]}` + "\n")
	b.WriteString(`{"seq":2,"time":"2026-01-02T12:00:00Z","run":"r","event":"planned","experiments":[{"artifact":"a","experiment":"E1","measured":true,"params":{"n":"` + params + `"},"steps":["a/E1"],"claims":[{"claim":"C1"}]}]}` + "\n")
	for i, v := range values {
		line, err := json.Marshal(map[string]any{
			"seq": 3, "time": "2026-01-02T12:00:00Z", "run": "r", "event": "observation", "step": "a/E1", "metric": "v", "value": v, "unit": unit,
			"labels": map[string]string{"experiment": "E1", "repeat": string(rune('a' + i))},
		})
		require.NoError(t, err)
		b.Write(append(line, '\n'))
	}
	b.WriteString(`{"seq":4,"time":"2026-01-02T12:00:00Z","run":"r","event":"verdict","artifact":"a","claim":"C1","verdict":"` + verdict + `"}` + "\n")
	r, err := report.ReadLog(strings.NewReader(b.String()))
	require.NoError(t, err)
	return r
}

func TestCompare(t *testing.T) {
	base := log(t, "epyc", "1k", "us", "reproduced", 10, 11, 12, 13, 14, 15)
	slower := log(t, "xeon", "2k", "us", "partial", 20, 22, 24, 26, 28, 30)
	c := report.Compare([]*report.Run{base, slower})
	require.Equal(t, []report.Difference{{What: "machine, processor", Values: []string{"epyc", "xeon"}}, {What: "a/E1, n", Values: []string{"1k", "2k"}}},
		[]report.Difference{c.Environment[1], c.Environment[0]})
	require.Equal(t, []report.Difference{{What: "a/C1", Values: []string{"✓ reproduced", "◐ partial"}}}, c.Verdicts)
	require.Len(t, c.Metrics, 1)
	require.True(t, c.Metrics[0].Clear[0])
	require.InDelta(t, 1.0, c.Metrics[0].Change[0], 1e-12, "the median doubles")
	require.InDelta(t, 2/924.0, c.Metrics[0].P[0], 1e-9, "no value of one below the other's")
	require.Equal(t, []string{"a/E1: measured with other parameters: n", "a/E1: measured on unlike machines"}, c.Notes)

	few := report.Compare([]*report.Run{log(t, "epyc", "1k", "us", "reproduced", 1, 2, 3), log(t, "epyc", "1k", "us", "reproduced", 7, 8, 9)})
	require.False(t, few.Metrics[0].Clear[0])
	var b bytes.Buffer
	require.NoError(t, few.Text(&b, false))
	require.Contains(t, b.String(), "~ (p=0.100 n=3+3)  ¹")
	require.Contains(t, b.String(), "¹ too few runs to tell")

	units := report.Compare([]*report.Run{log(t, "epyc", "1k", "us", "reproduced", 1, 2), log(t, "epyc", "1k", "s", "reproduced", 1, 2)})
	require.Contains(t, units.Notes, "units differ: us and s")
	none := report.Compare([]*report.Run{base, log(t, "epyc", "1k", "us", "inconclusive")})
	b.Reset()
	require.NoError(t, none.Text(&b, false))
	require.Contains(t, b.String(), "not measured")
	_, err := json.Marshal(none)
	require.NoError(t, err)
	require.False(t, math.IsNaN(none.Metrics[0].P[0]))
}
