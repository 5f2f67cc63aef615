package cmd

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Long: `Write a manual page for every command into a folder, which is made if need be.
They are what --help says. SOURCE_DATE_EPOCH is their date where it is set.`,
		Example: `  reprise man ~/.local/share/man/man1 && man reprise-run`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			date := a.now()
			if s := a.getenv("SOURCE_DATE_EPOCH"); s != "" {
				seconds, err := strconv.ParseInt(s, 10, 64)
				if err != nil {
					return fail(ExitUsage, fmt.Errorf("SOURCE_DATE_EPOCH is %q", s), "it is the seconds since 1970")
				}
				date = time.Unix(seconds, 0).UTC()
			}
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return fail(ExitInfrastructure, err)
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Manual: "reprise", Source: "reprise " + version(), Date: &date}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
}
