// Package event is the one log of what happens in a run: JSON lines, one event
// each. Everything that shows a run (the plain printer, the terminal UI, JSON
// output, reports) reads events and nothing else.
//
// New event types and new keys may be added at any time; readers ignore what
// they do not know.
package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"reprise/checks"
	"reprise/runner/node"
)

// Event is one thing that happened. In JSON the header's keys and the
// payload's keys stand in one object.
type Event struct {
	Seq     int       // 1, 2, … within the run
	Time    time.Time // wall clock of the machine that runs the engine
	Run     string    // the run's id
	Payload Payload
}

// Payload is what an event says; each kind is a struct of this package.
type Payload interface{ Kind() string }

// RunStarted is a run's first event.
type RunStarted struct {
	Version   string   `json:"version"` // of reprise
	Profile   string   `json:"profile"`
	Artifacts []string `json:"artifacts"`
	Platform  string   `json:"platform"` // os/arch of the engine
	CPUs      int      `json:"cpus"`
	Nodes     []Node   `json:"nodes"`  // that steps run on
	Folder    string   `json:"folder"` // of the run's records
	Steps     int      `json:"steps"`
	Command   string   `json:"command,omitempty"` // line that makes the same run
	// Records is the file system that the records are written to.
	Records *node.Mount `json:"records,omitempty"`
	// Args are the arguments of reprise run that ask for the same from any
	// folder, with all that matters to the run; Command is for people.
	Args    []string `json:"args,omitempty"`
	Resumes string   `json:"resumes,omitempty"` // run that this one goes on with
}

// Node is a machine that steps run on. It is an event where it turns out only
// while they run, as with a queue's.
type Node struct {
	Name string `json:"name"`
	node.Machine
}

// Planned lays out what a run is going to do, so that whoever shows it can
// show what is still to come. It follows RunStarted.
type Planned struct {
	About       []PlannedArtifact   `json:"about,omitempty"`
	Experiments []PlannedExperiment `json:"experiments"`
}

// PlannedArtifact is what a run is of: the paper and the sources, as the
// manifest has them.
type PlannedArtifact struct {
	Artifact string   `json:"artifact"`
	Title    string   `json:"title"`
	Venue    string   `json:"venue,omitempty"`
	DOI      string   `json:"doi,omitempty"`
	URL      string   `json:"url,omitempty"` // of the paper
	Authors  []string `json:"authors,omitempty"`
	License  string   `json:"license,omitempty"`
	Manifest string   `json:"manifest_sha256,omitempty"`
	// Commit is that of the git repository the manifest lies in, State whether its
	// tracked files are clean or changed; "" where that is not known.
	Commit  string          `json:"commit,omitempty"`
	State   string          `json:"state,omitempty"`
	Sources []PlannedSource `json:"sources,omitempty"`
}

// PlannedSource is code or data that steps use.
type PlannedSource struct {
	Name string `json:"name"`
	From string `json:"from"`          // address of the repository or archive, or path
	Pin  string `json:"pin,omitempty"` // commit or SHA-256; "" for a path
	// Tree digests the names and contents of a path's files; "" where no step uses it.
	Tree string `json:"tree_sha256,omitempty"`
}

// PlannedExperiment is one experiment of a run: its steps in order and the
// claims that wait for them.
type PlannedExperiment struct {
	Artifact   string         `json:"artifact"`
	Experiment string         `json:"experiment"`
	Title      string         `json:"title"`
	Left       string         `json:"left,omitempty"` // why it is not run
	Steps      []string       `json:"steps,omitempty"`
	Claims     []PlannedClaim `json:"claims,omitempty"`
	// Params are the parameters that all its points share, Axes the values of
	// those that make the points.
	Params map[string]string   `json:"params,omitempty"`
	Axes   map[string][]string `json:"axes,omitempty"`
	// Measured says that what it observes depends on the machine and on what
	// else ran there, as a simulation's results do not.
	Measured bool `json:"measured,omitempty"`
}

// PlannedClaim is a claim before its verdict.
type PlannedClaim struct {
	Claim     string        `json:"claim"`
	Statement string        `json:"statement"`
	Source    checks.Source `json:"source"`
}

// StepReused says that an earlier result of the same content stands in.
type StepReused struct {
	Step         string  `json:"step"`
	Key          string  `json:"key"`
	From         string  `json:"from"`           // id of the run that measured it
	Host         string  `json:"host,omitempty"` // machine that did, as a Node event names it; empty where it is like this run's
	Log          string  `json:"log"`            // folder of the result's records
	Seconds      float64 `json:"seconds"`
	Observations int     `json:"observations"`
	Made
}

// Made is what a step left, with its digests.
type Made struct {
	ObservationsSHA256 string        `json:"observations_sha256,omitempty"`
	Outputs            []node.Output `json:"outputs,omitempty"`
	Disk               uint64        `json:"disk_bytes,omitempty"` // of its folder
}

