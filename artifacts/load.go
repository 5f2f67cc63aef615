package artifacts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxBytes is the size of the largest manifest that is read.
const maxBytes = 1 << 20

// LoadFile reads and validates the manifest at path. The error is of the file
// system; what is wrong inside the file is in the findings.
func LoadFile(path string) (*Manifest, Findings, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, nil, err
	}
	m, findings := Load(path, data)
	m.Dir, err = filepath.Abs(filepath.Dir(path))
	return m, findings, err
}

// Load reads and validates a manifest; name is what findings call the file.
// It reports every mistake it can find in one pass. The manifest is never nil,
// but is fit for use only if findings.Err() is nil.
func Load(name string, data []byte) (*Manifest, Findings) {
	digest := sha256.Sum256(data)
	m := &Manifest{File: name, Text: data, Digest: hex.EncodeToString(digest[:])}
	d := &decoder{
		file: name, values: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{},
		bad: map[string]bool{}, inside: map[string]bool{}, lost: map[string]bool{},
	}
	if root := d.parse(data); root != nil && d.expand(root, nil, 0) {
		d.decode(root, reflect.ValueOf(m).Elem(), "", field{})
		d.validate(m)
	}
	m.places = d.values
	return m, d.findings.sorted()
}

var lineBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

// parse turns data into the root mapping, or nil when there is none.
func (d *decoder) parse(data []byte) *yaml.Node {
	fail := func(line, col int, message, suggestion string) *yaml.Node {
		d.report(SeverityError, line, col, "", message, suggestion)
		return nil
	}
	if len(data) > maxBytes {
		return fail(1, 1, fmt.Sprintf("the manifest is larger than %d bytes", maxBytes), "")
	}
	data, bom := bytes.CutPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		good := data
		for i := 0; i < len(data); {
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				good = data[:i]
				break
			}
			i += size
		}
		lines := lineBreak.Split(string(good), -1)
		d.lines = lineBreak.Split(strings.ToValidUTF8(string(data), "\ufffd"), -1)
		return fail(len(lines), utf8.RuneCountInString(lines[len(lines)-1])+1, "the file is not UTF-8 text", "save it in UTF-8")
	}
	d.lines = lineBreak.Split(string(data), -1)
	if bom {
		d.report(SeverityWarning, 1, 1, "", "the file starts with a byte-order mark", "save it as UTF-8 without one")
	}
	documents := d.documents(data)
	if len(documents) == 0 || len(documents[0].Content) == 0 || documents[0].Content[0].Tag == "!!null" {
		if d.errors == 0 {
			return fail(1, 1, "the manifest is empty", "reprise init writes one to start from")
		}
		return nil
	}
	if len(documents) > 1 {
		fail(documents[1].Line, documents[1].Column, "the file holds more than one YAML document", "a manifest is one document: remove everything from the second --- on")
	}
	return documents[0].Content[0]
}

// documents parses the file. Where the syntax is broken it reports that, gives
// up the top-level key it is in, and parses what is left.
func (d *decoder) documents(data []byte) []*yaml.Node {
	const attempts = 8
	lines := d.lines
	for range attempts {
		documents, err := parseDocuments(data)
		if err == nil {
			return documents
		}
		line, message := syntaxError(lines, err)
		text := lines[line-1]
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		col, suggestion := utf8.RuneCountInString(indent)+1, ""
		if tab := strings.Index(indent, "\t"); tab >= 0 {
			col, message, suggestion = tab+1, "a tab cannot indent", "indent with spaces"
		}
		d.report(SeverityError, line, col, "", message, suggestion)

		from, to := section(lines, line-1)
		key, _, found := strings.Cut(lines[from], ":")
		if !found || from == 0 && to == len(lines) {
			return nil
		}
		d.lost[strings.Trim(key, `"' `)] = true
		rest := append([]string(nil), lines...)
		for i := from; i < to; i++ {
			rest[i] = ""
		}
		lines, data = rest, []byte(strings.Join(rest, "\n"))
	}
	return nil
}

// section finds the top-level key that line i belongs to: its first line and
// the one after its last.
func section(lines []string, i int) (from, to int) {
	starts := func(i int) bool {
		return lines[i] != "" && !strings.ContainsAny(lines[i][:1], " \t#-}]")
	}
	for from = i; from > 0 && !starts(from); {
		from--
	}
	for to = i + 1; to < len(lines) && !starts(to); {
		to++
	}
	return from, to
}

func parseDocuments(data []byte) (documents []*yaml.Node, err error) {
	defer func() {
		// The parser panics on internal inconsistencies; to a user that is a
		// syntax error like any other.
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for len(documents) < 2 {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		documents = append(documents, &n)
	}
	return documents, nil
}

var yamlErrorForm = regexp.MustCompile(`(?s)^yaml: (?:line ([0-9]+): )?(.*)$`)

// syntaxError gives the line, from 1, and the words of a parser's error. The
// parser's own line is often that of the enclosing construct or one off, so in
// a file of usual size the line is found as the one after the longest run of
// first lines that parses.
func syntaxError(lines []string, err error) (int, string) {
	line, message := 1, err.Error()
	if m := yamlErrorForm.FindStringSubmatch(message); m != nil {
		message = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = min(max(n, 1), len(lines))
		}
	}
	const usual, ahead = 1 << 15, 24
	if text := strings.Join(lines, "\n"); len(text) <= usual {
		parses := func(n int) bool {
			_, err := parseDocuments([]byte(strings.Join(lines[:n], "\n") + "\n"))
			return err == nil
		}
		good, fails := 0, len(lines)
		for good+1 < fails {
			if mid := (good + fails) / 2; parses(mid) {
				good = mid
			} else {
				fails = mid
			}
		}
		// A construct of several lines does not parse before its end: look
		// whether it has one.
		for n := good + 2; n <= min(good+ahead, len(lines)-1); n++ {
			if parses(n) {
				good = n
			}
		}
		line = min(good+1, len(lines))
	}
	return line, "YAML syntax: " + message
}
