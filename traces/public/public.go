// Package public downloads traces that are public: what there is, from where,
// under what terms, and how a file is known to be the right one.
package public

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set is a file that can be downloaded.
type Set struct {
	Name string `yaml:"name" json:"name"`
	// File is where it goes, below the folder of traces.
	File string `yaml:"file" json:"file"`
	URL  string `yaml:"url" json:"url"`
	// Size in bytes; 0 if it is not known.
	Size int64 `yaml:"size" json:"size,omitempty"`
	// SHA256 in hexadecimal; empty if none is published.
	SHA256  string `yaml:"sha256" json:"sha256,omitempty"`
	About   string `yaml:"about" json:"about"`
	Licence string `yaml:"licence" json:"licence"`
	// Source is where the above is written.
	Source string `yaml:"source" json:"source"`
}

//go:embed sets.yaml
var builtin []byte

// Sets lists the traces known here.
func Sets() ([]Set, error) { return Read(bytes.NewReader(builtin)) }

var (
	names   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	digests = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Read reads a list of sets in YAML. An error names the entry at fault.
func Read(r io.Reader) ([]Set, error) {
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	var sets []Set
	if err := d.Decode(&sets); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	seenName, seenFile := map[string]bool{}, map[string]bool{}
	for i, s := range sets {
		address, err := url.Parse(s.URL)
		switch {
		case !names.MatchString(s.Name):
			return nil, fmt.Errorf("entry %d: name %q is not made of a-z, 0-9, '.', '_' and '-'", i+1, s.Name)
		case seenName[s.Name]:
			return nil, fmt.Errorf("%s: listed twice", s.Name)
		case !filepath.IsLocal(filepath.FromSlash(s.File)) || strings.HasSuffix(s.File, "/") || s.File == LockName:
			return nil, fmt.Errorf("%s: file %q does not lie below the folder of traces", s.Name, s.File)
		case seenFile[s.File]:
			return nil, fmt.Errorf("%s: another entry has the file %s, too", s.Name, s.File)
		case err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http":
			return nil, fmt.Errorf("%s: url %q is not an http or https address", s.Name, s.URL)
		case s.SHA256 != "" && !digests.MatchString(s.SHA256):
			return nil, fmt.Errorf("%s: sha256 %q is not 64 digits 0-9a-f", s.Name, s.SHA256)
		case s.Size < 0:
			return nil, fmt.Errorf("%s: size %d is negative", s.Name, s.Size)
		case s.Licence == "":
			return nil, fmt.Errorf("%s: no licence is told", s.Name)
		}
		seenName[s.Name], seenFile[s.File] = true, true
	}
	return sets, nil
}