// StepStarted says that a step begins, and why it was not reused.
type StepStarted struct {
	Step   string `json:"step"`
	Key    string `json:"key"`
	Node   string `json:"node"`
	Reason string `json:"reason"`
	Log    string `json:"log"`              // folder of the attempt's records
	Queued bool   `json:"queued,omitempty"` // it is in the node's queue, and a StepQueued says when it begins
}

// StepQueued says why a step waits in its node's queue, or that it begins.
type StepQueued struct {
	Step   string `json:"step"`
	Reason string `json:"reason,omitempty"`
	Begun  bool   `json:"begun,omitempty"`
}

// StepProgress reports work done in a running step.
type StepProgress struct {
	Step  string  `json:"step"`
	Done  float64 `json:"done"`
	Total float64 `json:"total,omitempty"` // 0: unknown
	Doing string  `json:"doing,omitempty"`
}

// Observed is one observation, with the labels the runner adds.
type Observed struct {
	Step string `json:"step"`
	checks.Observation
}

// Status is how a step ended.
type Status string

// The ways a step ends.
const (
	Done      Status = "done"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
	SkippedOn Status = "skipped" // a step it needs did not succeed
)

// Class says whose fault a failure is; retry policies and exit codes go by it.
type Class string

// The classes of failure.
const (
	ExperimentFailure     Class = "experiment"
	InfrastructureFailure Class = "infrastructure"
	ConfigurationFailure  Class = "configuration"
)

// StepFinished says how a step ended and what it used.
type StepFinished struct {
	Step         string   `json:"step"`
	Status       Status   `json:"status"`
	Class        Class    `json:"class,omitempty"` // of a failure
	Error        string   `json:"error,omitempty"`
	Tail         []string `json:"tail,omitempty"` // last lines of its standard error, on failure
	Seconds      float64  `json:"seconds"`
	UserSeconds  float64  `json:"user_seconds"`
	SysSeconds   float64  `json:"sys_seconds"`
	MaxRSS       uint64   `json:"max_rss_bytes"`
	Observations int      `json:"observations"`
	Made
	Host string `json:"host,omitempty"` // of a queue's machines the one that it ran on, as a Node event names it
	Log  string `json:"log,omitempty"`  // folder of the result's records, where it differs from the attempt's
}

// Warned carries a warning that belongs to the results.
type Warned struct {
	Step    string `json:"step,omitempty"`
	Message string `json:"message"`
}

// Held says that the run begins no further steps for now, or does again.
type Held struct {
	On  bool   `json:"on"`
	Why string `json:"why,omitempty"`
}

// NodeLoad is how busy a node is. Runs are sampled every second at first, and
// ever more rarely the longer they take.
type NodeLoad struct {
	Node        string  `json:"node"`
	CPU         float64 `json:"cpu"` // share of all cores that was busy since the sample before
	MemoryUsed  uint64  `json:"memory_used_bytes"`
	MemoryTotal uint64  `json:"memory_total_bytes"`
	Load1       float64 `json:"load1"` // runnable tasks, averaged over a minute
}

// Leased is a lease that the run's nodes belong to, as it is now.
type Leased struct {
	Name     string    `json:"name"`
	Site     string    `json:"site"`
	Nodes    int       `json:"nodes"`
	Starts   time.Time `json:"starts"`
	Ends     time.Time `json:"ends"`
	PerHour  float64   `json:"per_node_hour"`  // cost, in Unit
	Unit     string    `json:"unit"`           // SU: service units
	Keep     bool      `json:"keep,omitempty"` // stays when the run ends
	Released bool      `json:"released,omitempty"`
}

// Cost is what the lease has cost by a time, in its unit.
func (l Leased) Cost(now time.Time) float64 {
	if now.After(l.Ends) {
		now = l.Ends
	}
	return max(0, now.Sub(l.Starts).Hours()) * l.PerHour * float64(l.Nodes)
}

// Judged is the verdict on one claim.
type Judged struct {
	Artifact string `json:"artifact"`
	checks.Verdict
}

// RunFinished is a run's last event.
type RunFinished struct {
	Outcome string         `json:"outcome"` // finished or interrupted
	Exit    int            `json:"exit"`    // the process's exit code
	Seconds float64        `json:"seconds"`
	Claims  map[string]int `json:"claims"` // number of claims by verdict
	Steps   map[string]int `json:"steps"`  // number of steps by status; "reused" too
}

