package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"reprise/checks"
)

// Bench writes every observation as a line of Go's benchmark format, so that
// benchstat summarises a run and compares two:
//
//	BenchmarkE3/policy=heimdall 1 178.7 read_latency_mean-us
//
// The name is the experiment and the labels that tell places apart; repeats
// have the same name. The unit is the metric's name with its unit.
func Bench(w io.Writer, r *Run) error {
	b := bufio.NewWriter(w)
	os, arch, _ := strings.Cut(r.Start.Platform, "/")
	fmt.Fprintf(b, "goos: %s\ngoarch: %s\n", os, arch)
	for _, a := range r.Artifacts {
		fmt.Fprintf(b, "pkg: %s\n", a.Artifact)
		if len(r.Start.Nodes) > 0 && r.Start.Nodes[0].CPU != "" {
			fmt.Fprintf(b, "cpu: %s\n", strings.Join(strings.Fields(r.Start.Nodes[0].CPU), " "))
		}
		fmt.Fprintf(b, "profile: %s\n", r.Start.Profile)
		for _, e := range a.Experiments {
			for _, metric := range e.Metrics {
				better := e.better(metric)
				places := e.Places(metric)
				if len(places) == 0 {
					continue
				}
				unit := benchUnit(metric, places[0].Unit)
				if better != "" {
					fmt.Fprintf(b, "Unit %s better=%s\n", unit, better)
				}
				for _, p := range places {
					name := "Benchmark" + e.Experiment
					for _, label := range sortedKeys(p.Labels) {
						name += "/" + benchName(label) + "=" + benchName(p.Labels[label])
					}
					for _, v := range p.Values {
						fmt.Fprintf(b, "%s 1 %s %s\n", name, strconv.FormatFloat(v, 'g', -1, 64), unit)
					}
				}
			}
		}
	}
	return b.Flush()
}

// better is the direction in which a metric is better, as far as a claim of
// the run says it in its expectation; "" if none does.
func (e *Experiment) better(metric string) string {
	for _, c := range e.Claims {
		for _, r := range c.Results {
			if r.Metric == metric && r.Kind == "order" && strings.Contains(r.Expected, " < ") {
				return "lower"
			}
			if r.Metric == metric && r.Kind == "order" && strings.Contains(r.Expected, " > ") {
				return "higher"
			}
		}
	}
	return ""
}

// benchUnit joins a metric and its unit. benchstat reads a trailing -ns as
// nanoseconds and shows it in seconds, which is right.
func benchUnit(metric, unit string) string {
	metric = benchName(metric)
	if unit == "" || unit == "1" {
		return metric
	}
	return metric + "-" + benchName(unit)
}

// benchName keeps a text one part of a benchmark's name.
func benchName(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == 0x7f {
			return '_'
		}
		return r
	}, text)
}

// OpenMetrics writes the run's verdicts, their numbers and the steps as
// OpenMetrics text, which a node exporter takes from its textfile folder too.
// Every claim has a sample for every outcome, 1 for the one it has, so that a
// change of verdict moves a series and makes no new one.
func OpenMetrics(w io.Writer, r *Run) error {
	b := bufio.NewWriter(w)
	head := func(name, kind, unit, help string) {
		fmt.Fprintf(b, "# TYPE %s %s\n", name, kind)
		if unit != "" {
			fmt.Fprintf(b, "# UNIT %s %s\n", name, unit)
		}
		fmt.Fprintf(b, "# HELP %s %s\n", name, help)
	}
	base := []string{"profile", r.Start.Profile}
	head("reprise_run_seconds", "gauge", "seconds", "How long the run took.")
	fmt.Fprintf(b, "reprise_run_seconds%s %s\n", labels(base), float(r.Ended.Sub(r.Started).Seconds()))
	head("reprise_run_ended_timestamp_seconds", "gauge", "seconds", "When the run ended.")
	fmt.Fprintf(b, "reprise_run_ended_timestamp_seconds%s %s\n", labels(base), strconv.FormatFloat(float64(r.Ended.UnixMilli())/1000, 'f', 3, 64))
	head("reprise_run_exit_code", "gauge", "", "Exit code of the run, -1 without an end.")
	fmt.Fprintf(b, "reprise_run_exit_code%s %d\n", labels(base), r.Exit())
	head("reprise_steps", "gauge", "", "Steps by how they ended.")
	for _, a := range r.Artifacts {
		n := map[string]int{}
		for _, e := range a.Experiments {
			for _, s := range e.Steps {
				n[s.State]++
			}
		}
		for _, state := range []string{"done", reused, "failed", "cancelled", "skipped"} {
			fmt.Fprintf(b, "reprise_steps%s %d\n", labels(base, "artifact", a.Artifact, "state", state), n[state])
		}
	}
	head("reprise_claim", "gauge", "", "Verdicts: 1 for the outcome that a claim has, 0 for the others.")
	for _, a := range r.Artifacts {
		for _, c := range a.Claims() {
			for _, o := range checks.Outcomes {
				is := 0
				if c.Outcome == o {
					is = 1
				}
				fmt.Fprintf(b, "reprise_claim%s %d\n", labels(base, "artifact", a.Artifact, "claim", c.Claim, "verdict", string(o)), is)
			}
		}
	}
	for _, column := range []struct {
		name, help string
		of         func(checks.Result) *float64
	}{
		{"reprise_check_value", "Measured value of a check, in the unit of its label.", func(r checks.Result) *float64 { return r.Value }},
		{"reprise_check_ci_low", "Lower end of its 95 % interval.", func(r checks.Result) *float64 {
			if r.Interval == nil {
				return nil
			}
			return &r.Interval.Low
		}},
		{"reprise_check_ci_high", "Upper end of its 95 % interval.", func(r checks.Result) *float64 {
			if r.Interval == nil {
				return nil
			}
			return &r.Interval.High
		}},
		{"reprise_check_lower", "Lower bound that is accepted.", func(r checks.Result) *float64 { return r.Lower }},
		{"reprise_check_upper", "Upper bound that is accepted.", func(r checks.Result) *float64 { return r.Upper }},
	} {
		head(column.name, "gauge", "", column.help)
		for _, a := range r.Artifacts {
			for _, c := range a.Claims() {
				for i, result := range c.Results {
					if v := column.of(result); v != nil {
						fmt.Fprintf(b, "%s%s %s\n", column.name, labels(base, "artifact", a.Artifact, "claim", c.Claim, "check", strconv.Itoa(i+1), "metric", result.Metric, "unit", result.Unit), float(*v))
					}
				}
			}
		}
	}
	fmt.Fprint(b, "# EOF\n")
	return b.Flush()
}

// labels writes pairs as a metric's labels.
func labels(base []string, more ...string) string {
	pairs := append(base[:len(base):len(base)], more...)
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(printable(pairs[i+1]))+`"`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
