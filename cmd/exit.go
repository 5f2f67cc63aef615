package cmd

import (
	"errors"
	"fmt"
	"slices"
)

// The exit codes. README.md has the same table, and a test compares them.
const (
	ExitOK             = 0   // every claim decided was reproduced
	ExitNotReproduced  = 1   // at least one claim was not, or only in part, reproduced
	ExitUsage          = 2   // the command line is wrong
	ExitManifest       = 3   // a manifest or another input is invalid
	ExitStepFailed     = 4   // a step of an experiment failed
	ExitInfrastructure = 5   // a machine, the disk or the network failed
	ExitInconclusive   = 6   // nothing failed, but a claim could not be decided
	ExitInterrupted    = 130 // stopped by Ctrl-C or SIGTERM
)

var errInterrupted = errors.New("interrupted")

// exitError is an error with the code the process ends with and, if there is
// a way to mend it, hints that say how.
type exitError struct {
	code  int
	err   error // nil: the command has already said what there is to say
	hints []string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// fail makes an error that ends the process with code. Without hints it has
// that of err, if that knows one.
func fail(code int, err error, hints ...string) error {
	var knows interface{ Hint() string }
	if len(hints) == 0 && errors.As(err, &knows) {
		hints = []string{knows.Hint()}
	}
	hints = slices.DeleteFunc(hints, func(hint string) bool { return hint == "" })
	return &exitError{code: code, err: err, hints: hints}
}
