package checks_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
)

var update = flag.Bool("update", false, "write what the cases in testdata give into them")

// The files in testdata are the specification of the checks. A case is
//
//	=== what it shows
//	checks as a manifest has them
//	observe
//	metric label=value … = values of seed 1, 2, …
//	---
//	the verdict
//
// The checks go through the loader of manifests, so that the findings of their
// validation are shown too.
func TestSpecification(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			parts := strings.Split(string(data), "=== ")
			written := parts[0]
			for _, part := range parts[1:] {
				given, want, _ := strings.Cut(part, "---\n")
				name, _, _ := strings.Cut(given, "\n")
				got := decide(t, given[len(name)+1:])
				written += "=== " + given + "---\n" + got + "\n"
				if !*update {
					t.Run(name, func(t *testing.T) { require.Equal(t, strings.TrimRight(want, "\n"), strings.TrimRight(got, "\n")) })
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(strings.TrimRight(written, "\n")+"\n"), 0o644))
			}
		})
	}
}

// decide gives the findings or the verdict of a case as text.
func decide(t *testing.T, given string) string {
	spec, data, _ := strings.Cut(given, "observe\n")
	claim, findings := load(spec)
	if findings != "" {
		return findings
	}
	in := checks.Input{Profile: "local", Experiments: map[string]checks.Status{}}
	for _, line := range strings.Split(strings.TrimSpace(data), "\n") {
		if state, ok := strings.CutPrefix(line, "experiment "); ok {
			state, reason, _ := strings.Cut(state, ": ")
			in.Experiments["E1"] = checks.Status{State: checks.State(state), Reason: reason}
			continue
		}
		in.Observations = append(in.Observations, observe(t, line)...)
	}
	v := checks.Evaluate(map[string]checks.Claim{"C1": claim}, in)[0]
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", v.Outcome, v.Reason)
	for _, r := range v.Results {
		fmt.Fprintf(&b, "  %s %s: %s\n", r.Kind, r.Outcome, r)
		for _, w := range r.Warnings {
			fmt.Fprintf(&b, "    warning: %s\n", w)
		}
		if len(r.Failing) > 0 {
			fmt.Fprintf(&b, "    failing: %s\n", strings.Join(r.Failing, "; "))
		}
		if r.Needs != "" {
			fmt.Fprintf(&b, "    needs: %s\n", r.Needs)
		}
	}
	return b.String()
}

// load reads checks as part of a manifest.
func load(spec string) (checks.Claim, string) {
	const head = `reprise: 1
artifact: specification
title: cases
experiments:
  E1:
    title: one
    profiles:
      kick: {compute: 1s}
      local: {compute: 1s}
      paper: {compute: 1s}
    run: [{name: one, sh: "true"}]
claims:
  C1:
    statement: a claim
    source: {where: fig. 7a, kind: figure}
    experiment: E1
`
	text := head
	for line := range strings.Lines(spec) {
		if !strings.HasPrefix(line, "profiles:") && !strings.Contains(text, "    checks:\n") {
			text += "    checks:\n"
		}
		text += "    " + line
	}
	m, found := artifacts.Load("case", []byte(text))
	var said strings.Builder
	for _, f := range found.Errors() {
		_, message, _ := strings.Cut(f.String(), ": ")
		fmt.Fprintf(&said, "finding: %s\n", message)
	}
	if said.Len() > 0 {
		return checks.Claim{}, said.String()
	}
	return m.Claims["C1"], ""
}

// observe reads a line "metric label=value … = values".
func observe(t *testing.T, line string) []checks.Observation {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	what, values, ok := strings.Cut(line, " = ")
	require.True(t, ok, line)
	words := strings.Fields(what)
	var all []checks.Observation
	for i, text := range strings.Fields(values) {
		q, err := checks.ParseQuantity(text)
		if text == "NaN" {
			q, err = checks.Quantity{Value: math.NaN()}, nil
		}
		require.NoError(t, err)
		o := checks.Observation{Metric: words[0], Value: q.Value, Unit: q.Unit, Labels: map[string]string{"experiment": "E1"}}
		o.Labels["seed"] = fmt.Sprint(i + 1)
		for _, label := range words[1:] {
			name, value, _ := strings.Cut(label, "=")
			o.Labels[name] = value
		}
		all = append(all, o)
	}
	return all
}