// hidden applies hide to those texts of a payload that may hold anything, as
// what a program printed or an error says. Names, keys and numbers stay.
func hidden(p Payload, hide func(string) string) Payload {
	each := func(list []string) []string {
		list = slices.Clone(list)
		for i := range list {
			list[i] = hide(list[i])
		}
		return list
	}
	switch v := p.(type) {
	case RunStarted:
		v.Command, v.Args = hide(v.Command), each(v.Args)
		return v
	case StepStarted:
		v.Reason = hide(v.Reason)
		return v
	case StepQueued:
		v.Reason = hide(v.Reason)
		return v
	case StepProgress:
		v.Doing = hide(v.Doing)
		return v
	case StepFinished:
		v.Error, v.Tail = hide(v.Error), each(v.Tail)
		return v
	case Warned:
		v.Message = hide(v.Message)
		return v
	case Held:
		v.Why = hide(v.Why)
		return v
	case Judged:
		v.Reason = hide(v.Reason)
		return v
	}
	return p
}

// Kind names a payload in the key "event".
func (RunStarted) Kind() string   { return "run_started" }
func (Planned) Kind() string      { return "planned" }
func (Node) Kind() string         { return "node" }
func (StepReused) Kind() string   { return "step_reused" }
func (StepStarted) Kind() string  { return "step_started" }
func (StepQueued) Kind() string   { return "step_queued" }
func (StepProgress) Kind() string { return "step_progress" }
func (Observed) Kind() string     { return "observation" }
func (StepFinished) Kind() string { return "step_finished" }
func (Warned) Kind() string       { return "warning" }
func (Held) Kind() string         { return "held" }
func (NodeLoad) Kind() string     { return "node_load" }
func (Leased) Kind() string       { return "lease" }
func (Judged) Kind() string       { return "verdict" }
func (RunFinished) Kind() string  { return "run_finished" }

type header struct {
	Seq  int       `json:"seq"`
	Time time.Time `json:"time"`
	Run  string    `json:"run"`
	Kind string    `json:"event"`
}

// MarshalJSON writes header and payload as one object.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Payload == nil {
		return nil, fmt.Errorf("event %d has no payload", e.Seq)
	}
	with, err := shared(e.Time, e.Run)
	if err != nil {
		return nil, err
	}
	return encode(e.Payload).line(nil, e.Seq, with)
}

// encoded is a payload with its JSON.
type encoded struct {
	payload Payload
	json    []byte
	err     error
}

func encode(p Payload) encoded {
	if u, ok := p.(Unknown); ok {
		return encoded{p, u.JSON, nil}
	}
	data, err := json.Marshal(p)
	if err != nil {
		err = fmt.Errorf("event %q: %w", p.Kind(), err)
	}
	return encoded{p, data, err}
}

// shared is the part of the header that events of one instant have in common.
func shared(at time.Time, run string) ([]byte, error) {
	data, err := json.Marshal(struct {
		Time time.Time `json:"time"`
		Run  string    `json:"run"`
	}{at, run})
	if err != nil {
		return nil, err
	}
	return data[1 : len(data)-1], nil
}

// line appends header and payload as one object.
func (e encoded) line(to []byte, seq int, shared []byte) ([]byte, error) {
	if _, whole := e.payload.(Unknown); whole || e.err != nil {
		return append(to, e.json...), e.err
	}
	to = strconv.AppendInt(append(to, `{"seq":`...), int64(seq), 10)
	to = append(append(to, ','), shared...)
	to = append(append(append(to, `,"event":"`...), e.payload.Kind()...), '"')
	if len(e.json) > len("{}") {
		return append(append(to, ','), e.json[1:]...), nil
	}
	return append(to, '}'), nil
}

// UnmarshalJSON reads an event; a kind it does not know becomes Unknown.
func (e *Event) UnmarshalJSON(data []byte) error {
	var h header
	if err := json.Unmarshal(data, &h); err != nil {
		return err
	}
	decode, known := decoders[h.Kind]
	if !known {
		*e = Event{h.Seq, h.Time, h.Run, Unknown{Name: h.Kind, JSON: bytes.Clone(data)}}
		return nil
	}
	payload, err := decode(data)
	if err != nil {
		return fmt.Errorf("event %q: %w", h.Kind, err)
	}
	*e = Event{h.Seq, h.Time, h.Run, payload}
	return nil
}

// Unknown is an event of a newer version of reprise, kept as it was written.
type Unknown struct {
	Name string
	JSON json.RawMessage
}

// Kind gives the name that the newer version wrote.
func (u Unknown) Kind() string { return u.Name }

var decoders = map[string]func([]byte) (Payload, error){}

func init() {
	register[RunStarted]()
	register[Planned]()
	register[Node]()
	register[StepReused]()
	register[StepStarted]()
	register[StepQueued]()
	register[StepProgress]()
	register[Observed]()
	register[StepFinished]()
	register[Warned]()
	register[Held]()
	register[NodeLoad]()
	register[Leased]()
	register[Judged]()
	register[RunFinished]()
}

func register[P Payload]() {
	var zero P
	decoders[zero.Kind()] = func(data []byte) (Payload, error) {
		var p P
		err := json.Unmarshal(data, &p)
		return p, err
	}
}
