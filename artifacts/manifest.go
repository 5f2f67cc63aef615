// Package artifacts defines the manifest of a paper's artifact, loads it with
// every finding at once, and embeds the artifacts that reprise ships.
//
// Struct tags carry what a manifest field is: `yaml` its key, `doc` its
// meaning, `required:"true"`, `enum:"a,b"`, `pattern` a regular expression for
// the whole of a text, `keys` one for the keys of a map. The loader, the JSON
// schema and the reference documentation are all made from them. A struct whose
// blank field is tagged `oneof:"true"` takes exactly one of its keys; one with
// fields tagged `form:"scalar"` and `form:"list"` stands for a single value or
// a list. A scalar type with an UnmarshalText method is decoded by it, a type
// with a Validate method checks itself, and one with a Shorthand method names
// the key that a value which is no mapping is given to.
package artifacts

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"reprise/checks"
)

// Manifest describes one paper's artifact: what it claims, and how each claim
// is put to the test.
type Manifest struct {
	Version     int                     `yaml:"reprise" required:"true" doc:"version of the manifest format; 1"`
	Artifact    string                  `yaml:"artifact" required:"true" pattern:"[a-z][a-z0-9-]*" doc:"short name, as in reprise run NAME"`
	Title       string                  `yaml:"title" required:"true" doc:"the paper's or artifact's title"`
	Description string                  `yaml:"description" doc:"a paragraph on what the artifact is"`
	Paper       Paper                   `yaml:"paper" doc:"the paper whose claims are tested"`
	License     string                  `yaml:"license" doc:"SPDX identifier of the artifact's licence"`
	Support     string                  `yaml:"support" doc:"who answers questions, and until when, for example a mail address and 'until the end of 2028'"`
	Sources     map[string]Source       `yaml:"sources" keys:"[A-Za-z_][A-Za-z0-9_-]*" doc:"code and data by name, each pinned"`
	Platforms   map[string]Platform     `yaml:"platforms" keys:"[A-Za-z_][A-Za-z0-9_-]*" doc:"machines the experiments can run on, by name"`
	Experiments map[string]Experiment   `yaml:"experiments" required:"true" keys:"E[1-9][0-9]*" doc:"experiments by id: E1, E2, …"`
	Claims      map[string]checks.Claim `yaml:"claims" keys:"C[1-9][0-9]*" doc:"claims by id: C1, C2, …"`

	// File is the manifest's name as findings print it; Dir the folder that
	// relative paths in it start from, empty for an embedded manifest.
	File string `yaml:"-"`
	Dir  string `yaml:"-"`
	// Text is the manifest as it was read, Digest its SHA-256 in hexadecimal.
	Text   []byte `yaml:"-"`
	Digest string `yaml:"-"`

	places map[string]*yaml.Node // path to the node of its value
}

// Paper names a publication.
type Paper struct {
	Title   string   `yaml:"title" doc:"title, where it differs from the artifact's"`
	Venue   string   `yaml:"venue" doc:"where and when it appeared, for example EuroSys '25"`
	DOI     string   `yaml:"doi" doc:"digital object identifier without the resolver's address"`
	URL     string   `yaml:"url" doc:"address of the paper"`
	Authors []string `yaml:"authors" doc:"authors in order"`
}

// Source is code or data an experiment needs, pinned to a commit or a digest.
// Exactly one of git, archive and path is given.
type Source struct {
	Git     string `yaml:"git" doc:"address of a git repository; needs commit"`
	Commit  string `yaml:"commit" doc:"full commit hash, 40 hexadecimal digits"`
	Archive string `yaml:"archive" doc:"address of a file or archive; needs sha256"`
	SHA256  string `yaml:"sha256" doc:"digest of the archive, 64 hexadecimal digits"`
	Path    string `yaml:"path" doc:"folder or file relative to the manifest; its content is digested"`
}

