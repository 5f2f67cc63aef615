package artifacts

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed */artifact.yaml */README.md
var shipped embed.FS

const manifestName = "artifact.yaml"

// EmbeddedNames lists the artifacts that are built in, in order.
func EmbeddedNames() []string {
	files, err := fs.Glob(shipped, "*/"+manifestName)
	if err != nil {
		panic(err) // the pattern is a constant
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = path.Dir(f)
	}
	return names
}

// Embedded loads every artifact that is built in. Its error lists what is
// wrong with them.
func Embedded() ([]*Manifest, error) {
	var all []*Manifest
	var errs []error
	for _, name := range EmbeddedNames() {
		m, findings, err := EmbeddedManifest(name)
		if err == nil {
			err = findings.Err()
		}
		all, errs = append(all, m), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// EmbeddedManifest loads a built-in artifact.
func EmbeddedManifest(name string) (*Manifest, Findings, error) {
	data, err := EmbeddedSource(name)
	if err != nil {
		return nil, nil, err
	}
	m, findings := Load(path.Join(name, manifestName), data)
	if m.Artifact != name {
		return nil, nil, fmt.Errorf("the artifact in folder %s calls itself %q", name, m.Artifact)
	}
	return m, findings, nil
}

// EmbeddedSource is the text of a built-in artifact's manifest.
func EmbeddedSource(name string) ([]byte, error) {
	data, err := shipped.ReadFile(path.Join(name, manifestName))
	if err != nil {
		return nil, &NotFoundError{Name: name}
	}
	return data, nil
}

// NotFoundError says that no artifact has a name or path.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no artifact %q", e.Name) }

// Suggestion names the nearest artifact, or all of them.
func (e *NotFoundError) Suggestion() string {
	return suggestAmong(e.Name, EmbeddedNames(), "artifacts") + " (a folder with an " + manifestName + " or a file serves too)"
}

// Find loads an artifact by the name of a built-in one, by a folder that holds
// an artifact.yaml, or by a manifest's file. A name with a slash or the ending
// .yaml is a path. The error is a *NotFoundError or one of the file system.
func Find(nameOrPath string) (*Manifest, Findings, error) {
	isPath := strings.ContainsAny(nameOrPath, `/\`) || strings.HasSuffix(nameOrPath, ".yaml") ||
		strings.HasSuffix(nameOrPath, ".yml") || nameOrPath == "." || nameOrPath == ".."
	if !isPath {
		if _, err := fs.Stat(shipped, path.Join(nameOrPath, manifestName)); err == nil {
			return EmbeddedManifest(nameOrPath)
		}
	}
	info, err := os.Stat(nameOrPath)
	if err == nil && info.IsDir() {
		return LoadFile(filepath.Join(nameOrPath, manifestName))
	}
	if err == nil {
		return LoadFile(nameOrPath)
	}
	if isPath {
		return nil, nil, err
	}
	return nil, nil, &NotFoundError{Name: nameOrPath}
}

// Readme is the artifact's README.md: of the folder the manifest was loaded
// from, or the built-in one.
func (m *Manifest) Readme() ([]byte, error) {
	if m.Dir != "" {
		return os.ReadFile(filepath.Join(m.Dir, "README.md"))
	}
	return shipped.ReadFile(path.Join(m.Artifact, "README.md"))
}
