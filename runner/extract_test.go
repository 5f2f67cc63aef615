package runner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/node"
)

func obs(metric string, value float64, unit string, labels ...string) checks.Observation {
	o := checks.Observation{Metric: metric, Value: value, Unit: unit}
	for i := 0; i < len(labels); i += 2 {
		if o.Labels == nil {
			o.Labels = map[string]string{}
		}
		o.Labels[labels[i]] = labels[i+1]
	}
	return o
}

func TestExtract(t *testing.T) {
	const fio = `{"jobs":[
		{"jobname":"randread","read":{"iops":1200.5}},
		{"jobname":"seqwrite","write":{"iops":7}},
		{"jobname":"seqread","read":{"iops":90000}}]}`
	for name, c := range map[string]struct {
		text string
		spec artifacts.Extract
		want []checks.Observation
		err  string
	}{
		"regex takes every line that matches from its start": {
			text: "warm-up\nread: 12.5 us\n  read: 99 us\nwrite: 1e3 us\r\n",
			spec: artifacts.Extract{Metric: "latency", Unit: "us", Labels: map[string]string{"tool": "x"},
				Regex: &artifacts.RegexExtract{Line: `(?P<op>read|write): (?P<value>\S+) us$`}},
			want: []checks.Observation{obs("latency", 12.5, "us", "op", "read", "tool", "x"), obs("latency", 1000, "us", "op", "write", "tool", "x")},
		},
		"regex may name the metric": {
			text: "waf=2.5\n",
			spec: artifacts.Extract{Regex: &artifacts.RegexExtract{Line: `(?P<metric>\w+)=(?P<value>.*)`}},
			want: []checks.Observation{obs("waf", 2.5, "1")},
		},
		"regex, not a number": {
			text: "ok\niops: many\n",
			spec: artifacts.Extract{Metric: "iops", Regex: &artifacts.RegexExtract{Line: `iops: (?P<value>.*)`}},
			err:  `stdout, line 2: "many" is not a number`,
		},
		"nothing found is an error": {
			text: "hello\n",
			spec: artifacts.Extract{Metric: "iops", Regex: &artifacts.RegexExtract{Line: `iops: (?P<value>.*)`}},
			err:  "nothing in stdout gives metric iops",
		},
		"csv": {
			text: "policy, size, miss\nlru, 1%, 0.5\nsieve, 1%, 0.25\n",
			spec: artifacts.Extract{Metric: "miss_ratio", Unit: "1", CSV: &artifacts.CSVExtract{Value: "miss", Labels: []string{"policy", "size"}}},
			want: []checks.Observation{obs("miss_ratio", 0.5, "1", "policy", "lru", "size", "1%"), obs("miss_ratio", 0.25, "1", "policy", "sieve", "size", "1%")},
		},
		"csv without the column": {
			text: "a,b\n1,2\n",
			spec: artifacts.Extract{Metric: "m", CSV: &artifacts.CSVExtract{Value: "c"}},
			err:  `no column "c", only a, b`,
		},
		"json follows every element, with the labels of the same element": {
			text: fio,
			spec: artifacts.Extract{Metric: "iops", Unit: "1/s", JSON: &artifacts.JSONExtract{Value: "$.jobs[*].read.iops", Labels: map[string]string{"job": "jobs[*].jobname"}}},
			want: []checks.Observation{obs("iops", 1200.5, "1/s", "job", "randread"), obs("iops", 90000, "1/s", "job", "seqread")},
		},
		"json lines": {
			text: "{\"v\":1}\n{\"v\":2}\n",
			spec: artifacts.Extract{Metric: "v", JSON: &artifacts.JSONExtract{Value: "v"}},
			want: []checks.Observation{obs("v", 1, "1"), obs("v", 2, "1")},
		},
		"json index from the end": {
			text: `{"v":[1,2,3]}`,
			spec: artifacts.Extract{Metric: "v", JSON: &artifacts.JSONExtract{Value: "v[-1]"}},
			want: []checks.Observation{obs("v", 3, "1")},
		},
		"broken json": {
			text: `{"v":`,
			spec: artifacts.Extract{Metric: "v", JSON: &artifacts.JSONExtract{Value: "v"}},
			err:  "JSON value 1",
		},
		"a file outside the folder": {
			spec: artifacts.Extract{From: "../secret", Metric: "v", JSON: &artifacts.JSONExtract{Value: "v"}},
			err:  "outside the step's folder",
		},
		"no such file": {
			spec: artifacts.Extract{From: "out.json", Metric: "v", JSON: &artifacts.JSONExtract{Value: "v"}},
			err:  "no such file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stdout := filepath.Join(dir, "stdout.log")
			require.NoError(t, os.WriteFile(stdout, []byte(c.text), 0o600))
			got, err := extract(c.spec, stdout, stdout, dir)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("a,b\n1,2\n", "b", "a")
	f.Add(`{"a":[{"b":1},{"b":2}]}`, "a[*].b", "a[*]")
	f.Fuzz(func(t *testing.T, text, value, label string) {
		file := filepath.Join(t.TempDir(), "out")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		for _, spec := range []artifacts.Extract{
			{Metric: "m", CSV: &artifacts.CSVExtract{Value: value, Labels: []string{label}}},
			{Metric: "m", JSON: &artifacts.JSONExtract{Value: value, Labels: map[string]string{"l": label}}},
		} {
			found, err := extract(spec, file, file, t.TempDir())
			require.True(t, err != nil || len(found) > 0, "no observation and no error")
		}
	})
}

// TestHideInObservations takes secrets out of what a step read from its files.
func TestHideInObservations(t *testing.T) {
	secrets := node.NewSecrets([]string{"A_TOKEN=planted-1f"})
	list := []checks.Observation{obs("m", 1, "1", "who", "me"), obs("m of planted-1f", 1, "planted-1f", "who", "planted-1f!")}
	require.True(t, hideIn(list, secrets))
	require.Equal(t, []checks.Observation{obs("m", 1, "1", "who", "me"), obs("m of [secret A_TOKEN]", 1, "[secret A_TOKEN]", "who", "[secret A_TOKEN]!")}, list)
	require.False(t, hideIn(list, secrets))
}
