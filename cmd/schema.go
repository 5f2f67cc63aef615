package cmd

import (
	"github.com/spf13/cobra"

	"reprise/artifacts"
)

func (a *app) schemaCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the manifest's JSON Schema, or its reference in Markdown",
		Long: `Print the JSON Schema (2020-12) of the manifest, with which editors complete and
check artifact.yaml, or its reference documentation. Both are made from the types
that load a manifest. The schema describes the structure; reprise lint also finds
what refers to nothing, takes the wrong parameters or runs in circles.`,
		Example: `  reprise schema > reprise.schema.json
  reprise schema --format markdown | less

An artifact.yaml that begins with this line is completed by editors with a YAML
language server:
  # yaml-language-server: $schema=reprise.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			out := artifacts.Schema()
			if format == "markdown" {
				out = artifacts.Reference()
			}
			if _, err := a.stdout.Write(out); err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "json", "json or markdown")
	among(c.Flags(), "format", "json", "markdown")
	return c
}
