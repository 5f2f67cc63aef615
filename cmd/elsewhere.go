package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/tui"
)

// elsewhere says on which other machine a run is.
type elsewhere struct {
	on, sshConfig, store string
	programs             []string
}

func (e *elsewhere) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&e.on, "on", "", "the machine that has the run: ssh:[user@]host[:port]")
	flags.StringVar(&e.sshConfig, "ssh-config", "", "`file` in ssh_config's format (default ~/.ssh/config)")
	flags.StringVar(&e.store, "remote-store", "", "folder of runs there (default $REPRISE_STORE or the user's state folder, there)")
	flags.StringArrayVar(&e.programs, "program", nil, "reprise built for another platform, for hosts of it; may be repeated")
}

// followElsewhere follows a run of another machine by this same program there.
func (a *app) followElsewhere(ctx context.Context, ref string, there elsewhere) (*tui.Job, error) {
	if ref == "-" || strings.Contains(there.on, ",") || !strings.HasPrefix(there.on, "ssh:") {
		return nil, fail(ExitUsage, fmt.Errorf("--on %q is not one machine to attach to a run of", there.on), "write --on ssh:[user@]host[:port]")
	}
	ns, err := a.openNodes(ctx, nodeFlags{on: there.on, sshConfig: there.sshConfig, programs: there.programs}, there.store)
	if err != nil {
		return nil, err
	}
	host := ns[0]
	argv := []string{host.Self(), "attach", "--json", ref}
	if there.store != "" {
		argv = append(argv, "--store", there.store)
	}
	// do runs a command there that has no files.
	do := func(ctx context.Context, out io.Writer, argv ...string) error {
		dir, err := os.MkdirTemp("", "reprise-attach-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		var said bytes.Buffer
		r, err := host.Run(ctx, node.Command{Argv: argv, Dir: dir, Stdout: out, Stderr: &said})
		if text := strings.TrimSpace(said.String()); err == nil && r.End == node.Exited && r.ExitCode != 0 && text != "" {
			err = errors.New(strings.TrimPrefix(text, "reprise: error: "))
		}
		return err
	}
	return &tui.Job{
		Title:   "reading run " + ref + " on " + host.Name(),
		Command: "reprise attach --on " + there.on + " " + ref,
		Run: func(ctx context.Context, show event.Subscriber) error {
			defer ns.close()
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			log, lines := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				err := do(ctx, lines, argv...)
				ended <- errors.Join(err, lines.Close())
			}()
			defer func() { _ = log.Close() }()
			for e, err := range event.Read(log) {
				if err != nil {
					return fmt.Errorf("%s: %w", host.Name(), err)
				}
				show(e)
				if _, over := e.Payload.(event.RunFinished); over {
					return nil
				}
			}
			if err := <-ended; err != nil {
				return fmt.Errorf("%s: %w", host.Name(), err)
			}
			return ctx.Err()
		},
		ReadLog: func(path string, most int64) ([]byte, int64, error) {
			var out bytes.Buffer
			if err := do(ctx, &out, host.Self(), "supervise", "tail", path, strconv.FormatInt(most, 10)); err != nil {
				return nil, 0, err
			}
			size, data, _ := bytes.Cut(out.Bytes(), []byte("\n"))
			n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 10, 64)
			return data, n, err
		},
	}, nil
}
