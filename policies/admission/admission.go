// Package admission decides, read by read, whether a flash device should serve
// it or its replica should: Heimdall's pipeline (Kurniawan et al., EuroSys '25,
// doi 10.1145/3689031.3717496), LinnOS's (Hao et al., OSDI '20) and their
// plainer rivals, from the log of a device to a decision in nanoseconds.
//
// The way through: a [Log] is the requests of one device in the order of their
// submission. [Log.Thresholds] finds the inflection points, [Log.Label] marks
// the slow periods, [Labels.Filter] takes the noise out, [Extract] makes the
// features, [Train] fits a [Model], [Evaluate] says how good it is, both as the
// paper counts and as a deployed model would meet its requests.
//
// Times are microseconds where the paper has them so (latencies), nanoseconds
// where they are points in time (submissions).
package admission

import "fmt"

// Compat chooses which of three pipelines runs where they differ.
type Compat string

// The pipelines.
const (
	// Fixed mends what the artifact gets wrong: stable order, features that
	// only know what has completed, a queue length that counts what is in
	// flight, a split in time, a test set that is not filtered.
	Fixed Compat = "fixed"
	// Paper follows the paper's text where the artifact departs from it.
	Paper Compat = "paper"
	// Artifact follows the published code, defects included (Heimdall at
	// commit dd0e0d190).
	Artifact Compat = "artifact"
)

// ParseCompat reads the name of a pipeline.
func ParseCompat(s string) (Compat, error) {
	switch c := Compat(s); c {
	case Fixed, Paper, Artifact:
		return c, nil
	}
	return "", fmt.Errorf("compat %q: want fixed, paper or artifact", s)
}

// Order is the sort order that Compat implies for a log.
func (c Compat) Order() Order {
	if c == Artifact {
		return Quicksort
	}
	return Stable
}
