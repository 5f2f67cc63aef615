package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"reprise/artifacts"
)

func (a *app) lintCommand() *cobra.Command {
	var asJSON, strict bool
	var format string
	c := &cobra.Command{
		Use:   "lint [PATH|ARTIFACT …]",
		Short: "Find every mistake in a manifest, with its place and how to mend it",
		Long: `Check manifests and print every mistake at once: its line and column, the line
itself, and what was probably meant. Nothing is run. Without an argument the
artifacts that reprise ships are checked; - reads a manifest from standard input.

The exit code is 3 when there is an error. A warning alone is not one, unless
--strict is given.`,
		Example: `  reprise lint my/artifact.yaml
  reprise lint .                      the artifact.yaml of this folder
  reprise lint --json my | jq .       one finding a line, for an editor
  reprise lint --format sarif my > lint.sarif
  reprise lint --strict               the shipped artifacts, warnings fail too`,
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON {
				format = "json"
			}
			return a.lint(args, format, strict)
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "text", "text, json (one object a finding) or sarif (for code scanning)")
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	c.Flags().BoolVar(&strict, "strict", false, "let warnings fail, too")
	return c
}

func (a *app) lint(args []string, format string, strict bool) error {
	if format != "text" && format != "json" && format != "sarif" {
		return fail(ExitUsage, fmt.Errorf("no format %q; there are text, json, sarif", format))
	}
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