// Platform is a class of machine.
type Platform struct {
	Provider string         `yaml:"provider" required:"true" enum:"local,ssh,slurm,chameleon" doc:"who supplies the machine"`
	Hosts    []string       `yaml:"hosts" doc:"user@host of each machine (ssh)"`
	Site     string         `yaml:"site" doc:"testbed site, for example CHI@UC (chameleon)"`
	NodeType string         `yaml:"node_type" doc:"testbed node type, for example storage_nvme (chameleon)"`
	Flavor   string         `yaml:"flavor" doc:"flavour of virtual machines, for example m1.large, instead of node_type (chameleon, at KVM@TACC)"`
	Image    string         `yaml:"image" doc:"operating-system image (chameleon)"`
	Network  string         `yaml:"network" enum:"shared,isolated" doc:"shared, the site's own, when absent; isolated makes a network, subnet and router for the machines alone (chameleon)"`
	Count    int            `yaml:"count" doc:"number of machines; 1 when absent"`
	Nodes    map[string]int `yaml:"nodes" keys:"[a-z][a-z0-9_]*" doc:"machines by role, instead of count: {client: 2, server: 1}; every step on the platform finds their addresses, separated by spaces, at REPRISE_NODES_ROLE"`
	Hours    float64        `yaml:"hours" doc:"length of the lease (chameleon)"`
	UserData string         `yaml:"user_data" doc:"what cloud-init does at the first boot (chameleon)"`
	// What the platform demands holds for the experiments whose profile names
	// it, wherever they run.
	Devices map[string]Device `yaml:"devices" keys:"[a-z][a-z0-9_]*" doc:"block devices that experiments on it may overwrite, by name; a shell step finds their paths, separated by spaces, at REPRISE_DEVICE_NAME"`
	Prepare []Preparation     `yaml:"prepare" doc:"what is done on every machine, in order and once, before the first step; never on the machine that reprise runs on"`
}

// Device is a kind of block device and how many of it are needed.
type Device struct {
	Model string `yaml:"model" doc:"pattern (* and ?) for the kernel's model string, for example *MZWLJ1T9*; any model when absent"`
	Kind  string `yaml:"kind" enum:"nvme,ssd,hdd" doc:"how it is attached and what it is made of: nvme, another ssd, or hdd"`
	Size  Size   `yaml:"size" doc:"smallest size"`
	Count int    `yaml:"count" doc:"number of such devices; 1 when absent"`
}

// Preparation is one step that makes a machine ready: packages, a script, or a
// restart.
type Preparation struct {
	Name     string   `yaml:"name" required:"true" pattern:"[A-Za-z0-9][A-Za-z0-9._-]*" doc:"name of the step, unique in its platform"`
	Packages []string `yaml:"packages" doc:"packages of the machine's distribution, name or name=version"`
	Sh       string   `yaml:"sh" doc:"script for sh -eu"`
	Sources  []string `yaml:"sources" doc:"names of the sources the script uses; it finds each at REPRISE_SOURCE_NAME"`
	Reboot   string   `yaml:"reboot" doc:"restart the machine; its kernel (uname -r) must then match this pattern. Nothing is done where it does already"`
	Timeout  Duration `yaml:"timeout" doc:"time limit; 30m when absent"`
}

// Experiment is one experiment: a command or built-in run at every point of a
// matrix of parameters.
type Experiment struct {
	Title        string             `yaml:"title" required:"true" doc:"what is measured, in a line"`
	HumanMinutes float64            `yaml:"human_minutes" doc:"minutes of a person's attention"`
	Needs        []string           `yaml:"needs" doc:"experiments that must have succeeded before this one"`
	Sources      []string           `yaml:"sources" doc:"names of the sources its steps use; a step finds each at REPRISE_SOURCE_NAME"`
	Exclusive    bool               `yaml:"exclusive" doc:"its steps measure wall-clock time: nothing else runs on their machine"`
	Profiles     map[string]Profile `yaml:"profiles" required:"true" keys:"kick|local|paper" doc:"kick, local, paper: scale and budget of a run"`
	Matrix       Matrix             `yaml:"matrix" doc:"axes whose combinations are run"`
	Run          Run                `yaml:"run" required:"true" doc:"name of a built-in experiment, or a list of shell steps"`
}

// Profile scales an experiment: its budget, where it runs, and its parameters.
type Profile struct {
	Compute  Duration       `yaml:"compute" required:"true" doc:"time budget of the whole experiment; a step that runs longer is stopped"`
	Memory   Size           `yaml:"memory" doc:"memory limit of one step"`
	Disk     Size           `yaml:"disk" doc:"disk space the experiment needs"`
	Platform string         `yaml:"platform" doc:"name of a platform; the local machine when absent"`
	With     map[string]any `yaml:"with" keys:"[A-Za-z_][A-Za-z0-9_]*" doc:"parameters; a list under an axis' name replaces that axis, and seeds: [1, 2, 3] adds the axis seed"`
}

