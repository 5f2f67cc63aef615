// Package crate packs a recorded run as a Workflow Run RO-Crate, for archives
// and reviewers, and checks such crates.
//
// It follows the Process Run Crate profile 0.5 (each step is a CreateAction)
// on RO-Crate 1.1, with provenance.json in the shape of a SLSA v1 provenance
// predicate beside it. Nobody is named in it: users, hosts and paths are left
// out, unless asked for.
package crate

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"reprise/runner/event"
	"reprise/runner/report"
	"reprise/runner/store"
)

// Names of files in a crate.
const (
	MetadataFile   = "ro-crate-metadata.json"
	PreviewFile    = "ro-crate-preview.html"
	ProvenanceFile = "provenance.json"
)

const (
	contextRO  = "https://w3id.org/ro/crate/1.1/context"
	contextRun = "https://w3id.org/ro/terms/workflow-run/context"
	conformRO  = "https://w3id.org/ro/crate/1.1"
	conformRun = "https://w3id.org/ro/wfrun/process/0.5"
	license    = "https://spdx.org/licenses/"
)

// Options say what goes into a crate beside what the run recorded.
type Options struct {
	// Manifests are the manifests of artifacts that the run's folder lacks.
	Manifests map[string][]byte
	// Identify keeps the names of users, machines and folders.
	Identify bool
	// Private are further words to leave out, such as the names of the user and
	// of this machine, and the home folder.
	Private []string
}

// File is a file of a crate.
type File struct {
	Name string // with slashes
	Data []byte
}

// Crate is what goes into a folder or an archive; the metadata comes first.
type Crate struct {
	Files    []File
	Warnings []string
}

// Pack makes the crate of the run recorded in a folder.
func Pack(dir string, o Options) (*Crate, error) {
	run, err := report.Read(dir)
	if err != nil {
		return nil, err
	}
	p := &packer{run: run, manifests: map[string][]byte{}, crate: &Crate{}, graph: map[string]entity{}}
	for _, a := range run.Artifacts {
		text, err := manifest(dir, a, o)
		switch {
		case err != nil:
			p.crate.Warnings = append(p.crate.Warnings, fmt.Sprintf("the manifest of %s is left out: %v", a.Artifact, err))
		case !o.Identify && run.Names(string(text), o.Private...):
			p.crate.Warnings = append(p.crate.Warnings, fmt.Sprintf("the manifest of %s is left out: it names users, hosts or folders (--identify keeps it)", a.Artifact))
		default:
			p.manifests[a.Artifact] = text
		}
	}
	if !o.Identify {
		run.Anonymise(o.Private...)
	}
	return p.pack()
}

// manifest is the text of the manifest that was run.
func manifest(dir string, a *report.Artifact, o Options) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, store.ManifestFile(a.Artifact)))
	if errors.Is(err, fs.ErrNotExist) && o.Manifests[a.Artifact] != nil {
		text, err = o.Manifests[a.Artifact], nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the run has not kept it")
	}
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	switch {
	case hex.EncodeToString(digest[:]) == a.Manifest:
		return text, nil
	case bytes.Contains(text, []byte("[secret ")): // as node.Secrets puts in its place
		return nil, errors.New("a secret stood in it, which the run has not kept")
	}
	return nil, errors.New("it is not the one that was run")
}

// entity is one object of the metadata's graph.
type entity map[string]any

type reference struct {
	ID string `json:"@id"`
}

func refer(ids ...string) []reference {
	list := make([]reference, len(ids))
	for i, id := range ids {
		list[i].ID = id
	}
	return list
}

type packer struct {
	run       *report.Run
	manifests map[string][]byte // by artifact
	crate     *Crate
	order     []string
	graph     map[string]entity
	parts     []string
}

func (p *packer) put(id string, e entity) string {
	if _, known := p.graph[id]; !known {
		p.order = append(p.order, id)
	}
	e["@id"] = id
	p.graph[id] = e
	return id
}

// file adds a file and what the graph says of it.
func (p *packer) file(name string, data []byte, e entity) string {
	p.crate.Files = append(p.crate.Files, File{name, data})
	digest := sha256.Sum256(data)
	e["@type"] = "File"
	e["sha256"] = hex.EncodeToString(digest[:])
	e["contentSize"] = fmt.Sprint(len(data))
	if name != PreviewFile { // describes the crate, and so is no part of it
		p.parts = append(p.parts, name)
	}
	return p.put(name, e)
}

