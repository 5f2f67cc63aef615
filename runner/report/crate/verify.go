package crate

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Open gives the files of a crate, a folder or a zip archive.
func Open(path string) (fs.FS, io.Closer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return os.DirFS(path), nopCloser{}, nil
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is neither a folder nor a zip archive: %w", path, err)
	}
	return z, z, nil
}

type nopCloser struct{}

func (nopCloser) Close() error { return nil }

// Graph is the metadata of a crate.
type Graph struct {
	Entities []map[string]any
	byID     map[string]map[string]any
}

// Read reads the metadata of a crate.
func Read(crate fs.FS) (*Graph, error) {
	data, err := fs.ReadFile(crate, MetadataFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no %s: this is no RO-Crate", MetadataFile)
	}
	if err != nil {
		return nil, err
	}
	var document struct {
		Context any              `json:"@context"`
		Graph   []map[string]any `json:"@graph"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", MetadataFile, err)
	}
	g := &Graph{Entities: document.Graph, byID: map[string]map[string]any{}}
	for _, e := range g.Entities {
		id, _ := e["@id"].(string)
		if id == "" {
			return nil, fmt.Errorf("%s: an entity has no @id", MetadataFile)
		}
		if g.byID[id] != nil {
			return nil, fmt.Errorf("%s: %q is described twice", MetadataFile, id)
		}
		g.byID[id] = e
	}
	contexts := fmt.Sprint(document.Context)
	for _, c := range []string{contextRO, contextRun} {
		if !strings.Contains(contexts, c) {
			return nil, fmt.Errorf("%s: the @context lacks %s", MetadataFile, c)
		}
	}
	return g, nil
}

// Entity is the entity of an id, nil if there is none.
func (g *Graph) Entity(id string) map[string]any { return g.byID[id] }

// Refs are the ids that a property of an entity refers to.
func Refs(e map[string]any, property string) []string {
	var ids []string
	var add func(v any)
	add = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if id, ok := v["@id"].(string); ok {
				ids = append(ids, id)
			}
		case []any:
			for _, w := range v {
				add(w)
			}
		}
	}
	add(e[property])
	return ids
}

// Is says whether an entity is of a type.
func Is(e map[string]any, kind string) bool {
	switch t := e["@type"].(type) {
	case string:
		return t == kind
	case []any:
		return slices.Contains(t, any(kind))
	}
	return false
}

// Actions are the CreateActions that the root mentions, in its order.
func (g *Graph) Actions() []map[string]any {
	var list []map[string]any
	for _, id := range Refs(g.byID["./"], "mentions") {
		if e := g.byID[id]; e != nil && Is(e, "CreateAction") {
			list = append(list, e)
		}
	}
	return list
}

var uuidForm = regexp.MustCompile(`^(urn:uuid:)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Verify checks a crate against what RO-Crate 1.1 and the Process Run Crate
// profile 0.5 demand, and every file against its digest. It gives all that is
// wrong; a crate in order gives nothing.
func Verify(crate fs.FS) ([]string, error) {
	g, err := Read(crate)
	if err != nil {
		return nil, err
	}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	descriptor := g.byID[MetadataFile]
	switch {
	case descriptor == nil:
		say("%s does not describe itself", MetadataFile)
	case !slices.Contains(Refs(descriptor, "conformsTo"), conformRO):
		say("%s does not conform to RO-Crate 1.1", MetadataFile)
	case !slices.Contains(Refs(descriptor, "about"), "./"):
		say("%s is not about the root, ./", MetadataFile)
	}
	root := g.byID["./"]
	if root == nil {
		return append(wrong, "the root, ./, is not described"), nil
	}
	if !Is(root, "Dataset") {
		say("the root is no Dataset")
	}
	for _, property := range []string{"name", "description", "datePublished", "license"} {
		if root[property] == nil {
			say("the root lacks %s", property)
		}
	}
	if !slices.Contains(Refs(root, "conformsTo"), conformRun) {
		say("the root does not conform to the Process Run Crate profile 0.5")
	} else if e := g.byID[conformRun]; e == nil || !Is(e, "CreativeWork") {
		say("the profile that the root conforms to is not described as a CreativeWork")
	}
	if len(g.Actions()) == 0 {
		say("the root mentions no CreateAction")
	}
	for _, e := range g.Entities {
		id := e["@id"].(string)
		if e["@type"] == nil {
			say("%s has no @type", id)
		}
		for property := range e {
			for _, to := range Refs(e, property) {
				if g.byID[to] == nil && to != conformRO {
					say("%s of %s refers to %s, which is not described", property, id, to)
				}
			}
		}
		if Is(e, "CreateAction") {
			g.action(e, say)
		}
	}
	g.files(crate, root, say)
	return wrong, nil
}

func (g *Graph) action(e map[string]any, say func(string, ...any)) {
	id := e["@id"].(string)
	if !uuidForm.MatchString(id) {
		say("the action %s is not named by a UUID", id)
	}
	instruments := Refs(e, "instrument")
	if len(instruments) == 0 {
		say("the action %s has no instrument", id)
	}
	for _, i := range instruments {
		if t := g.byID[i]; t != nil && !Is(t, "SoftwareApplication") && !Is(t, "SoftwareSourceCode") && !Is(t, "ComputationalWorkflow") {
			say("the instrument %s of %s is no software", i, id)
		}
	}
	for _, property := range []string{"startTime", "endTime"} {
		if text, ok := e[property].(string); !ok {
			say("the action %s lacks %s", id, property)
		} else if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			say("the %s of %s, %q, is no time", property, id, text)
		}
	}
	switch e["actionStatus"] {
	case completed:
		if e["error"] != nil {
			say("the action %s is completed, but has an error", id)
		}
	case failed:
		if e["error"] == nil {
			say("the action %s failed, but has no error", id)
		}
	default:
		say("the action %s has the status %v, neither completed nor failed", id, e["actionStatus"])
	}
	ids := map[any]bool{}
	for _, u := range Refs(e, "resourceUsage") {
		if v := g.byID[u]; v != nil {
			if v["propertyID"] == nil || ids[v["propertyID"]] {
				say("the resource usage %s of %s has no propertyID of its own", u, id)
			}
			ids[v["propertyID"]] = true
		}
	}
}

// files compares what the metadata says of files with what is there.
func (g *Graph) files(crate fs.FS, root map[string]any, say func(string, ...any)) {
	listed := Refs(root, "hasPart")
	for _, e := range g.Entities {
		if !Is(e, "File") {
			continue
		}
		id := e["@id"].(string)
		if id != PreviewFile && !slices.Contains(listed, id) {
			say("the file %s is not part of the root", id)
		}
		data, err := fs.ReadFile(crate, id)
		if err != nil {
			say("the file %s cannot be read: %v", id, err)
			continue
		}
		want, ok := e["sha256"].(string)
		digest := sha256.Sum256(data)
		switch {
		case !ok:
			say("the file %s has no sha256", id)
		case hex.EncodeToString(digest[:]) != want:
			say("the file %s has been changed: its sha256 is %x, not %s", id, digest, want)
		case fmt.Sprint(len(data)) != e["contentSize"]:
			say("the file %s has %d bytes, not %v", id, len(data), e["contentSize"])
		}
	}
	err := fs.WalkDir(crate, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if name != MetadataFile && g.byID[name] == nil {
			say("the file %s is in the crate, but not described", name)
		}
		return nil
	})
	if err != nil {
		say("%v", err)
	}
}

// Digest is the SHA-256 of a crate's metadata, and so, through the digests in
// it, of the whole.
func Digest(crate fs.FS) (string, error) {
	data, err := fs.ReadFile(crate, MetadataFile)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}
