package cmd

import "github.com/spf13/cobra"

func (a *app) statusCommand() *cobra.Command {
	var store string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status ARTIFACT[:PLATFORM]",
		Short: "Show the nodes of a leased platform",
		Long: `Show what this machine knows of a platform that reprise up has leased: its nodes,
how to reach them, and when the lease ends. The site is not asked; reprise
chameleon leases does that.`,
		Example: `  reprise status heimdall
  reprise status heimdall --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.deployment(args[0], store)
			if err != nil {
				return err
			}
			return a.printDeployment(d, asJSON)
		},
	}
	c.Flags().StringVar(&store, "store", "", "folder of runs and results (default $REPRISE_STORE or the user's state folder)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
