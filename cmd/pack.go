package cmd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/runner/node"
	"reprise/runner/report"
	"reprise/runner/report/crate"
)

func (a *app) packCommand() *cobra.Command {
	var output, storeFolder string
	var identify bool
	c := &cobra.Command{
		Use:   "pack [RUN]",
		Short: "Pack a recorded run for an archive: results, report and provenance",
		Long: `Pack a recorded run as a Workflow Run RO-Crate: what every step observed, with
its parameters, machine, times and resources; the claims and their verdicts; a
page to read; the manifest; and provenance.json in the shape of a SLSA v1
predicate. Every file has its digest in the crate; reprise verify compares them.

The crate names nobody: users, hosts and paths are replaced, unless --identify is
given. RUN is the id of a run, the beginning of one, latest (which it is by
default), or the path of a run's folder. The output is a zip archive, or a folder
where its name ends in a slash.`,
		Example: `  reprise pack                         the last run, as RUN.crate.zip
  reprise pack 20261122-2006 -o evidence.zip
  reprise pack latest -o crate/ && reprise verify crate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ref := "latest"
			if len(args) > 0 {
				ref = args[0]
			}
			return a.pack(ref, storeFolder, output, identify)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "zip `file`, or folder/ (default RUN.crate.zip)")
	c.Flags().BoolVar(&identify, "identify", false, "keep the names of users, hosts and folders")
	storeFlag(c, &storeFolder)
	return c
}

func (a *app) pack(ref, storeFolder, output string, identify bool) error {
	dir, err := a.runDir(ref, storeFolder)
	if err != nil {
		return err
	}
	r, err := report.Summarise(dir)
	if err != nil {
		return fail(ExitManifest, err)
	}
	o := crate.Options{Identify: identify, Manifests: map[string][]byte{}, Private: private()}
	for _, x := range r.Artifacts {
		// Runs of earlier versions have not kept their manifests.
		if data, err := artifacts.EmbeddedSource(x.Artifact); err == nil {
			o.Manifests[x.Artifact] = data
		}
	}
	c, err := crate.Pack(dir, o)
	if err != nil {
		return fail(ExitManifest, err)
	}
	for _, w := range c.Warnings {
		a.note("%s", w)
	}
	if output == "" {
		output = r.ID + ".crate.zip"
	}
	if strings.HasSuffix(output, "/") {
		err = c.WriteFolder(filepath.Clean(output))
	} else {
		var b bytes.Buffer
		if err = c.Zip(&b); err == nil {
			err = replaceFile(output, b.Bytes())
		}
	}
	if err != nil {
		return fail(ExitInfrastructure, err, "name a file in a folder that exists, or a folder that is empty")
	}
	fmt.Fprintf(a.stdout, "%s: %d files, metadata sha256 %x\n", output, len(c.Files), sha256.Sum256(c.Files[0].Data))
	return nil
}

// note says something on standard error that is no failure.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.stderr, "note: "+format+"\n", args...) }

// private are the words that tell who and where this is. The run's own machines
// are in its records.
func private() []string {
	here := node.ThisMachine().Identity
	words := []string{here.User, here.Host, here.Home}
	if u, err := user.Current(); err == nil {
		words = append(words, u.Name)
	}
	return words
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify CRATE …",
		Short: "Check packed runs: their form, and that no file has been changed",
		Long: `Check crates that reprise pack made, or other Process Run Crates: everything
that RO-Crate 1.1 and the profile 0.5 demand, and every file against its digest.
All that is wrong is printed. The digest of the metadata itself, which pack
prints too, tells whether two crates are the same.

The exit code is 3 when anything is wrong.`,
		Example: "  reprise verify evidence.zip",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			bad := 0
			for _, name := range args {
				wrong, digest, err := a.verify(name)
				if err != nil {
					return fail(ExitManifest, fmt.Errorf("%s: %w", name, err))
				}
				for _, w := range wrong {
					fmt.Fprintf(a.stdout, "%s: %s\n", name, w)
				}
				if len(wrong) > 0 {
					bad++
					continue
				}
				fmt.Fprintf(a.stdout, "%s: in order, metadata sha256 %s\n", name, digest)
			}
			if bad > 0 {
				return fail(ExitManifest, nil)
			}
			return nil
		},
	}
}

func (a *app) verify(name string) (wrong []string, digest string, err error) {
	fsys, closer, err := crate.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = closer.Close() }()
	if wrong, err = crate.Verify(fsys); err != nil {
		return nil, "", err
	}
	digest, err = crate.Digest(fsys)
	return wrong, digest, err
}