// observations are those of a step, one JSON object a line.
func observations(x *report.Experiment, s *report.Step) ([]byte, error) {
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for _, i := range s.Observed {
		if err := out.Encode(x.Observations[i]); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}

// uuid names an action: the same for the same step of the same run.
func (p *packer) uuid(of string) string {
	sum := sha1.Sum([]byte("reprise run " + p.run.ID + "\x00" + of))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func (p *packer) pack() (*Crate, error) {
	r := p.run
	p.put(conformRun, entity{"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"})
	tool := p.put("#reprise", entity{"@type": "SoftwareApplication", "name": "reprise", "version": r.Start.Version, "softwareVersion": r.Start.Version})

	var page bytes.Buffer
	if err := report.HTML(&page, r); err != nil {
		return nil, err
	}
	var verdicts bytes.Buffer
	if err := report.Markdown(&verdicts, r); err != nil {
		return nil, err
	}
	shown := p.file("report.md", verdicts.Bytes(), entity{"name": "claims and their verdicts", "encodingFormat": "text/markdown"})

	machines := p.machines()
	var actions, instruments []string
	for _, a := range r.Artifacts {
		sources := p.sources(a)
		for _, x := range a.Experiments {
			id := "#" + x.Name()
			instrument := entity{"@type": "SoftwareApplication", "name": x.Name(), "description": x.Title, "softwareRequirements": refer(tool)}
			if text, kept := p.manifests[a.Artifact]; kept {
				name := "artifacts/" + a.Artifact + "/artifact.yaml"
				if p.graph[name] == nil {
					p.file(name, text, entity{"name": "manifest of " + a.Artifact, "encodingFormat": "application/yaml"})
				}
				instrument["isBasedOn"] = refer(name)
			}
			for _, s := range x.Steps {
				if s.State == "" || s.State == string(event.SkippedOn) {
					continue // a step that was not run is no action
				}
				if p.graph[id] == nil {
					instruments = append(instruments, p.put(id, instrument))
				}
				observed, err := observations(x, s)
				if err != nil {
					return nil, err
				}
				actions = append(actions, p.action(x, s, id, append(slices.Clone(sources), machines[s.Node].facts...), machines[s.Node].environment, observed))
			}
		}
	}
	about := p.parameter("profile", r.Start.Profile)
	if m := r.Start.Records; m != nil {
		about = append(about, p.parameter("records_file_system", report.MountText(*m))...)
	}
	if r.Start.Command != "" {
		about = append(about, p.parameter("command", r.Start.Command)...)
	}
	whole := entity{"@type": "CreateAction", "name": "reprise run of " + strings.Join(r.Start.Artifacts, ", "), "instrument": reference{tool},
		"object": refer(about...), "result": refer(shown), "startTime": r.Started.UTC().Format(time.RFC3339),
		"endTime": r.Ended.UTC().Format(time.RFC3339), "actionStatus": status(r.End != nil && r.End.Outcome == "finished")}
	if whole["actionStatus"] == failed {
		whole["error"] = "the run was interrupted or killed"
	}
	actions = append(actions, p.put(p.uuid(""), whole))

	p.file(PreviewFile, page.Bytes(), entity{"name": "report of the run", "encodingFormat": "text/html", "about": reference{"./"}})
	provenance, err := p.provenance()
	if err != nil {
		return nil, err
	}
	p.file(ProvenanceFile, provenance, entity{"name": "provenance in the shape of a SLSA v1 predicate", "encodingFormat": "application/json"})

	root := entity{
		"@type": "Dataset", "name": "reprise run " + r.ID, "conformsTo": refer(conformRun),
		"description":   fmt.Sprintf("A run of %s at scale %s: what was measured and what became of the papers' claims.", strings.Join(r.Start.Artifacts, ", "), r.Start.Profile),
		"datePublished": r.Ended.UTC().Format("2006-01-02"), "license": reference{license + "Apache-2.0"},
		"hasPart": refer(p.parts...), "mentions": refer(append(actions, instruments...)...),
	}
	p.put(license+"Apache-2.0", entity{"@type": "CreativeWork", "name": "Apache License 2.0", "identifier": "Apache-2.0"})
	for _, a := range r.Artifacts {
		if a.DOI != "" || a.URL != "" {
			id := a.URL
			if a.DOI != "" {
				id = "https://doi.org/" + a.DOI
			}
			p.put(id, entity{"@type": "ScholarlyArticle", "name": a.Title})
			list, _ := root["citation"].([]reference)
			root["citation"] = append(list, reference{id})
		}
	}
	metadata, err := p.metadata(root)
	if err != nil {
		return nil, err
	}
	p.crate.Files = append([]File{{MetadataFile, metadata}}, p.crate.Files...)
	return p.crate, nil
}

func (p *packer) metadata(root entity) ([]byte, error) {
	root["@id"] = "./"
	graph := []entity{
		{"@id": MetadataFile, "@type": "CreativeWork", "conformsTo": reference{conformRO}, "about": reference{"./"}},
		root,
	}
	for _, id := range p.order {
		graph = append(graph, p.graph[id])
	}
	data, err := json.MarshalIndent(map[string]any{"@context": []string{contextRO, contextRun}, "@graph": graph}, "", "  ")
	return append(data, '\n'), err
}

const (
	completed = "http://schema.org/CompletedActionStatus"
	failed    = "http://schema.org/FailedActionStatus"
)

func status(ok bool) string {
	if ok {
		return completed
	}
	return failed
}

// fileName matches what a file's name, and so its id in the graph, is spared.
var fileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// action says what a step did.
func (p *packer) action(x *report.Experiment, s *report.Step, instrument string, objects, environment []string, observed []byte) string {
	name := "results/" + fileName.ReplaceAllString(s.ID, "_")
	for p.graph[name+".jsonl"] != nil || p.graph[name+".stderr.txt"] != nil {
		name += "_" // two ids that differ in other characters only
	}
	var results []string
	if len(observed) > 0 {
		results = append(results, p.file(name+".jsonl", observed, entity{
			"name": "observations of " + s.ID, "encodingFormat": "application/jsonl"}))
	}
	if len(s.Tail) > 0 {
		results = append(results, p.file(name+".stderr.txt", []byte(strings.Join(s.Tail, "\n")+"\n"), entity{
			"name": "end of the standard error of " + s.ID, "encodingFormat": "text/plain"}))
	}
	for _, o := range s.Outputs {
		e := entity{"@type": "CreativeWork", "name": o.Name, "sha256": o.SHA256, "contentSize": fmt.Sprint(o.Bytes),
			"description": "left by the step; not packed"}
		if o.Folder {
			e["description"] = "a folder left by the step; not packed; its digest is that of names and contents"
		}
		results = append(results, p.put("#output-"+fileName.ReplaceAllString(s.ID+"/"+o.Name, "-"), e))
	}
	for _, key := range slices.Sorted(maps.Keys(x.Params)) {
		objects = append(objects, p.parameter(key, x.Params[key])...)
	}
	for _, pair := range strings.Split(s.ID, "/")[min(2, strings.Count(s.ID, "/")):] {
		if key, value, ok := strings.Cut(pair, "="); ok {
			objects = append(objects, p.parameter(key, value)...)
		}
	}
	slices.Sort(objects)
	objects = slices.Compact(objects)
	e := entity{"@type": "CreateAction", "name": s.ID, "instrument": reference{instrument},
		"startTime": s.Started.UTC().Format(time.RFC3339Nano), "endTime": s.Ended.UTC().Format(time.RFC3339Nano),
		"actionStatus": status(s.State == string(event.Done) || s.State == "reused")}
	if len(objects) > 0 {
		e["object"] = refer(objects...)
	}
	if len(results) > 0 {
		e["result"] = refer(results...)
	}
	if len(environment) > 0 {
		e["environment"] = refer(environment...)
	}
	if e["actionStatus"] == failed {
		e["error"] = cmp.Or(s.Error, "ended as "+s.State)
	}
	if s.State == "reused" {
		e["description"] = "measured by run " + s.From + " and used again, since nothing that it depends on has changed"
	} else if s.Reason != "" {
		e["description"] = s.Reason
	}
	usage := []string{}
	for _, u := range []struct {
		id, unit string
		value    float64
	}{{"wall_seconds", "SEC", s.Seconds}, {"user_seconds", "SEC", s.UserSeconds}, {"system_seconds", "SEC", s.SysSeconds}, {"max_rss_bytes", "AD", float64(s.MaxRSS)}, {"disk_bytes", "AD", float64(s.Disk)}} {
		if u.value > 0 {
			usage = append(usage, p.put(fmt.Sprintf("#usage-%s-%s", u.id, p.uuid(s.ID)[9:]), entity{
				"@type": "PropertyValue", "name": u.id, "propertyID": "#" + u.id, "unitCode": u.unit, "value": fmt.Sprint(u.value)}))
		}
	}
	if len(usage) > 0 {
		e["resourceUsage"] = refer(usage...)
	}
	return p.put(p.uuid(s.ID), e)
}

// parameter is a value that went into a step.
func (p *packer) parameter(name, value string) []string {
	return []string{p.put("#"+name+"="+value, entity{"@type": "PropertyValue", "name": name, "value": value})}
}

// sources are what the artifact's steps were made from.
func (p *packer) sources(a *report.Artifact) []string {
	var ids []string
	if a.Commit != "" {
		e := entity{"@type": "SoftwareSourceCode", "name": "repository of " + a.Artifact + "'s manifest", "version": a.Commit}
		if a.State != "" {
			e["description"] = "its tracked files were " + a.State
		}
		ids = append(ids, p.put("#repository-"+a.Artifact, e))
	}
	for _, s := range a.Sources {
		e := entity{"@type": "SoftwareSourceCode", "name": s.Name, "codeRepository": s.From}
		switch {
		case s.Pin != "":
			e["version"] = s.Pin
		case s.Tree != "":
			e["sha256"], e["description"] = s.Tree, "its digest is that of the names and contents of its files"
		}
		id := s.From
		if !strings.Contains(id, "://") {
			id, e["codeRepository"] = "#source-"+a.Artifact+"-"+s.Name, s.From
		} else if s.Pin != "" {
			id += "#" + s.Pin
		}
		ids = append(ids, p.put(id, e))
	}
	return ids
}

// machine is what the graph says of a node.
type machine struct{ facts, environment []string }

// machines describes the nodes: by node's name, what its steps ran on.
func (p *packer) machines() map[string]machine {
	by := map[string]machine{}
	for i, n := range p.run.Nodes {
		name := fmt.Sprintf("node-%d", i+1)
		var m machine
		for _, f := range report.Facts(n.Machine) {
			e := entity{"@type": "PropertyValue", "name": name + " " + f.Name, "value": f.Value}
			variable, is := strings.CutPrefix(f.Name, "environment ")
			if is {
				e["name"] = variable
			}
			id := p.put("#"+name+"-"+fileName.ReplaceAllString(f.Name, "-"), e)
			if is {
				m.environment = append(m.environment, id)
			} else {
				m.facts = append(m.facts, id)
			}
		}
		by[n.Name] = m
	}
	return by
}

// provenance is the run as a SLSA v1 provenance predicate: what was made of
// what, by which builder, with digests.
func (p *packer) provenance() ([]byte, error) {
	type descriptor struct {
		Name   string            `json:"name,omitempty"`
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest,omitempty"`
		Notes  map[string]string `json:"annotations,omitempty"`
	}
	var made, from []descriptor
	for _, f := range p.crate.Files {
		d := descriptor{Name: f.Name, Digest: map[string]string{"sha256": p.graph[f.Name]["sha256"].(string)}}
		if strings.HasPrefix(f.Name, "artifacts/") {
			from = append(from, d)
		} else {
			made = append(made, d)
		}
	}
	for _, a := range p.run.Artifacts {
		if a.Commit != "" {
			d := descriptor{Name: a.Artifact + "/repository", Digest: map[string]string{"gitCommit": a.Commit}}
			if a.State != "" {
				d.Notes = map[string]string{"trackedFiles": a.State}
			}
			from = append(from, d)
		}
		for _, x := range a.Experiments {
			for _, s := range x.Steps {
				for _, o := range s.Outputs {
					if !o.Folder {
						made = append(made, descriptor{Name: s.ID + "/" + o.Name, Digest: map[string]string{"sha256": o.SHA256}})
					}
				}
			}
		}
		for _, s := range a.Sources {
			d := descriptor{Name: a.Artifact + "/" + s.Name, URI: s.From}
			if !strings.Contains(d.URI, ":") {
				d.URI = "file:" + d.URI // relative to the manifest
			}
			if s.Tree != "" {
				d.Notes = map[string]string{"treeSHA256": s.Tree}
			}
			switch len(s.Pin) {
			case 40:
				d.Digest = map[string]string{"gitCommit": s.Pin}
			case 64:
				d.Digest = map[string]string{"sha256": s.Pin}
			}
			from = append(from, d)
		}
	}
	data, err := json.MarshalIndent(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
		"subject": made,
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType":            "https://w3id.org/ro/wfrun/process/0.5",
				"externalParameters":   map[string]any{"artifacts": p.run.Start.Artifacts, "profile": p.run.Start.Profile},
				"resolvedDependencies": from,
			},
			"runDetails": map[string]any{
				"builder": map[string]any{"id": "pkg:generic/reprise", "version": map[string]string{"reprise": p.run.Start.Version}},
				"metadata": map[string]any{"invocationId": p.run.ID, "startedOn": p.run.Started.UTC().Format(time.RFC3339),
					"finishedOn": p.run.Ended.UTC().Format(time.RFC3339)},
			},
		},
	}, "", "  ")
	return append(data, '\n'), err
}

// Zip writes the crate as an archive; the same crate gives the same bytes.
func (c *Crate) Zip(w io.Writer) error {
	z := zip.NewWriter(w)
	for _, f := range c.Files {
		out, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Deflate})
		if err == nil {
			_, err = out.Write(f.Data)
		}
		if err != nil {
			return err
		}
	}
	return z.Close()
}

// WriteFolder writes the crate into a folder that is not there yet, or is empty.
func (c *Crate) WriteFolder(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is there and not empty", dir)
	}
	for _, f := range c.Files {
		name := filepath.Join(dir, filepath.FromSlash(path.Clean(f.Name)))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
