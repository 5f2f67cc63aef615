package node

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// secretWords are what the words of a variable's name end in that holds a
// secret: OS_PASSWORD, API_TOKEN, APIKEY, but not TOKENIZERS_PARALLELISM.
var secretWords = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "KEY", "CREDENTIAL"}

// IsSecret says that the value of an environment variable is a secret, going by
// its name.
func IsSecret(name string) bool {
	for word := range strings.SplitSeq(strings.ToUpper(name), "_") {
		word = strings.TrimSuffix(word, "S")
		if slices.ContainsFunc(secretWords, func(end string) bool { return strings.HasSuffix(word, end) }) {
			return true
		}
	}
	return false
}

// withoutSecrets leaves out of an environment what a step has no use for: it
// would not be there on another machine, and a step that prints its environment
// would publish it. So does it what is to be withheld, by name.
func withoutSecrets(env, withhold []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return IsSecret(name) || slices.Contains(withhold, name)
	})
}

// Secrets are values that nothing that is kept or shown may hold.
type Secrets []secret // the longest first

type secret struct{ name, value string }

// SecretsOf gives those of an environment whose names say so.
func SecretsOf(env []string) Secrets {
	return NewSecrets(slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !IsSecret(name)
	}))
}

// NewSecrets gives the values of variables, NAME=VALUE, that are long enough to
// be told from ordinary words.
func NewSecrets(env []string) Secrets {
	const least = 7
	var s Secrets
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		// A key of many lines is shown line by line.
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= least && !strings.HasPrefix(line, "-----") {
				s = append(s, secret{name, line})
			}
		}
	}
	return s.sorted()
}

// With gives these secrets and others.
func (s Secrets) With(others Secrets) Secrets { return slices.Concat(s, others).sorted() }

func (s Secrets) sorted() Secrets {
	slices.SortStableFunc(s, func(a, b secret) int { return cmp.Compare(len(b.value), len(a.value)) })
	return s
}

// Hide puts [secret NAME] in the place of every secret in a text.
func (s Secrets) Hide(text string) string {
	if !slices.ContainsFunc(s, func(one secret) bool { return strings.Contains(text, one.value) }) {
		return text
	}
	var b strings.Builder
	w := s.Writer(&b)
	_, _ = io.WriteString(w, text) // a builder takes all
	_ = w.Close()
	return b.String()
}

// Writer hands on to w what is written to it, without the secrets: [secret NAME]
// stands in the place of each, wherever the writes cut it in pieces. What may be
// the beginning of one is held back until it is clear, or until Close.
func (s Secrets) Writer(w io.Writer) io.WriteCloser { return &scrubber{secrets: s, w: w} }

// Before gives writers for what a command puts out that hide the secrets before
// it stands in the files; where there are none, the files themselves. flush hands
// on what they hold back.
func (s Secrets) Before(stdout, stderr *os.File) (out, bad io.Writer, flush func() error) {
	if len(s) == 0 {
		return stdout, stderr, func() error { return nil }
	}
	o, b := s.Writer(stdout), s.Writer(stderr)
	return o, b, func() error { return errors.Join(o.Close(), b.Close()) }
}

type scrubber struct {
	secrets Secrets
	w       io.Writer
	held    []byte // not handed on yet
	covered int    // how much of it belongs to a secret that has been replaced
	out     []byte
}

