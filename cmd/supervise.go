package cmd

import (
	"github.com/spf13/cobra"

	"reprise/runner/node/remote"
)

// superviseCommand is the host's side of a remote node: the runner ships this
// program to the host and starts it there.
func (a *app) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise serve HOME | run DIR",
		Short:  "Run commands here for a runner elsewhere (the runner calls this)",
		Long:   "serve answers a runner's calls on standard input and output; run brings the\ncommand of one folder to its end, with no connection needed.",
		Args:   cobra.ExactArgs(2),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := remote.Supervise(cmd.Context(), args, a.stdin, a.stdout); err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
}
