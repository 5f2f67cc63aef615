package cmd

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"reprise/runner/node/remote"
	"reprise/runner/slurm"
	"reprise/runner/store"
)

// superviseCommand is this program's side on other machines: a remote node
// ships it to its host and starts it there, Slurm starts it for every task.
func (a *app) superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise serve HOME | run DIR | task ARRAY | tail LOG BYTES",
		Short:  "Run commands here for a runner elsewhere (the runner calls this)",
		Long:   "serve answers a runner's calls on standard input and output; run brings the\ncommand of one folder to its end, with no connection needed; task runs the task\nof a Slurm job array that SLURM_ARRAY_TASK_ID names; tail prints how large the\nlog of a step is, and its end.",
		Args:   cobra.RangeArgs(2, 3),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "tail" && len(args) == 3 {
				most, err := strconv.ParseInt(args[2], 10, 64)
				if err != nil {
					return fail(ExitUsage, err)
				}
				data, size, err := store.ReadTail(args[1], most)
				if err != nil {
					return fail(ExitInfrastructure, err)
				}
				fmt.Fprintf(a.stdout, "%d\n%s", size, data)
				return nil
			}
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
