package cmd

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/artifacts"
)

// completeArguments has the shell complete what a command's usage line names,
// artifacts and recorded runs, and the values of flags that take one of a few.
func (a *app) completeArguments(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.completeArguments(sub)
	}
	use := strings.Fields(c.Use)
	takes := func(what string) bool {
		for _, word := range use[1:] {
			if strings.Contains(strings.Trim(word, "[]…"), what) {
				return true
			}
		}
		return false
	}
	switch {
	case takes("ARTIFACT"):
		c.ValidArgsFunction = completeArtifacts
	case takes("RUN"):
		c.ValidArgsFunction = a.completeRuns
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if o, is := f.Value.(*oneOf); is {
			// The flag exists and is completed once, so there is no error.
			_ = c.RegisterFlagCompletionFunc(f.Name, o.complete)
		}
	})
	if f := c.Flags().Lookup("on"); f != nil && c.Flags().Lookup("sbatch-arg") != nil {
		_ = c.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return placeKinds, cobra.ShellCompDirectiveNoSpace // or a file
		})
	}
	if c.HasSubCommands() {
		c.Args = subcommand
	}
}

// completeArtifacts offers the artifacts that reprise ships; beside them stand
// files, for those that it does not.
func completeArtifacts(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	manifests, err := artifacts.Embedded()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, m := range manifests {
		names = append(names, cobra.CompletionWithDesc(m.Artifact, m.Title))
	}
	return names, cobra.ShellCompDirectiveDefault
}

// completeRuns offers the recorded runs, the newest first.
func (a *app) completeRuns(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	folder := ""
	if f := c.Flags().Lookup("store"); f != nil {
		folder = f.Value.String()
	}
	kept, err := a.openStore(folder)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ids, err := kept.Runs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return append([]string{"latest", "previous"}, ids...), cobra.ShellCompDirectiveKeepOrder
}
