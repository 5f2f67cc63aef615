package artifacts

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"reprise/checks"
)

// Builtin is an experiment written in Go. It runs in a child process of the
// same binary (`reprise exec NAME`), so a crash is a failed step and not a
// dead tool.
type Builtin struct {
	// Name is "<artifact>.<experiment>", as a manifest's run key has it.
	Name string
	// Version goes into the key under which results are reused: raise it when
	// a change alters what the experiment measures. (Of builds that are not of a
	// commit the whole program goes into the key.)
	Version int
	// Doc is one sentence for listings.
	Doc string
	// Params are the parameters the experiment takes; a manifest that gives
	// another is refused.
	Params []Param
	// ReadsTraces says that Env.Traces is looked at; the folder's content is
	// then part of a step's key.
	ReadsTraces bool
	// Run does the experiment.
	Run func(ctx context.Context, env *Env) error
}

// Param is one parameter of a Builtin: options are data, so that validation,
// help and documentation come from one place.
type Param struct {
	Name    string
	Doc     string
	Default any // string, int, float64, bool or a slice of these; nil means required
	// File says that the value may be the absolute path of a file on the machine
	// that reprise runs on; what the file holds is then part of a step's key.
	File bool
}

// Env is what a running Builtin may touch.
type Env struct {
	// Params holds every declared parameter, defaults filled in.
	Params map[string]any
	// Dir is the step's own working folder; files left there are its outputs.
	Dir string
	// Traces is the folder of real traces, empty when there is none.
	Traces string
	// Observe records one observation.
	Observe func(checks.Observation) error
	// Progress reports work done out of total, in any unit; total 0 means unknown.
	Progress func(done, total float64, doing string)
}

var builtins = map[string]Builtin{}

// Register makes a Builtin known. It panics on an empty or repeated name or a
// missing Run, since each is a programming error found at start.
func Register(b Builtin) {
	if b.Name == "" || b.Run == nil {
		panic("artifacts: a built-in experiment needs a name and a Run function")
	}
	if _, dup := builtins[b.Name]; dup {
		panic(fmt.Sprintf("artifacts: experiment %q registered twice", b.Name))
	}
	builtins[b.Name] = b
}

// LookupBuiltin finds a registered experiment.
func LookupBuiltin(name string) (Builtin, bool) { b, ok := builtins[name]; return b, ok }

// BuiltinNames lists the registered experiments in order.
func BuiltinNames() []string { return slices.Sorted(maps.Keys(builtins)) }
