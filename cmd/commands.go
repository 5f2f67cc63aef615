package cmd

import "github.com/spf13/cobra"

// commands lists the verbs, each made in the file of its name.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.runCommand(),
		a.execCommand(),
		a.cachesimCommand(),
		a.ssdCommand(),
		a.traceCommand(),
	}
}
