package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
)

func (a *app) sshCommand() *cobra.Command {
	var store string
	var node int
	c := &cobra.Command{
		Use:   "ssh ARTIFACT[:PLATFORM] [-- COMMAND …]",
		Short: "Log in to a node of a leased platform",
		Long: `Run ssh to a node of a platform that reprise up has leased, with the key made for
it and its host key known. The exit code is the command's.`,
		Example: `  reprise ssh heimdall
  reprise ssh heimdall:storage --node 1 -- lsblk -o NAME,MODEL,SIZE`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.deployment(args[0], store)
			if err != nil {
				return err
			}
			if node < 0 || node >= len(d.Nodes) {
				return fail(ExitUsage, fmt.Errorf("no node %d; %s has %d that answer", node, args[0], len(d.Nodes)))
			}
			ssh := exec.CommandContext(c.Context(), "ssh", append([]string{"-F", d.ConfigFile(), fmt.Sprintf("node%d", node), "--"}, args[1:]...)...)
			ssh.Cancel = func() error { return ssh.Process.Signal(os.Interrupt) }
			ssh.Stdin, ssh.Stdout, ssh.Stderr = a.stdin, a.stdout, a.stderr
			err = ssh.Run()
			var exit *exec.ExitError
			switch {
			case err == nil:
				return nil
			case errors.As(err, &exit) && exit.ExitCode() > 0:
				return fail(exit.ExitCode(), nil)
			case errors.Is(err, exec.ErrNotFound):
				return fail(ExitInfrastructure, errors.New("this machine has no ssh"), "what it needs to know is in "+d.ConfigFile())
			}
			return fail(ExitInfrastructure, err)
		},
	}
	c.Flags().StringVar(&store, "store", "", "folder of runs and results (default $REPRISE_STORE or the user's state folder)")
	c.Flags().IntVar(&node, "node", 0, "number of the node")
	return c
}