func (x *scrubber) Write(data []byte) (int, error) {
	x.held = append(x.held, data...)
	if err := x.pass(x.clear()); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Close hands on what is held back; it does not close the writer below.
func (x *scrubber) Close() error { return x.pass(len(x.held)) }

// clear is up to where no secret can begin that has not come as a whole.
func (x *scrubber) clear() int {
	if len(x.secrets) == 0 {
		return len(x.held)
	}
	from := max(0, len(x.held)-len(x.secrets[0].value)+1)
	for ; from < len(x.held); from++ {
		rest := string(x.held[from:])
		if slices.ContainsFunc(x.secrets, func(one secret) bool { return len(one.value) > len(rest) && strings.HasPrefix(one.value, rest) }) {
			break
		}
	}
	return from
}

// pass hands on what is held before end. Secrets that overlap are replaced as
// one, so that nothing of either is left.
func (x *scrubber) pass(end int) error {
	if end == 0 {
		return nil
	}
	out, at, covered := x.out[:0], 0, 0
	for _, found := range x.secrets.find(x.held, x.covered) {
		if found.from >= end {
			break
		}
		if at < found.from {
			out = append(out, x.held[at:found.from]...)
		}
		if found.name != "" {
			out = append(out, "[secret "+found.name+"]"...)
		}
		at, covered = min(found.to, end), max(0, found.to-end)
	}
	if at < end {
		out = append(out, x.held[at:end]...)
	}
	x.held, x.covered, x.out = append(x.held[:0], x.held[end:]...), covered, out
	if len(out) == 0 {
		return nil
	}
	_, err := x.w.Write(out)
	return err
}

// span is where a secret stands, or several that overlap.
type span struct {
	from, to int
	name     string // of the first; "" where it has been replaced already
}

// find gives the spans of data, of whose beginning so much is covered by one.
func (s Secrets) find(data []byte, covered int) []span {
	var all, spans []span
	if covered > 0 {
		all = append(all, span{to: covered})
	}
	for _, one := range s {
		for i := 0; ; i++ {
			next := bytes.Index(data[i:], []byte(one.value))
			if next < 0 {
				break
			}
			i += next
			all = append(all, span{i, i + len(one.value), one.name})
		}
	}
	// One that is covered, or the longest, comes first of those that begin together.
	slices.SortStableFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, next := range all {
		if last := len(spans) - 1; last >= 0 && next.from < spans[last].to {
			spans[last].to = max(spans[last].to, next.to)
		} else {
			spans = append(spans, next)
		}
	}
	return spans
}

// Blot overwrites the secrets in the files below a folder with asterisks, and
// gives the paths of those that held one, relative to it. A file keeps its length.
func (s Secrets) Blot(dir string) (held []string, err error) {
	if len(s) == 0 {
		return nil, nil
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		found, err := s.blotFile(path)
		if found {
			name, bad := filepath.Rel(dir, path)
			held, err = append(held, name), errors.Join(err, bad)
		}
		return err
	})
	return held, err
}

func (s Secrets) blotFile(path string) (held bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	var w *os.File
	// It is read in pieces, since files may be large; neighbours overlap by what
	// a secret may be cut to.
	overlap := len(s[0].value) - 1
	piece := make([]byte, 0, 1<<18+overlap)
	for at := int64(0); ; {
		n, err := f.Read(piece[len(piece):cap(piece)])
		piece = piece[:len(piece)+n]
		for _, found := range s.find(piece, 0) {
			if w == nil {
				if w, err = writable(path); err != nil {
					return true, err
				}
				defer func() { err = errors.Join(err, w.Close()) }()
			}
			if _, err := w.WriteAt(bytes.Repeat([]byte("*"), found.to-found.from), at+int64(found.from)); err != nil {
				return true, err
			}
		}
		if errors.Is(err, io.EOF) {
			return w != nil, nil
		}
		if err != nil {
			return w != nil, err
		}
		done := max(0, len(piece)-overlap)
		at += int64(done)
		piece = append(piece[:0], piece[done:]...)
	}
}

// writable opens a file for writing, also one of this user's that is read-only.
// One that has other names gets a content of its own first: they may be anywhere.
func writable(path string) (*os.File, error) {
	if info, err := os.Lstat(path); err != nil {
		return nil, err
	} else if stat, is := info.Sys().(*syscall.Stat_t); is && stat.Nlink > 1 {
		if err := detach(path, info.Mode().Perm()); err != nil {
			return nil, err
		}
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if !errors.Is(err, fs.ErrPermission) {
		return w, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, info.Mode().Perm()|0o200); err != nil {
		return nil, err
	}
	w, err = os.OpenFile(path, os.O_WRONLY, 0)
	return w, errors.Join(err, os.Chmod(path, info.Mode().Perm()))
}

// detach puts a copy in the place of a file, which loses its other names.
func detach(path string, mode fs.FileMode) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.CreateTemp(filepath.Dir(path), ".copy-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Chmod(mode), to.Close()); err == nil {
		err = os.Rename(to.Name(), path)
	}
	if err != nil {
		_ = os.Remove(to.Name())
	}
	return err
}
