package cache

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/traces"
)

// sharedTraces finds the folder of real traces, or skips the test.
func sharedTraces(t testing.TB, elem ...string) string {
	roots := []string{os.Getenv("REPRISE_TRACES"), "../../../shared/traces"}
	for _, root := range roots {
		path := filepath.Join(append([]string{root}, elem...)...)
		if _, err := os.Stat(path); root != "" && err == nil {
			return path
		}
	}
	t.Skipf("%s is not here; set REPRISE_TRACES to the folder of real traces", filepath.Join(elem...))
	return ""
}

// oracleReader reads oracleGeneral records.
type oracleReader struct{ data []byte }

func (r *oracleReader) Read(dst []traces.Request) (int, error) {
	n := 0
	for ; n < len(dst) && len(r.data) >= 24; n++ {
		dst[n] = traces.Request{ID: binary.LittleEndian.Uint64(r.data[4:]), Size: binary.LittleEndian.Uint32(r.data[12:])}
		r.data = r.data[24:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func cloudPhysics(t testing.TB, unit bool) *Trace {
	data, err := os.ReadFile(sharedTraces(t, "cloudphysics", "cloudPhysicsIO.oracleGeneral.bin"))
	require.NoError(t, err)
	trace, err := Load(context.Background(), &oracleReader{data}, LoadOptions{IgnoreSizes: unit})
	require.NoError(t, err)
	return trace
}

func choice(t testing.TB, text string) Choice {
	c, err := ParsePolicies(text)
	require.NoError(t, err)
	require.Len(t, c, 1)
	return c[0]
}

// The miss ratios that libCacheSim aa0fc40 printed for cloudPhysicsIO at 0.1,
// 1, 5, 10 and 20 % of the footprint, with object sizes ignored and counted.
var oracle = []struct {
	policy      string
	unit, sized [5]float64
}{
	{"lru", [5]float64{0.902970, 0.837958, 0.824584, 0.804913, 0.724910}, [5]float64{0.851236, 0.833884, 0.822854, 0.809681, 0.733279}},
	{"fifo", [5]float64{0.912068, 0.847601, 0.826560, 0.805431, 0.712835}, [5]float64{0.862091, 0.836843, 0.823214, 0.807521, 0.740911}},
	{"clock", [5]float64{0.901003, 0.837186, 0.823987, 0.804403, 0.748323}, [5]float64{0.849796, 0.832760, 0.822432, 0.808645, 0.730750}},
	{"sieve", [5]float64{0.880884, 0.829168, 0.817163, 0.790712, 0.716216}, [5]float64{0.839838, 0.823064, 0.810805, 0.790300, 0.687728}},
	{"s3fifo", [5]float64{0.876510, 0.830397, 0.802620, 0.752520, 0.678024}, [5]float64{0.836720, 0.822906, 0.803112, 0.735598, 0.675460}},
	{"arc", [5]float64{0.877037, 0.827499, 0.811367, 0.772815, 0.702578}, [5]float64{0.836931, 0.822195, 0.802199, 0.768767, 0.685586}},
	{"lirs", [5]float64{0.882438, 0.831460, 0.813835, 0.751800, 0.655886}, [5]float64{0.830450, 0.822037, 0.799354, 0.738979, 0.641299}},
	{"twoq", [5]float64{0.868923, 0.830520, 0.815064, 0.774203, 0.695448}, [5]float64{0.839952, 0.827640, 0.815837, 0.769522, 0.722021}},
	{"slru", [5]float64{0.888059, 0.830670, 0.821361, 0.790458, 0.725025}, [5]float64{0.837388, 0.821352, 0.806397, 0.778418, 0.732085}},
	{"wtinylfu", [5]float64{1.000000, 0.847267, 0.821010, 0.776082, 0.688106}, [5]float64{0.835649, 0.826156, 0.806379, 0.766615, 0.692277}},
	{"lecar", [5]float64{0.893802, 0.836527, 0.824434, 0.804904, 0.725183}, [5]float64{0.840479, 0.828202, 0.821914, 0.809058, 0.703096}},
	{"gdsf", [5]float64{0.885591, 0.831530, 0.820254, 0.802559, 0.746882}, [5]float64{0.831890, 0.820878, 0.791915, 0.758176, 0.656509}},
	{"belady", [5]float64{0.847592, 0.792671, 0.703228, 0.628952, 0.544901}, [5]float64{0.824338, 0.800478, 0.723435, 0.651275, 0.573600}},
	{"qdlp", [5]float64{0.878486, 0.828500, 0.802585, 0.747032, 0.671921}, [5]float64{0.837124, 0.821677, 0.798660, 0.731286, 0.670490}},
	{"lfu", [5]float64{0.907256, 0.849770, 0.817163, 0.790712, 0.716216}, [5]float64{0.839425, 0.823064, 0.810805, 0.790300, 0.687728}},
}

func TestOracle(t *testing.T) {
	for _, sized := range []bool{false, true} {
		trace := cloudPhysics(t, !sized)
		f := trace.Footprint()
		require.EqualValues(t, 48974, f.Objects)
		for _, row := range oracle {
			want := row.unit
			if sized {
				want = row.sized
			}
			if !registered(row.policy) {
				continue
			}
			for i, share := range []float64{0.001, 0.01, 0.05, 0.1, 0.2} {
				size := int64(float64(f.Bytes) * share)
				r, err := Replay(context.Background(), trace, choice(t, row.policy).New(size, 0), nil)
				require.NoError(t, err)
				if got, want := r.Misses, int64(math.Round(want[i]*113872)); got != want {
					t.Errorf("%s, size %d (sizes count: %v): %d misses, want %d", row.policy, size, sized, got, want)
				}
			}
		}
	}
}

func registered(name string) bool {
	for _, s := range Policies() {
		if s.Name == name {
			return true
		}
	}
	return false
}
