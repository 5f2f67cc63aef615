package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"reprise/artifacts"
)

func (a *app) lintCommand() *cobra.Command {
	var asJSON, strict bool
	var format string
	var badges []string
	c := &cobra.Command{
		Use:   "lint [PATH|ARTIFACT …]",
		Short: "Find every mistake in a manifest, with its place and how to mend it",
		Long: `Check manifests and print every mistake at once: its line and column, the line
itself, and what was probably meant. Nothing is run. Without an argument the
artifacts that reprise ships are checked; - reads a manifest from standard input.

The exit code is 3 when there is an error. A warning alone is not one, unless
--strict is given.

--badges goes through what conferences ask of an artifact for a badge, as far as
the manifest, its README.md and CITATION.cff tell; the latter is held against the
keys that the Citation File Format 1.2 demands.`,
		Example: `  reprise lint my/artifact.yaml
  reprise lint .                      the artifact.yaml of this folder
  reprise lint --json my | jq .       one finding a line, for an editor
  reprise lint --format sarif my > lint.sarif
  reprise lint --strict               the shipped artifacts, warnings fail too
  reprise lint --badges available,functional,reproduced my`,
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON {
				format = "json"
			}
			if len(badges) > 0 {
				return a.badges(args, badges)
			}
			return a.lint(args, format, strict)
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "text", "text, json (one object a finding) or sarif (for code scanning)")
	among(c.Flags(), "format", "text", "json", "sarif")
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	c.Flags().StringSliceVar(&badges, "badges", nil, "check what these badges ask for: available, functional, reproduced")
	c.Flags().Lookup("badges").DefValue = ""
	among(c.Flags(), "badges", artifacts.Badges...).several()
	c.Flags().BoolVar(&strict, "strict", false, "let warnings fail, too")
	return c
}

func (a *app) lint(args []string, format string, strict bool) error {
	if len(args) == 0 {
		args = artifacts.EmbeddedNames()
	}
	var all artifacts.Findings
	for _, arg := range args {
		findings, err := a.lintOne(arg)
		if err != nil {
			var missing *artifacts.NotFoundError
			if errors.As(err, &missing) {
				return fail(ExitUsage, err, missing.Suggestion())
			}
			return fail(ExitManifest, err)
		}
		all = append(all, findings...)
	}
	switch format {
	case "json":
		lines := json.NewEncoder(a.stdout)
		for _, f := range all {
			if err := lines.Encode(f); err != nil {
				return fail(ExitInfrastructure, err)
			}
		}
	case "sarif":
		log, err := all.SARIF(version())
		if err != nil {
			return fail(ExitInfrastructure, err)
		}
		fmt.Fprintf(a.stdout, "%s\n", log)
	default:
		if err := all.Print(a.stdout); err != nil {
			return fail(ExitInfrastructure, err)
		}
	}
	errs := len(all.Errors())
	warnings := len(all) - errs
	fmt.Fprintf(a.stderr, "%s, %s, %s\n", count(len(args), "manifest"), count(errs, "error"), count(warnings, "warning"))
	if errs > 0 || strict && warnings > 0 {
		return fail(ExitManifest, nil)
	}
	return nil
}

func (a *app) lintOne(arg string) (artifacts.Findings, error) {
	if arg == "-" {
		data, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, err
		}
		_, findings := artifacts.Load("-", data)
		return findings, nil
	}
	_, findings, err := artifacts.Find(arg)
	return findings, err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// badges prints what each badge asks for and what is lacking.
func (a *app) badges(args, badges []string) error {
	manifests, err := a.loadAll(args)
	if err != nil {
		return err
	}
	lacking := 0
	for _, m := range manifests {
		readme, _ := m.Readme() // what is not there is a finding
		var citation []byte     // what is shipped with reprise is cited with it
		if m.Dir != "" {
			citation, _ = os.ReadFile(filepath.Join(m.Dir, "CITATION.cff"))
			citation = append([]byte{}, citation...) // there is none, which is a finding
		}
		fmt.Fprintf(a.stdout, "%s\n", m.Artifact)
		for _, item := range m.CheckBadges(readme, citation) {
			switch {
			case !slices.Contains(badges, item.Badge):
			case item.Met:
				fmt.Fprintf(a.stdout, "  ✓ %-10s  %s\n", item.Badge, item.Asks)
			default:
				lacking++
				fmt.Fprintf(a.stdout, "  ✗ %-10s  %s\n      %s\n", item.Badge, item.Asks, item.Mend)
			}
		}
	}
	fmt.Fprintf(a.stderr, "%s lacking\n", count(lacking, "thing"))
	if lacking > 0 {
		return fail(ExitManifest, nil)
	}
	return nil
}
