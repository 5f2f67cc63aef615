package traces

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Format is a trace format this package reads.
type Format struct {
	Name       string
	Doc        string   // what it is and where it is met, one line
	Layout     string   // the columns or the record, with units and which value means read
	Options    []string // the options it heeds, as the command line spells them
	Extensions []string // file names that speak for it among formats that look alike
	// What its traces carry; see Info. csv depends on the columns.
	Addressed, Timed, HasSize, HasOp, HasLatency bool

	// detect looks at the start of the input and says how well it fits.
	detect func(*sample) fit
	open   func(*source, Options, *Info) (decoder, error)
}

// formats is the registry: detection, help and Formats come from it.
var formats []Format

func init() {
	formats = []Format{
		oracleGeneral, vscsi, csvFormat, msr, alibaba, tencent, spc, arc, lirs, webcachesim,
		mqsim, disksim, blkparse, flashnet, heimdall, linnos,
	}
}

// Formats lists the formats, in the order in which help shows them.
func Formats() []Format { return slices.Clone(formats) }

func formatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return names
}

func latencyFormats() []string {
	var names []string
	for _, f := range formats {
		if f.HasLatency {
			names = append(names, f.Name)
		}
	}
	return append(names, "csv with a latency column")
}

// fit is how well an input's start matches a format.
type fit int

const (
	no    fit = iota
	maybe     // the shape fits, but shapes of other formats may too
	sure      // something that only this format has was seen
)

// sample is the start of an input, as detection sees it.
type sample struct {
	head  []byte
	whole bool // head is all there is
	lines [][]byte
	text  bool
}

const sampleLines = 64

func newSample(head []byte, whole bool) *sample {
	s := &sample{head: head, whole: whole, text: len(head) > 0}
	for _, c := range head {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			s.text = false
			return s
		}
	}
	rest := string(head)
	for len(s.lines) < sampleLines {
		line, more, found := strings.Cut(rest, "\n")
		if !found && !whole {
			break
		}
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			s.lines = append(s.lines, []byte(line))
		}
		if !found {
			break
		}
		rest = more
	}
	return s
}

// detect gives the formats that fit best.
func (s *sample) detect() (best fit, found []int) {
	best = maybe
	for i, f := range formats {
		switch got := f.detect(s); {
		case got > best:
			best, found = got, []int{i}
		case got == best:
			found = append(found, i)
		}
	}
	return best, found
}

// fields splits the sample's lines at delim (0: blanks) and gives them to
// match until one does not fit.
func (s *sample) fields(delim byte, match func(f []string) fit) fit {
	if !s.text || len(s.lines) == 0 {
		return no
	}
	worst := sure
	for _, line := range s.lines {
		var f []string
		if delim == 0 {
			f = strings.Fields(string(line))
		} else {
			f = strings.Split(string(line), string(delim))
			for i := range f {
				f[i] = strings.TrimSpace(f[i])
			}
		}
		worst = min(worst, match(f))
	}
	return worst
}

// chooseFormat finds the format asked for, or the one that the input's start
// and name speak for.
func chooseFormat(src *source, o Options) (*Format, error) {
	if o.Format != "" {
		for i := range formats {
			if strings.EqualFold(formats[i].Name, o.Format) {
				return &formats[i], nil
			}
		}
		return nil, fmt.Errorf("%s: unknown format %q: want one of %s", src.name, o.Format, strings.Join(formatNames(), ", "))
	}
	head := src.fill(64 << 10)
	if len(head) == 0 {
		if !errors.Is(src.err, io.EOF) {
			return nil, fmt.Errorf("%s: %w", src.name, src.err)
		}
		return nil, fmt.Errorf("%s: empty: nothing to detect a format from; name one of %s", src.name, strings.Join(formatNames(), ", "))
	}
	s := newSample(head[:min(len(head), 64<<10)], src.err != nil && len(head) <= 64<<10)
	if o.CSV.declared() && s.text {
		return &csvFormat, nil
	}
	_, found := s.detect()
	if len(found) == 0 && len(s.lines) > 1 {
		// A fault among the lines: where the first one tells, reading on will
		// tell its place.
		s.lines = s.lines[:1]
		if best, first := s.detect(); best == sure {
			found = first
		}
	}
	if len(found) > 1 {
		if named := slices.DeleteFunc(slices.Clone(found), func(i int) bool { return !formats[i].named(src.name) }); len(named) == 1 {
			found = named
		}
	}
	switch len(found) {
	case 0:
		start := s.head[:min(len(s.head), 32)]
		return nil, fmt.Errorf("%s: unknown format (it starts %q): name one of %s, or declare the columns of a csv file",
			src.name, start, strings.Join(formatNames(), ", "))
	case 1:
		return &formats[found[0]], nil
	}
	names := make([]string, len(found))
	for k, i := range found {
		names[k] = formats[i].Name
	}
	return nil, fmt.Errorf("%s: the format may be any of %s: name one of them", src.name, strings.Join(names, ", "))
}

// named says that the file's name, without the ending of a compressed file,
// speaks for the format.
func (f *Format) named(name string) bool {
	name = strings.ToLower(path.Base(name))
	for _, z := range []string{".gz", ".zst", ".xz", ".bz2"} {
		name = strings.TrimSuffix(name, z)
	}
	return slices.ContainsFunc(f.Extensions, func(e string) bool { return strings.HasSuffix(name, e) })
}

func isUint(s string) bool {
	_, ok := parseUint([]byte(s))
	return ok
}

func isFixed(s string) bool {
	_, ok := parseFixed([]byte(s), 1)
	return ok
}

func isBit(s string) bool { return s == "0" || s == "1" }

// fitIf is f where all hold, otherwise no.
func fitIf(f fit, all ...bool) fit {
	if slices.Contains(all, false) {
		return no
	}
	return f
}
