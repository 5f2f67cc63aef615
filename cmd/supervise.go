package cmd

import (
	"github.com/spf13/cobra"

	"reprise/runner/node/remote"
	"reprise/runner/slurm"
)

// superviseCommand is this program's side on other machines: a remote node
// ships it to its host and starts it there, Slurm starts it for every task.
func (a *app) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise serve HOME | run DIR | task ARRAY",
		Short:  "Run commands here for a runner elsewhere (the runner calls this)",
		Long:   "serve answers a runner's calls on standard input and output; run brings the\ncommand of one folder to its end, with no connection needed; task runs the task\nof a Slurm job array that SLURM_ARRAY_TASK_ID names.",
		Args:   cobra.ExactArgs(2),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "task" {
				if err := slurm.Task(cmd.Context(), args[1], a.getenv("SLURM_ARRAY_TASK_ID")); err != nil {
					return fail(ExitInfrastructure, err)
				}
				return nil
			}
			if err := remote.Supervise(cmd.Context(), args, a.stdin, a.stdout); err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
}