// Run is what a step of an experiment executes: a built-in or shell steps.
type Run struct {
	Builtin string      `form:"scalar" doc:"name of a built-in experiment"`
	Steps   []ShellStep `form:"list" doc:"steps run in order at every point of the matrix"`
}

// ShellStep is one command of an external program and how its output becomes
// observations.
type ShellStep struct {
	Name    string            `yaml:"name" required:"true" pattern:"[A-Za-z0-9][A-Za-z0-9._-]*" doc:"name of the step, unique in its experiment"`
	Sh      string            `yaml:"sh" required:"true" doc:"script for sh -eu; every parameter is a variable of its name: ${size}; $REPRISE is this program"`
	Role    string            `yaml:"role" doc:"role of the platform's nodes that this step runs on, on all of them at the same time; any node when absent. It knows its own by REPRISE_ROLE and REPRISE_ROLE_INDEX"`
	Env     map[string]string `yaml:"env" keys:"[A-Za-z_][A-Za-z0-9_]*" doc:"environment variables; ${name} is replaced"`
	Secrets []string          `yaml:"secrets" pattern:"[A-Za-z_][A-Za-z0-9_]*" doc:"environment variables of reprise, such as an access token, that this step is handed; their values are not recorded, and are taken out of what it puts out and leaves"`
	Timeout Duration          `yaml:"timeout" doc:"time limit of this step"`
	Memory  Size              `yaml:"memory" doc:"memory limit of this step"`
	Outputs []string          `yaml:"outputs" doc:"files (globs) that later steps of the same point find in their folder"`
	Extract []Extract         `yaml:"extract" doc:"observations to read from what the step wrote"`
	// What nothing brought into this state is measured with a warning.
	Preconditions []string `yaml:"preconditions" doc:"names of devices that this step fills and overwrites until they are in the steady state in which they are to be measured"`
}

// Extract reads observations from a step's standard output or a file.
type Extract struct {
	From   string            `yaml:"from" doc:"stdout, stderr or a file's name; stdout when absent"`
	Regex  *RegexExtract     `yaml:"regex" doc:"observations from lines that match"`
	CSV    *CSVExtract       `yaml:"csv" doc:"observations from the rows of a table"`
	JSON   *JSONExtract      `yaml:"json" doc:"observations from JSON, or one JSON value a line"`
	Metric string            `yaml:"metric" doc:"name of the metric; may be absent where a named group or column metric gives it"`
	Unit   string            `yaml:"unit" doc:"unit of the values; 1 for a plain ratio or count"`
	Labels map[string]string `yaml:"labels" doc:"fixed labels"`
}

// RegexExtract matches whole lines from their first character.
type RegexExtract struct {
	Line string `yaml:"line" required:"true" doc:"regular expression, anchored at the line's start; the named group value is the number, the other named groups become labels"`
}

// CSVExtract reads a table with a header line.
type CSVExtract struct {
	Value  string   `yaml:"value" required:"true" doc:"column of the number"`
	Labels []string `yaml:"labels" doc:"columns that become labels"`
	Comma  string   `yaml:"comma" doc:"separator; a comma when absent"`
}

// JSONExtract follows a path: keys and [index] joined by dots, [*] for every element.
type JSONExtract struct {
	Value  string            `yaml:"value" required:"true" doc:"path of the number, for example jobs[*].read.lat_ns.mean"`
	Labels map[string]string `yaml:"labels" doc:"label name to path; [*] stands for the same element as in value"`
}

// Duration is a length of time written as 20s, 8m, 4h or 1h30m.
type Duration time.Duration

// Size is a number of bytes written as 512MiB, 2GB or a plain number.
type Size uint64

// SecretNames lists the variables that the experiment's steps are handed.
func (e Experiment) SecretNames() []string {
	var all []string
	for _, s := range e.Run.Steps {
		all = append(all, s.Secrets...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Machines is how many machines the platform has.
func (p Platform) Machines() int {
	n := 0
	for _, count := range p.Nodes {
		n += count
	}
	return max(n, p.Count, 1)
}

// ExperimentIDs lists the experiments' ids in order: E2 before E10.
func (m *Manifest) ExperimentIDs() []string { return sortedIDs(m.Experiments) }

// ClaimIDs lists the claims' ids in order.
func (m *Manifest) ClaimIDs() []string { return sortedIDs(m.Claims) }

func sortedIDs[V any](byID map[string]V) []string {
	return slices.SortedFunc(maps.Keys(byID), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
}
