package telemetry

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const smiCSV = `timestamp, index, utilization.gpu [%], memory.used [MiB], temperature.memory, power.draw [W], name
2026/11/27 02:31:17.866, 0, 40 %, 1257 MiB, N/A, 163.70 W, NVIDIA H100
2026/11/27 02:31:17.967, 0, 41 %, 1257 MiB, [Not Supported], [N/A], NVIDIA H100
`

func TestReadSMI(t *testing.T) {
	series, err := Read(strings.NewReader(smiCSV), "x", Options{})
	require.NoError(t, err)
	require.Len(t, series, 1)
	s := series[0].Samples
	require.Len(t, s, 2)
	require.Equal(t, 40.0, s[0].Values[UtilizationGPU])
	require.Equal(t, 163.7, s[0].Values[Power])
	require.True(t, math.IsNaN(s[1].Values[Power]))
	require.True(t, math.IsNaN(s[0].Values[TemperatureMemory]))
	require.InDelta(t, 0.101, s[1].Time-s[0].Time, 1e-6)
	require.False(t, series[0].Has(Power))
}

func TestReadDCGM(t *testing.T) {
	series, err := Read(strings.NewReader("timestamp,gpu,DCGM_FI_DEV_GPU_UTIL,DCGM_FI_DEV_POWER_USAGE,DCGM_FI_PROF_PCIE_RX_BYTES\n1790000000123,0,40,163.5,2500000\n1790000000223,1,,N/A,0\n"), "x", Options{})
	require.NoError(t, err)
	require.Len(t, series, 2)
	require.InDelta(t, 1790000000.123, series[0].Samples[0].Time, 1e-6)
	require.Equal(t, 2.5, series[0].Samples[0].Values[PCIeRx])
	series, err = Read(strings.NewReader("#Entity   GPUTL  POWER\nID          %     W\nGPU 0   40   163.5\nGPU 0   41   N/A\n"), "x", Options{Interval: time.Second})
	require.NoError(t, err)
	require.Equal(t, 1.0, series[0].Duration())
	require.Equal(t, 41.0, series[0].Samples[1].Values[UtilizationGPU])
}

