package heimdall

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/policies/admission/replay"
)

// The constant that loads are shares of is what the device does.
func TestSustained(t *testing.T) {
	d, now, err := replay.Aged(deviceConfig())
	require.NoError(t, err)
	before, start := d.Stats(), now
	const pages = 400_000
	state := uint64(1)
	for range pages {
		state = state*6364136223846793005 + 1442695040888963407
		latency, err := d.Write(now, state>>33%uint64(d.Pages())*8, 8)
		require.NoError(t, err)
		now += latency
	}
	now += d.Flush(now)
	after := d.Stats()
	rate := pages / (float64(now-start) / 1e9)
	t.Logf("%.0f pages/s, WA %.2f", rate, float64(after.Programs[0]+after.Programs[1]+after.Programs[2]-before.Programs[0]-before.Programs[1]-before.Programs[2])/pages)
	require.InEpsilon(t, sustained, rate, 0.15)
}

// The loads do what they were set to do.
func TestLoads(t *testing.T) {
	for i, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, err := p.study(11, 20_000, deviceConfig())
			require.NoError(t, err)
			logs, err := s.Record(context.Background())
			require.NoError(t, err)
			sum, reads := 0.0, 0
			for _, l := range logs {
				for k, latency := range l.Latency {
					if l.Read[k] {
						sum += float64(latency)
						reads++
					}
				}
			}
			// Seeds differ by a tenth, and devices that have met less of a skewed
			// trace copy more.
			require.InEpsilon(t, published6["authors"]["baseline"][i], sum/float64(reads), 0.5)
		})
	}
}
