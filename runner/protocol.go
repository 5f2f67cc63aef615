package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/node"
)

// A built-in experiment runs as `reprise exec NAME PARAMS` and reports on its
// standard output, one JSON object a line: an observation, or progress. The
// same lines serve a child on this machine and one at the end of a connection.

type progress struct {
	Done  float64 `json:"done"`
	Total float64 `json:"total"`
	Doing string  `json:"doing"`
}

type line struct {
	Progress *progress `json:"progress,omitempty"`
	checks.Observation
}

// progressEvery bounds how often a child reports progress.
const progressEvery = 250 * time.Millisecond

// Exec runs a built-in experiment in this process, in its working folder dir,
// and writes its report to out. params is a JSON object, traces the folder of
// real traces, empty if there is none.
func Exec(ctx context.Context, name, params, dir, traces string, out io.Writer) error {
	b, ok := artifacts.LookupBuiltin(name)
	if !ok {
		return fmt.Errorf("no built-in experiment %q", name)
	}
	given := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader([]byte(params)))
	decoder.UseNumber()
	if err := decoder.Decode(&given); err != nil {
		return fmt.Errorf("parameters of %s: %w", name, err)
	}
	resolved, err := b.Resolve(numbers(given).(map[string]any))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	w := json.NewEncoder(out)
	var reported time.Time
	return b.Run(ctx, &artifacts.Env{
		Params: resolved,
		Dir:    dir,
		Traces: traces,
		Observe: func(o checks.Observation) error {
			if err := validObservation(o); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			return w.Encode(o)
		},
		Progress: func(done, total float64, doing string) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); now.Sub(reported) >= progressEvery {
				reported = now
				_ = w.Encode(map[string]progress{"progress": {done, total, doing}})
			}
		},
	})
}

// numbers makes integers of the JSON numbers that are whole, and floats of the
// others, so that a parameter comes out as it went in.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
		return v
	}
	return v
}

func validObservation(o checks.Observation) error {
	switch {
	case o.Metric == "":
		return errors.New("an observation needs a metric")
	case o.Unit == "":
		return fmt.Errorf("observation %s needs a unit; 1 for a plain ratio or count", o.Metric)
	case math.IsNaN(o.Value) || math.IsInf(o.Value, 0):
		return fmt.Errorf("observation %s is %v", o.Metric, o.Value)
	}
	return nil
}

// reportReader cuts a child's output into lines and takes in each.
type reportReader struct {
	partial      []byte
	observations bytes.Buffer
	list         []checks.Observation
	progress     func(progress)
	err          error
}

func (r *reportReader) Write(data []byte) (int, error) {
	r.partial = append(r.partial, data...)
	for {
		i := bytes.IndexByte(r.partial, '\n')
		if i < 0 {
			if len(r.partial) > longestLine {
				r.fail(errors.New("a line of the report is too long"))
				r.partial = nil
			}
			return len(data), nil
		}
		r.take(r.partial[:i])
		r.partial = append(r.partial[:0], r.partial[i+1:]...)
	}
}

func (r *reportReader) take(data []byte) {
	if len(bytes.TrimSpace(data)) == 0 {
		return
	}
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		r.fail(fmt.Errorf("report: %q is neither an observation nor progress: %w", clip(data), err))
		return
	}
	if l.Progress != nil {
		r.progress(*l.Progress)
		return
	}
	if err := validObservation(l.Observation); err != nil {
		r.fail(fmt.Errorf("report: %w", err))
		return
	}
	r.list = append(r.list, l.Observation)
	r.observations.Write(data)
	r.observations.WriteByte('\n')
}

func (r *reportReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// end reports what is wrong with the report as a whole.
func (r *reportReader) end() error {
	if r.err == nil && len(bytes.TrimSpace(r.partial)) > 0 {
		r.fail(fmt.Errorf("report: the last line is cut short: %q", clip(r.partial)))
	}
	return r.err
}

func clip(data []byte) string {
	const most = 120
	if len(data) > most {
		return string(data[:most]) + "…"
	}
	return string(data)
}

// encodeObservations gives the lines under which observations are stored.
func encodeObservations(list []checks.Observation) ([]byte, error) {
	var lines bytes.Buffer
	w := json.NewEncoder(&lines)
	for _, o := range list {
		if err := validObservation(o); err != nil {
			return nil, err
		}
		if err := w.Encode(o); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}

// hideIn takes secrets out of observations that may come from a file of the
// step's, and says whether there were any.
func hideIn(list []checks.Observation, secrets node.Secrets) (found bool) {
	for i := range list {
		for _, text := range []*string{&list[i].Metric, &list[i].Unit} {
			if hidden := secrets.Hide(*text); hidden != *text {
				*text, found = hidden, true
			}
		}
		for name, value := range list[i].Labels {
			if hidden := secrets.Hide(value); hidden != value {
				list[i].Labels[name], found = hidden, true
			}
		}
	}
	return found
}

// readObservations reads stored lines back.
func readObservations(data []byte) ([]checks.Observation, error) {
	r := reportReader{progress: func(progress) {}}
	_, _ = r.Write(data)
	return r.list, r.end()
}
