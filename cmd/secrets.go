package cmd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"reprise/artifacts"
	"reprise/runner"
	"reprise/runner/node"
)

// handOver gives the engine the values of the variables that the steps which are
// going to run are to be handed, and refuses a session where one is not there.
// Nothing is needed to look at a plan.
func (a *app) handOver(s *session, f runFlags) error {
	wanted := s.plan.Wanted(func(step *runner.Step) bool {
		result, _ := s.engine.Stored(step)
		return result == nil
	})
	if f.dryRun || len(wanted) == 0 {
		return nil
	}
	_, queue := s.nodes[0].(node.Queue)
	environment := names(os.Environ())
	s.engine.Handed = map[string]string{}
	var findings artifacts.Findings
	var lacking, given []string
	for _, w := range wanted {
		value := a.getenv(w.Name)
		secret := node.NewSecrets([]string{w.Name + "=" + value})
		mend := "it is taken from the environment of reprise: export " + w.Name + " there first"
		if meant := artifacts.DidYouMean(w.Name, slices.DeleteFunc(slices.Clone(environment), func(set string) bool { return set == w.Name })); meant != "" {
			mend = meant + " " + mend
		}
		switch {
		case queue:
			findings = append(findings, w.Finding(fmt.Sprintf("%s is not handed to %s through Slurm, where it would wait in files", w.Name, w.Step),
				"run the experiment without --on slurm first: what it measures is then reused"))
		case value == "":
			findings = append(findings, w.Finding(fmt.Sprintf("%s is not set, and %s needs it", w.Name, w.Step), mend))
		case len(secret) == 0:
			findings = append(findings, w.Finding(fmt.Sprintf("%s is too short to be told from other words in a log", w.Name), "a secret has 7 characters or more"))
		default:
			s.engine.Handed[w.Name] = value
			s.engine.Secrets = s.engine.Secrets.With(secret)
			given = append(given, w.Name+" to "+w.Step)
			continue
		}
		lacking = append(lacking, w.Name)
	}
	if len(findings) == 0 {
		if !f.quiet && !f.json {
			a.note("handing over %s", strings.Join(given, ", "))
		}
		return nil
	}
	if f.quiet {
		return fail(ExitUsage, findings.Err())
	}
	if err := findings.Print(a.stderr); err != nil {
		return fail(ExitInfrastructure, err)
	}
	slices.Sort(lacking)
	return fail(ExitUsage, errors.New("steps cannot be handed "+strings.Join(slices.Compact(lacking), ", ")))
}

// handedIn says which variables a step is handed and which of them are not there.
func (a *app) handedIn(secrets []string) string {
	var parts []string
	for _, name := range secrets {
		if a.getenv(name) == "" {
			name += ", which is not set"
		}
		parts = append(parts, name)
	}
	return " (is handed " + strings.Join(parts, "; ") + ")"
}

// names are those of an environment.
func names(env []string) []string {
	set := map[string]bool{}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		set[name] = true
	}
	return slices.Sorted(maps.Keys(set))
}
