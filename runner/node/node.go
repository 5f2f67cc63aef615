// Package node is where a step runs. A Node knows how to start a command,
// keep it within its limits, stop it, and say what it used. Package nodetest
// holds what every Node must do.
package node

import (
	"context"
	"io"
	"time"

	"reprise/runner/device"
)

// Command is one command to run on a node.
type Command struct {
	Argv []string
	// Dir is a folder of the runner's machine. The command works in it or, on
	// another machine, in a copy: it finds the folder's content there, and what
	// it leaves is in Dir once Run has returned, unless it was stopped.
	Dir string
	Env []string // added to the node's own environment
	// Secrets are added to it, too. They are written down nowhere, not even on the
	// node, and stand in nothing that the command puts out there.
	Secrets []string
	// Withhold names variables of the node's own environment that the command
	// does not get, beside those whose names say that they are secret.
	Withhold []string
	// Files are files and folders of the runner's machine that the command
	// only reads. Each key is an environment variable that gives the command
	// the place where it finds them.
	Files  map[string]string
	Limit  time.Duration // 0: none
	Memory uint64        // bytes of resident memory of the command and its children; 0: no limit
	// Exclusive commands measure the machine: nothing else that a node runs
	// there may run beside them.
	Exclusive bool
	// Name is what people call what is run.
	Name string
	// Key, if there is one, names what is run by its content: on a Keeper a command that an
	// earlier runner started under the same key is taken over.
	Key string
	// Note, if there is one, is told what else is worth knowing of the
	// command's way: that it waits for its turn, that a connection was lost.
	Note func(string)
	// Queued, if there is one, is told on a Queue why the command waits, anew
	// when that changes, and with no reason that it begins.
	Queued func(reason string)
	// Now, once closed, has a command that is being stopped killed without the
	// rest of its grace period.
	Now <-chan struct{}
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
	// Host and Machine say where the command ran, if the node is a Queue.
	Host    string
	Machine Machine
}

// Output is a declared file or folder that a step left: its SHA-256, of a folder
// that of store.DigestTree.
type Output struct {
	Name   string `json:"name"`
	Folder bool   `json:"folder,omitempty"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
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
	Machine() Machine
	// Self is the path under which a command on the node finds this program.
	Self() string
	// Run starts the command and waits for its end. When ctx is cancelled the
	// command and its children are asked to stop and, after a grace period,
	// killed. An error means that the node failed, not the command. Commands
	// may run at the same time.
	Run(ctx context.Context, c Command) (Result, error)
	// Kill ends every running command at once, for a runner about to exit.
	Kill()
}

// Sampler is a node that can say how busy its machine is.
type Sampler interface {
	Load(ctx context.Context) (Load, error)
}

// Inventory is a node that knows the disks of its machine.
type Inventory interface {
	Devices(ctx context.Context) ([]device.Device, error)
}

// Restarter is a node whose machine can be restarted. Restart returns once the
// machine has gone down and come up again, or when limit has passed.
type Restarter interface {
	Restart(ctx context.Context, limit time.Duration) error
}

// Queue is a Node that stands for many machines. It keeps commands waiting
// until one is free, and exclusive commands apart from all others.
type Queue interface {
	Node
	// Depth is how many commands it takes at once.
	Depth() int
}

// Keeper is a Node whose commands go on when their runner dies.
type Keeper interface {
	Node
	// Holds says that a command of this key, which an earlier runner started,
	// runs or has ended there. Run takes it over.
	Holds(key string) bool
	// Left says, for people, what else of dead runners goes on there and how to
	// stop it: what is not asked for.
	Left(asked func(key string) bool) []string
}
