package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"reprise/artifacts"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a small artifact to start one's own from",
		Long: `Write a commented artifact.yaml and a README.md into a folder, which is made if
need be. The artifact runs as it is, with nothing but a shell: a matrix, an
experiment whose output becomes observations, and a claim. Files that exist are
never overwritten.`,
		Example: `  reprise init my-paper
  reprise run my-paper/artifact.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.init(args[0]) },
	}
}

func (a *app) init(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	files := artifacts.Starter(filepath.Base(abs))
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if _, err := os.Lstat(path); err == nil {
			return fail(ExitUsage, fmt.Errorf("%s is there already; nothing was written", path), "choose another folder")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fail(ExitInfrastructure, err)
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fail(ExitInfrastructure, err)
	}
	for _, f := range files {
		if err := writeNew(filepath.Join(dir, f.Name), f.Data); err != nil {
			return fail(ExitInfrastructure, err)
		}
		fmt.Fprintln(a.stdout, filepath.Join(dir, f.Name))
	}
	fmt.Fprintf(a.stderr, "run it with: reprise run %s\n", filepath.Join(dir, files[0].Name))
	return nil
}

// writeNew writes a file that must not exist.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
