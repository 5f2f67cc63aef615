package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"reprise/runner"
)

// execCommand runs one built-in experiment in this process; the runner starts
// it as a child, on this machine or another.
func (a *app) execCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "exec NAME PARAMS",
		Short:  "Run one built-in experiment here (the runner calls this)",
		Long:   "Run one built-in experiment in the current folder. PARAMS is a JSON object.\nObservations and progress go to standard output, one JSON object a line.",
		Args:   cobra.ExactArgs(2),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			err = runner.Exec(cmd.Context(), args[0], args[1], dir, a.getenv("REPRISE_TRACES"), a.stdout)
			switch {
			case errors.Is(err, context.Canceled) && cmd.Context().Err() != nil:
				return fail(ExitInterrupted, errInterrupted)
			case err != nil:
				return fail(ExitStepFailed, err)
			}
			return nil
		},
	}
}
