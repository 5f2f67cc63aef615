package traces

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every profile has the characteristics it states.
func TestProfilesMeetTheirCharacteristics(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			s, err := p.Workload.Stream(3, int64(p.Requests))
			require.NoError(t, err)
			sum, err := Summarize(s)
			require.NoError(t, err)
			for _, c := range p.Characteristics {
				got := sum.Metric(c.Metric)
				if !(math.Abs(got-c.Value) <= c.Tolerance) {
					t.Errorf("%s: want %v ± %v, got %v", c.Metric, c.Value, c.Tolerance, got)
				}
			}
		})
	}
}

func TestProfilesSayWhereTheirValuesComeFrom(t *testing.T) {
	names := map[string]bool{}
	for _, p := range Profiles() {
		require.False(t, names[p.Name], "two profiles named %s", p.Name)
		names[p.Name] = true
		require.NotEmpty(t, p.Doc)
		require.NotEmpty(t, p.Characteristics)
		for _, c := range p.Characteristics {
			switch c.Source.Kind {
			case Chosen:
				require.Empty(t, c.Source.Work, "%s: %s", p.Name, c.Metric)
			case FromText, FromTable, FromFigure, FromSample:
				require.NotEmpty(t, c.Source.Work, "%s: %s", p.Name, c.Metric)
				require.NotEmpty(t, c.Source.At, "%s: %s", p.Name, c.Metric)
			default:
				t.Errorf("%s: %s: unknown kind of source %q", p.Name, c.Metric, c.Source.Kind)
			}
		}
	}
}