func TestFaultsAreNamed(t *testing.T) {
	for in, want := range map[string]string{
		"": "x: no line of column names",
		"timestamp, utilization.gpu\n2026/11/27, 3\n":           `x: line 2: timestamp "2026/11/27": want`,
		"timestamp, utilization.gpu\n2026/11/27 02:31:17.866\n": "x: line 2: 1 values for 2 columns",
		"utilization.gpu\n3\n":                                  "x: line 1: no column timestamp",
		"a,b\n1,2\n":                                            "x: line 1: no column of nvidia-smi",
		"time_s,gpu,speed\n1,0,2\n":                             `x: line 1: unknown column "speed"`,
		"time_s,time_s\n1,2\n":                                  `x: line 1: column "time_s" stands twice`,
		"time_s,gpu,power_draw_W,labels\n1,0,7,x\n":             `x: line 2: label "x": want key=value`,
		"time_s,gpu,power_draw_W,labels\n1,0,NaN,\n":            `x: line 2: "NaN": want a number`,
		"timestamp,DCGM_FI_DEV_GPU_UTIL\nyesterday,3\n":         `x: line 2: time "yesterday": want`,
		"#Entity GPUTL\nGPU 0 1 2\n":                            "x: line 2: 2 values for 1 columns",
	} {
		_, err := Read(strings.NewReader(in), "x", Options{})
		require.ErrorContains(t, err, want, in)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	p := Profile{Period: 1, Duty: 0.5, Busy: 80, MemoryUsed: 1000, MemoryTotal: 8000, IdlePower: 50, PowerPerPct: 2, Ambient: 40, PerWatt: 0.1, Lag: 10, Noise: 0.05}
	a, b := p.Generate(Labels{"run": "a"}, 2, 0.1, 1), p.Generate(Labels{"run": "b"}, 2, 0.1, 2)
	var out bytes.Buffer
	w := NewWriter(&out)
	require.NoError(t, w.Comment("two\nruns"))
	for _, s := range []Series{a, b} {
		for i := range s.Samples {
			require.NoError(t, w.Write(&s.Samples[i], s.Labels))
		}
	}
	require.NoError(t, w.Flush())
	back, err := Read(&out, "x", Options{})
	require.NoError(t, err)
	require.Len(t, back, 2)
	for i, s := range []Series{a, b} {
		require.Equal(t, s.Labels, back[i].Labels)
		require.True(t, back[i].Synthetic, "a file keeps that a series was generated")
		require.Len(t, back[i].Samples, len(s.Samples))
		for j := range s.Samples {
			s.Samples[j].Time = math.Round(1000*s.Samples[j].Time) / 1000 // as a file has it
			require.Equal(t, fmt.Sprint(s.Samples[j]), fmt.Sprint(back[i].Samples[j]))
		}
	}
}

// array makes a .npy of float64, int64 or text.
func array(shape string, values any) []byte {
	descr := map[bool]string{true: "<i8", false: "<f8"}[fmt.Sprintf("%T", values) == "[]int64"]
	var body bytes.Buffer
	if texts, ok := values.([]string); ok {
		descr = "<U8"
		for _, text := range texts {
			cell := make([]int32, 8)
			for i, r := range text {
				cell[i] = r
			}
			_ = binary.Write(&body, binary.LittleEndian, cell)
		}
	} else {
		_ = binary.Write(&body, binary.LittleEndian, values)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape)
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return append(append(out, header...), body.Bytes()...)
}

func archive(t testing.TB, arrays map[string][]byte) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, data := range arrays {
		f, err := z.Create(name + ".npy")
		require.NoError(t, err)
		_, err = f.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

func TestReadSuperCloud(t *testing.T) {
	values := make([]float64, 2*3*7)
	for i := range values {
		values[i] = float64(i)
	}
	good := archive(t, map[string][]byte{
		"X_train": array("(2, 3, 7)", values), "y_train": array("(2,)", []int64{4, 5}), "model_train": array("(2,)", []string{"vgg 16", "bert"}),
		"X_test": array("(1, 3, 7)", values[:21]), "y_test": array("(1,)", []int64{4}),
	})
	path := filepath.Join(t.TempDir(), "ml.npz")
	require.NoError(t, os.WriteFile(path, good, 0o600))
	series, err := Open(path, Options{})
	require.NoError(t, err)
	require.Len(t, series, 3)
	require.Equal(t, Labels{"run": "trial_train-0", "part": "train", "class": "4", "model": "vgg_16"}, series[0].Labels)
	require.Equal(t, 6.0, series[0].Samples[0].Values[Power])
	require.Equal(t, 21.0, series[1].Samples[0].Values[UtilizationGPU])
	require.InDelta(t, 0.2, series[2].Duration(), 1e-9)
	for name, bad := range map[string]map[string][]byte{
		"no array X":   {"Z": array("(1,)", []int64{1})},
		"want numbers": {"X": array("(2, 7)", values[:14]), "y": array("(2,)", []int64{1, 2})},
		"2 trials":     {"X": array("(2, 3, 7)", values), "y": array("(1,)", []int64{1})},
		"cut off":      {"X": array("(9, 3, 7)", values), "y": array("(9,)", []int64{1})},
		"no class":     {"X": array("(2, 3, 7)", values)},
	} {
		data := archive(t, bad)
		_, err := ReadSuperCloud(bytes.NewReader(data), int64(len(data)), "x", Options{})
		require.ErrorContains(t, err, name)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(smiCSV))
	f.Add([]byte("timestamp,gpu,DCGM_FI_DEV_GPU_UTIL\n1790000000123,0,40\n"))
	f.Add([]byte("#Entity   GPUTL  POWER\nID % W\nGPU 0   40   163.5\n"))
	f.Add([]byte("# c\ntime_s,gpu,power_draw_W,labels\n1.5,0,7,a=b;c=d\n1.6,0,,a=b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		series, err := Read(bytes.NewReader(data), "x", Options{})
		if err != nil {
			return
		}
		for _, s := range series {
			require.NotEmpty(t, s.Samples)
			for _, sample := range s.Samples {
				for _, v := range sample.Values {
					require.False(t, math.IsInf(v, 0))
				}
			}
		}
	})
}

func FuzzNPY(f *testing.F) {
	f.Add(array("(1, 3, 7)", make([]float64, 21)))
	f.Add(array("(2,)", []string{"a", "b"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseNPY(data)
		if err != nil {
			return
		}
		n := 1
		for _, d := range a.shape {
			n *= d
		}
		require.Equal(t, n, len(a.numbers)+len(a.texts))
		x := archive(t, map[string][]byte{"X": data, "y": array("(1,)", []int64{1})})
		_, _ = ReadSuperCloud(bytes.NewReader(x), int64(len(x)), "x", Options{})
	})
}

// TestRecording samples a stand-in for nvidia-smi of an older driver.
func TestRecording(t *testing.T) {
	smi := filepath.Join(t.TempDir(), "nvidia-smi")
	require.NoError(t, os.WriteFile(smi, []byte(`#!/bin/sh
case "$*" in
*dmon*) echo "# gpu rxpci txpci"; echo "    0   12   34"; exec sleep 60;;
*name,driver_version*) echo "0, Fake, 1, 100 MiB, 700.00 W";;
*power.draw.instant*) echo 'Field "power.draw.instant" is not a valid field to query.'; exit 2;;
*-lms*) # in one write, or it may be killed in the midst of its lines
  printf '%s\n' 'timestamp, index, utilization.gpu [%]' "2026/11/27 02:31:10.000, 0, 0" "2026/11/27 02:31:11.000, 0, 1" \
    "2026/11/27 02:31:12.000, 0, 2" "2026/11/27 02:31:13.000, 0, 3" "2026/11/27 02:31:14.000, 0, 4" "2026/11/27 02:31:15.000, 0, 5"
  exec sleep 60;;
*) printf 'timestamp, index, utilization.gpu [%%]\n2026/11/27 02:31:10.000, 0, 0\n';;
esac
`), 0o755))
	at := float64(time.Date(2026, 11, 27, 2, 31, 12, 0, time.UTC).Unix())
	marks := filepath.Join(t.TempDir(), "marks")
	require.NoError(t, os.WriteFile(marks, fmt.Appendf(nil, "%f family=x\nnever y=z\n%f\n", at, at+2), 0o600))
	r := &Recording{Program: smi, Interval: time.Millisecond, PCIe: true, Zone: time.UTC, Labels: Labels{"site": "here"}, Marks: marks}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	info, err := r.Probe(ctx)
	require.NoError(t, err)
	require.NotContains(t, info.Fields, "power.draw.instant")
	require.Contains(t, info.Fields, "power.draw")
	require.Equal(t, []string{"0, Fake, 1, 100 MiB, 700.00 W"}, info.GPUs)
	var seen []string
	err = r.Run(ctx, info, func(s *Sample, l Labels) error {
		seen = append(seen, fmt.Sprint(s.Values[UtilizationGPU], " ", l))
		if len(seen) == 3 { // the others wait for marks of their time
			cancel()
		}
		return nil
	})
	require.ErrorContains(t, err, `line 2: time "never": want seconds since 1970`)
	require.Equal(t, []string{"0 site=here", "1 site=here", "2 family=x;site=here", "3 family=x;site=here", "4 site=here", "5 site=here"}, seen)
}

// What is recorded may be over before the first sample: that is no error either.
func TestRecordingOverBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &Recording{Program: "sh", Interval: time.Millisecond}
	require.NoError(t, r.Run(ctx, Info{Fields: []string{"timestamp", "index"}}, func(*Sample, Labels) error {
		t.Error("a sample of nothing")
		return nil
	}))
}
