package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/runner"
	"reprise/runner/export"
	"reprise/runner/node"
	"reprise/runner/slurm"
	"reprise/runner/store"
)

func (a *app) exportCommand() *cobra.Command {
	var f runFlags
	var format, output string
	c := &cobra.Command{
		Use:   "export ARTIFACT|PATH|RUN",
		Short: "Write the plan as a script for sh, GNU parallel, Slurm or make",
		Long: `Write the steps that reprise run would run as a script that needs no engine:

  sh        a shell script, one step after the other
  parallel  a shell script that gives GNU parallel a list of jobs for each wave
            of steps
  slurm     a shell script that submits the steps to Slurm as job arrays
  make      a makefile with a rule for every step

The commands of shell steps stand in it as they are; built-in experiments are
called as reprise exec, and reprise extract reads the observations of a step, so
the program has to be on the path, or REPRISE name it. Sources are fetched now,
and the script says where they are. All steps together leave OUT/observations.jsonl,
the same that reprise run observes. A step that has succeeded is not run again.

With the id of a recorded run, its artifacts, profile, experiments and
parameters are those of the run; a change of a manifest since is said.`,
		Example: `  reprise export codesign --format make -o Makefile && make -k -j 8
  reprise export codesign --profile local --only E1 --format slurm -o sweep.sh
  reprise export latest --format sh | less`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, s, notes, err := a.planToExport(args[0], f, cmd.Flags().Changed)
			if err != nil {
				return err
			}
			for _, note := range notes {
				a.note("%s", note)
			}
			script, err := a.export(cmd.Context(), p, s, format)
			if err != nil {
				return err
			}
			if output == "" || output == "-" {
				_, err = script.WriteTo(a.stdout)
			} else {
				err = replaceFile(output, script.Bytes())
			}
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVarP(&format, "format", "f", "sh", "sh, parallel, slurm or make")
	among(flags, "format", export.Formats...)
	flags.StringVarP(&output, "output", "o", "-", "write to this `file` (- is standard output)")
	flags.StringVar(&f.profile, "profile", "kick", "scale of the run: kick, local or paper")
	among(flags, "profile", artifacts.ProfileNames...)
	flags.StringSliceVar(&f.only, "only", nil, "these experiments only (E1,E3)")
	flags.StringArrayVarP(&f.params, "param", "p", nil, "set a parameter, `name=value`; a list a,b,c makes an axis; may be repeated")
	storeFlag(c, &f.store)
	return c
}

// planToExport plans what an argument names: an artifact, a manifest or a
// recorded run.
func (a *app) planToExport(arg string, f runFlags, given func(string) bool) (p *runner.Plan, s *session, notes []string, err error) {
	names := []string{arg}
	var missing *artifacts.NotFoundError
	if _, _, bad := artifacts.Find(arg); errors.As(bad, &missing) {
		kept, err := a.openStore(f.store)
		if err != nil {
			return nil, nil, nil, err
		}
		id, err := kept.FindRun(arg)
		if err != nil {
			return nil, nil, nil, fail(ExitUsage, fmt.Errorf("%q is neither an artifact nor a recorded run: %w", arg, bad), missing.Suggestion(), "reprise runs lists the recorded runs")
		}
		for _, flag := range []string{"profile", "only", "param"} {
			if given(flag) {
				return nil, nil, nil, fail(ExitUsage, fmt.Errorf("--%s: what run %s was asked for is exported", flag, id), "name an artifact to export something else")
			}
		}
		before, err := readPlan(filepath.Join(kept.RunDir(id), store.EventsFile))
		if err != nil {
			return nil, nil, nil, fail(ExitManifest, err)
		}
		of, asked, err := before.asked()
		if err != nil {
			return nil, nil, nil, err
		}
		names = of
		f.profile, f.only, f.params = asked.profile, asked.only, asked.params
		defer func() {
			if p != nil {
				notes = before.changes(p)
			}
		}()
	}
	manifests, err := a.loadAll(names)
	if err != nil {
		return nil, nil, nil, err
	}
	params, err := parseParams(f.params)
	if err != nil {
		return nil, nil, nil, fail(ExitUsage, err, "write --param name=value")
	}
	if s, err = a.prepareFor(node.ThisMachine().Platform(), manifests, params, f); err != nil {
		return nil, nil, nil, err
	}
	if need := s.plan.RolesNeeded(); len(need) > 0 {
		return nil, nil, nil, fail(ExitUsage, fmt.Errorf("a script runs on one machine, and the experiments ask for nodes in roles (%s)", runner.RolesText(need)), "choose other experiments with --only")
	}
	return s.plan, s, nil, nil
}

// export writes a plan's script, and fetches its sources first.
func (a *app) export(ctx context.Context, p *runner.Plan, s *session, format string) (*bytes.Buffer, error) {
	o := export.Options{
		Format: format, Made: fmt.Sprintf("Written by reprise %s: %s, profile %s, %d steps.", version(), strings.Join(s.artifacts(), " "), p.Profile, len(p.Steps)),
		Sources: map[export.SourceID]string{},
		Slurm:   func(s *runner.Step) []string { return slurm.Arguments(s.Limit, s.Memory, s.Exclusive) },
	}
	prepared := map[string]bool{}
	memory := false
	for _, step := range p.Steps {
		memory = memory || step.Memory > 0 && format != "slurm"
		for _, m := range p.Artifacts {
			if m.Artifact != step.Artifact {
				continue
			}
			platform := m.Experiments[step.Experiment].Profiles[p.Profile].Platform
			if at := m.Artifact + "/" + platform; len(m.Platforms[platform].Prepare) > 0 && !prepared[at] {
				prepared[at] = true
				var names []string
				for _, preparation := range m.Platforms[platform].Prepare {
					names = append(names, preparation.Name)
				}
				o.Remarks = append(o.Remarks, fmt.Sprintf("The machine has to be prepared as platform %s of %s says (%s); this does not.", platform, m.Artifact, strings.Join(names, ", ")))
			}
			for name, source := range step.Sources {
				id := export.SourceID{Artifact: m.Artifact, Source: name}
				if o.Sources[id] != "" {
					continue
				}
				if source.Path == "" {
					fmt.Fprintf(a.stderr, "fetching source %s of %s\n", name, m.Artifact)
				}
				path, err := s.engine.Fetch(ctx, m, name, source)
				if err == nil {
					path, err = filepath.Abs(path)
				}
				if err != nil {
					return nil, fail(ExitInfrastructure, fmt.Errorf("source %s of %s: %w", name, m.Artifact, err))
				}
				o.Sources[id] = path
			}
		}
	}
	if memory {
		o.Remarks = append(o.Remarks, "Limits of memory are not kept; those of time are, where there is a timeout command.")
	}
	var script bytes.Buffer
	if err := export.Write(&script, p, o); err != nil {
		return nil, fail(ExitUsage, err)
	}
	return &script, nil
}

// extractCommand is what exported scripts read observations with.
func (a *app) extractCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "extract DIR WHAT",
		Short: "Read the observations of a step that ran without the engine (exported scripts call this)",
		Long: `Read the observations of a step from its folder: stdout.log, stderr.log and work.
WHAT is a JSON object: the step's id and labels, its outputs and extractors as in
a manifest, or report: true where standard output is a built-in experiment's.
Observations go to DIR/observations.jsonl, outputs to DIR/outputs.`,
		Args:   cobra.ExactArgs(2),
		Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			var c runner.Collection
			if err := json.Unmarshal([]byte(args[1]), &c); err != nil {
				return fail(ExitUsage, fmt.Errorf("what to extract: %w", err))
			}
			if err := runner.Collect(args[0], c); err != nil {
				return fail(ExitStepFailed, err)
			}
			return nil
		},
	}
}
