// Package node is where a step runs. A Node knows how to start a command,
// keep it within its limits, stop it, and say what it used.
package node

import (
	"context"
	"io"
	"time"
)

// Command is one command to run on a node.
type Command struct {
	Argv   []string
	Dir    string   // working folder, which exists
	Env    []string // added to the node's own environment
	Limit  time.Duration
	Memory uint64 // bytes of resident memory of the command and its children; 0: no limit
	// Standard input is always empty.
	Stdout, Stderr io.Writer
}

// End says how a command ended.
type End string

// The ways a command ends.
const (
	Exited    End = "exited"    // by itself, with ExitCode
	Signalled End = "signalled" // by a signal that the node did not send
	TimedOut  End = "timed out"
	OverLimit End = "over its memory limit"
	Stopped   End = "stopped" // because the context was cancelled
)

// Result is how a command ended and what it used.
type Result struct {
	End      End
	ExitCode int    // with Exited
	Signal   string // with Signalled
	Usage    Usage
}

// Usage is the resources a command and the children it waited for used.
type Usage struct {
	Wall, User, Sys time.Duration
	MaxRSS          uint64 // bytes, of the largest process
}

// Node runs commands on one machine.
type Node interface {
	// Name is how people know the machine.
	Name() string
	// Platform is the class of machine: operating system and architecture.
	Platform() string
	// Run starts the command and waits for its end. When ctx is cancelled the
	// command and its children are asked to stop and, after a grace period,
	// killed. An error means that the node failed, not the command.
	Run(ctx context.Context, c Command) (Result, error)
}
