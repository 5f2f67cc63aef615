// Package store keeps what runs leave behind: a folder for every run, and the
// results of finished steps by the key of their content.
//
//	STORE/
//	  runs/RUN/events.jsonl        the event log
//	  runs/RUN/manifests/NAME.yaml the manifests of its artifacts
//	  runs/RUN/lock                held by the process that has the run under way
//	  runs/RUN/attempts/N-STEP/    a step under way, or one that did not succeed
//	  packs/RUN.pack               what the run began and finished, with small results
//	  steps/KK/KEY/                a larger result: result.json,
//	                               observations.jsonl, stdout.log, stderr.log, work/
//
// A result appears in a pack by one record with checksums, under steps/ by one
// rename of a synced folder, so it is there whole or not at all, whenever the
// process is killed.
package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reprise/runner/node"
)

// Store is a folder of runs and results. Several processes may use it at once.
type Store struct {
	root  string
	fs    fileSystem
	index *index
}

// Open makes the store's folders where they are missing.
func Open(root string) (*Store, error) { return open(root, disk{}) }

func open(root string, files fileSystem) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"runs", "steps", packsDir} {
		if err := files.MkdirAll(filepath.Join(root, dir)); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	return &Store{root, files, newIndex(filepath.Join(root, packsDir))}, nil
}

// Root is the store's folder.
func (s *Store) Root() string { return s.root }

// Part is one ingredient of a step's key. Two steps whose parts are equal
// measure the same thing.
type Part struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Key digests parts into the name under which the result is stored.
func Key(parts []Part) string {
	h := sha256.New()
	for _, p := range parts {
		// Lengths keep ("ab", "c") and ("a", "bc") apart.
		fmt.Fprintf(h, "%d:%s%d:%s", len(p.Name), p.Name, len(p.Value), p.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Result is the record of a finished step. Parts are not read back from a pack.
type Result struct {
	Step     string        `json:"step"`
	Key      string        `json:"key"`
	Parts    []Part        `json:"parts"`
	Run      string        `json:"run"` // that measured it
	Node     string        `json:"node"`
	Machine  node.Machine  `json:"machine"`
	Started  time.Time     `json:"started"`
	Usage    node.Usage    `json:"usage"`
	Lines    int           `json:"observations"`
	Checksum string        `json:"observations_sha256"`
	Warnings []string      `json:"warnings,omitempty"` // on the conditions it was measured under
	Outputs  []node.Output `json:"outputs,omitempty"`
	Disk     uint64        `json:"disk_bytes,omitempty"` // of its folder
	// Dir is where the result stands; it is not part of the record. In a pack
	// it is no folder, but ReadTail reads the logs below it.
	Dir string `json:"-"`

	observations []byte
}

// Observations are the lines of what the step observed.
func (r *Result) Observations() []byte { return r.observations }

// Names of the files in an attempt's or a result's folder.
const (
	ObservationsFile = "observations.jsonl"
	StdoutFile       = "stdout.log"
	StderrFile       = "stderr.log"
	WorkDir          = "work"
	resultFile       = "result.json"
)

func (s *Store) resultDir(key string) string {
	return filepath.Join(s.root, "steps", key[:2], key)
}

// ErrDamaged says that a stored result fails its checksum or cannot be read.
var ErrDamaged = errors.New("stored result is damaged")

// Lookup finds the result for key. It is nil when there is none; a damaged
// one gives an error that wraps ErrDamaged.
func (s *Store) Lookup(key string) (*Result, error) { return s.lookup(key, true) }

// Known is Lookup for many keys. It may miss what other processes have stored since
// the last Lookup.
func (s *Store) Known(key string) (*Result, error) { return s.lookup(key, false) }

func (s *Store) lookup(key string, now bool) (*Result, error) {
	raw, err := rawKey(key)
	if err != nil {
		return nil, err
	}
	r, err := s.index.lookup(raw, key, now)
	if r != nil || err != nil {
		return r, err
	}
	dir := s.resultDir(key)
	if _, gone := os.Stat(dir); errors.Is(gone, fs.ErrNotExist) {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r = &Result{Dir: dir}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, resultFile, err)
	}
	observations, err := os.ReadFile(filepath.Join(dir, ObservationsFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if r.Key != key || digest(observations) != r.Checksum {
		return nil, fmt.Errorf("%w: %s does not match its checksum", ErrDamaged, ObservationsFile)
	}
	r.observations = observations
	return r, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// last is what the store remembers of the latest attempt at a step, to say
// why the next one runs.
type last struct {
	Step string `json:"step"`
	Run  string `json:"run"`
	Why  string `json:"why,omitempty"` // it failed
}

// Why says why a step with this key has to run although it may have been run
// before; lookup is the error of Lookup, if any.
func (s *Store) Why(step, key string, parts []Part, lookup error) string {
	if lookup != nil {
		return lookup.Error()
	}
	where, found, err := s.index.attempt(step)
	if err != nil || !found {
		return "first run"
	}
	h, content, err := where.read()
	if err != nil {
		return "first run"
	}
	var l last // a result has the same fields
	if err := json.Unmarshal(h.parts(content)[0], &l); err != nil || l.Step != step {
		return "first run"
	}
	if hex.EncodeToString(h.key[:]) != key {
		var before []Part
		if err := json.Unmarshal(h.parts(content)[1], &before); err != nil {
			return "changed"
		}
		return "changed: " + difference(before, parts)
	}
	switch h.kind {
	case begun:
		return "interrupted in run " + l.Run
	case failed:
		return fmt.Sprintf("did not succeed in run %s: %s", l.Run, l.Why)
	}
	return "stored result is gone"
}

// difference names the parts that differ between two attempts.
func difference(before, after []Part) string {
	old := map[string][]string{} // a parameter may have the name of another part
	for _, p := range before {
		old[p.Name] = append(old[p.Name], p.Value)
	}
	var found []string
	for _, p := range after {
		was := old[p.Name]
		if len(was) == 0 {
			found = append(found, fmt.Sprintf("%s added", p.Name))
			continue
		}
		if was[0] != p.Value {
			found = append(found, fmt.Sprintf("%s %s → %s", p.Name, brief(was[0]), brief(p.Value)))
		}
		old[p.Name] = was[1:]
	}
	for _, p := range before {
		if gone := old[p.Name]; len(gone) > 0 {
			found = append(found, fmt.Sprintf("%s removed", p.Name))
			old[p.Name] = gone[1:]
		}
	}
	const most = 4
	if len(found) > most {
		found = append(found[:most], fmt.Sprintf("and %d more", len(found)-most))
	}
	return strings.Join(found, ", ")
}

func brief(value string) string {
	const most = 24
	if value == "" {
		return "nothing"
	}
	value = strings.ReplaceAll(value, "\n", "⏎")
	if r := []rune(value); len(r) > most {
		return string(r[:most]) + "…"
	}
	return value
}
