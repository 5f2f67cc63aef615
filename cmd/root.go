// Package cmd is the command line: one file a verb, flags and words only.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"reprise/runner/node"
)

// app is everything the commands take from the world outside, so that tests
// can give them another one.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	secrets        node.Secrets // of the environment
	// terminal says that standard input and output are a terminal which
	// understands escape codes (and TERM is not dumb).
	terminal bool
	// color says that output may carry colour.
	color bool

	mu     sync.Mutex
	forced []func() // called when a second Ctrl-C ends the process at once
}

// onForcedExit has f called before a second Ctrl-C ends the process.
func (a *app) onForcedExit(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forced = append(a.forced, f)
}

// Main runs the program and exits with a code from the table in exit.go.
func Main() { os.Exit(Run()) }

// Run is Main without the exit, for tests that are the program.
func Run() int { return newApp().run(os.Args[1:]) }

func newApp() *app {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, secrets: node.SecretsOf(os.Environ())}
	a.terminal = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("TERM") != "dumb"
	_, noColor := os.LookupEnv("NO_COLOR")
	a.color = a.terminal && !noColor
	return a
}

func (a *app) run(args []string) int {
	// The first Ctrl-C cancels the context and lets the command clean up; the
	// second ends the process at once.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer close(signals)
	defer signal.Stop(signals)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		cancel(errInterrupted)
		if _, ok := <-signals; !ok {
			return
		}
		a.mu.Lock()
		for _, f := range a.forced {
			f()
		}
		os.Exit(ExitInterrupted)
	}()

	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: ExitUsage, err: err}
	}
	if e.err != nil {
		fmt.Fprintf(a.stderr, "reprise: error: %s\n", a.secrets.Hide(e.err.Error()))
	}
	for _, hint := range e.hints {
		fmt.Fprintf(a.stderr, "reprise: hint: %s\n", hint)
	}
	return e.code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "reprise",
		Short: "Reproduce storage-systems papers and judge their claims",
		Long: `Reprise reads a paper's artifact manifest, runs its experiments on the machines
it asks for, and says, claim by claim, whether the published figure was
reproduced.`,
		Example: `  reprise                            choose and watch runs, in a terminal
  reprise run                        every artifact, kick profile, this machine
  reprise run codesign --profile local
  reprise list                       the artifacts and what they claim
  reprise lint my/artifact.yaml      every mistake in a manifest, with its place`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.interactive() {
				return a.home(cmd.Context(), looks{}, "")
			}
			return cmd.Help()
		},
	}
	root.AddCommand(a.commands()...)
	a.completeArguments(root)
	root.SetFlagErrorFunc(mistakenFlag)
	return root
}
