package cmd

import "github.com/spf13/cobra"

// commands lists the verbs, each made in the file of its name.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.runCommand(),
		a.kickCommand(),
		a.resumeCommand(),
		a.uiCommand(),
		a.attachCommand(),
		a.replayCommand(),
		a.runsCommand(),
		a.queryCommand(),
		a.exportCommand(),
		a.reportCommand(),
		a.diffCommand(),
		a.historyCommand(),
		a.appendixCommand(),
		a.packCommand(),
		a.verifyCommand(),
		a.gcCommand(),
		a.listCommand(),
		a.showCommand(),
		a.lintCommand(),
		a.initCommand(),
		a.schemaCommand(),
		a.manCommand(),
		a.execCommand(),
		a.extractCommand(),
		a.superviseCommand(),
		a.cachesimCommand(),
		a.ssdCommand(),
		a.traceCommand(),
		a.recordCommand(),
		a.ioCommand(),
		a.upCommand(),
		a.sshCommand(),
		a.statusCommand(),
		a.downCommand(),
		a.chameleonCommand(),
	}
}
