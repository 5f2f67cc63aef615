package traces

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// sampleTrace gives the path of one of the real traces, which are not part of
// the project: the folder is REPRISE_TRACES, or shared/traces beside the
// project's.
func sampleTrace(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("REPRISE_TRACES")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "traces")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("real trace %s is not here: set REPRISE_TRACES to the folder that holds it", name)
	}
	return path
}

func TestSamples(t *testing.T) {
	for _, want := range []struct {
		file, format    string
		requests, reads int
		unique          int
	}{
		{"cloudphysics/cloudPhysicsIO.vscsi", "vscsi", 113872, 46974, 48974},
		{"cloudphysics/cloudPhysicsIO.oracleGeneral.bin", "oracleGeneral", 113872, 113872, 48974},
		{"arc/OLTP.lis.zst", "arc", 914145, 914145, 186880},
		{"arc/P3.lis.zst", "arc", 3912296, 3912296, 762543},
		{"block/DTRS100M.trace", "mqsim", 127043, 113123, 0},
		{"block/tpcc-small.trace", "mqsim", 6999, 4381, 0},
		{"block/wsrch-small.trace", "mqsim", 24783, 24779, 0},
		{"block/webcachesim-test.tr", "webcachesim", 10492, 10492, 960},
		{"flashnet/tencent.cut.per_50k.most_rand_iops.537.trace", "flashnet", 50000, 41036, 0},
		{"flashnet/tencent.cut.per_50k.rw_60_40.490.trace", "flashnet", 50000, 30012, 0},
		{"flashnet/tencent.cut.per_50k.rw_75_25.379.trace", "flashnet", 50000, 37885, 0},
		{"femu-oracle/mixed.reqs.csv", "csv", 6096, 0, 0},
	} {
		t.Run(want.format+"/"+filepath.Base(want.file), func(t *testing.T) {
			all, info, err := ReadAll(sampleTrace(t, want.file), Options{Validate: true})
			require.NoError(t, err)
			require.Equal(t, want.format, info.Format)
			require.Equal(t, int64(len(all)), info.Requests)
			ids, reads := map[uint64]bool{}, 0
			for _, r := range all {
				ids[r.ID] = true
				if r.Op == Read {
					reads++
				}
			}
			require.Equal(t, want.requests, len(all))
			if want.reads > 0 {
				require.Equal(t, want.reads, reads)
			}
			if want.unique > 0 {
				require.Equal(t, want.unique, len(ids))
			}
		})
	}
}
