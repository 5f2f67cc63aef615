package artifacts

import (
	"bytes"
	_ "embed"
	"strings"
)

//go:embed starter.yaml
var starterManifest []byte

//go:embed starter.md
var starterReadme []byte

// StarterFile is one file of a new artifact.
type StarterFile struct {
	Name string
	Data []byte
}

// Starter is a new artifact that lints clean and runs with nothing but sh. Name
// is made to fit what a manifest allows.
func Starter(name string) []StarterFile {
	name = artifactName(name)
	fill := func(data []byte) []byte { return bytes.ReplaceAll(data, []byte("NAME"), []byte(name)) }
	return []StarterFile{{manifestName, fill(starterManifest)}, {"README.md", fill(starterReadme)}}
}

func artifactName(name string) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if name == "" || name[0] <= '9' {
		name = strings.Trim("artifact-"+name, "-")
	}
	return name
}
