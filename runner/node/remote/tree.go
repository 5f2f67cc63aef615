package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Entry is one file, folder or symbolic link of a tree.
type Entry struct {
	Path string // relative to the tree, with slashes
	Mode fs.FileMode
	Size int64    // of a file
	Sum  [32]byte // SHA-256 of a file's content
	Link string   // what a link says
}

// list gives the entries of dir from start down, folders before what is in
// them. Sockets, pipes and devices are left out.
func list(dir, start string) ([]Entry, error) {
	var entries []Entry
	err := filepath.WalkDir(filepath.Join(dir, start), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := Entry{Path: filepath.ToSlash(rel), Mode: info.Mode() & (fs.ModeType | fs.ModePerm)}
		switch {
		case info.Mode().IsRegular():
			e.Size = info.Size()
			e.Sum, err = sum(os.Open(path))
		case info.Mode()&fs.ModeSymlink != 0:
			e.Link, err = os.Readlink(path)
		case !info.IsDir():
			return nil
		}
		entries = append(entries, e)
		return err
	})
	return entries, err
}

func sum(f *os.File, err error) (s [32]byte, _ error) {
	if err != nil {
		return s, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	h.Sum(s[:0])
	return s, err
}

// digest names a tree by all that its entries say.
func digest(entries []Entry) string {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%d:%s%o %x%d:%s", len(e.Path), e.Path, e.Mode, e.Sum, len(e.Link), e.Link)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Want asks for the content of a file from Offset to Size.
type Want struct {
	Path         string // of the file
	Part         string // of the copy until it is whole
	Offset, Size int64
}

// Piece is some of the content that a Want asks for.
type Piece struct {
	Part   string
	Offset int64
	Data   []byte
}

// A tree is copied by making the folder like the list of its entries in three
// moves: prepare says what content is missing, write takes it in, finish
// checks it and puts it in its place. Content on its way has a name made of its
// digest, so a copy that was cut short goes on where it stopped.

const partPrefix = ".reprise-part-"

func partName(i int, e Entry) string { return fmt.Sprintf("%s%d-%x", partPrefix, i, e.Sum[:8]) }

// prepare makes dir like entries but for the content it does not hold.
func prepare(dir string, entries []Entry) ([]Want, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	if err := removeOthers(dir, root, entries); err != nil {
		return nil, err
	}
	var wants []Want
	for i, e := range entries {
		info, err := root.Lstat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		there := err == nil
		switch {
		case e.Mode.IsDir():
			// Until the end it must be possible to write in it.
			if there {
				err = root.Chmod(e.Path, e.Mode.Perm()|0o700)
			} else {
				err = root.Mkdir(e.Path, 0o700)
			}
		case e.Mode&fs.ModeSymlink != 0:
			if there {
				if link, err := root.Readlink(e.Path); err == nil && link == e.Link {
					continue
				}
				if err := root.Remove(e.Path); err != nil {
					return nil, err
				}
			}
			err = root.Symlink(e.Link, e.Path)
		default:
			if there && info.Size() == e.Size {
				if have, bad := sum(root.Open(e.Path)); bad == nil && have == e.Sum {
					err = nil
					break
				}
			}
			want := Want{Path: e.Path, Part: partName(i, e), Size: e.Size}
			if part, bad := root.Lstat(want.Part); bad == nil {
				want.Offset = min(part.Size(), e.Size)
			}
			wants = append(wants, want)
			err = nil
		}
		if err != nil {
			return nil, err
		}
	}
	return wants, nil
}

// removeOthers removes what is not in entries or is of another type.
func removeOthers(dir string, root *os.Root, entries []Entry) error {
	keep := map[string]fs.FileMode{}
	for i, e := range entries {
		if !filepath.IsLocal(filepath.FromSlash(e.Path)) {
			return fmt.Errorf("%q is not inside the folder", e.Path)
		}
		keep[e.Path] = e.Mode.Type()
		keep[partName(i, e)] = 0
	}
	var others []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		if mode, kept := keep[filepath.ToSlash(rel)]; kept && mode == d.Type() {
			return nil
		}
		others = append(others, rel)
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	for _, rel := range others {
		err = errors.Join(err, root.RemoveAll(rel))
	}
	return err
}

// write takes in pieces of content.
func write(dir string, pieces []Piece) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, p := range pieces {
		if !strings.HasPrefix(p.Part, partPrefix) {
			return fmt.Errorf("%q is no name for a part", p.Part)
		}
		f, err := root.OpenFile(p.Part, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(p.Data, p.Offset)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// finish puts the content that has come in its place and sets all modes.
func finish(dir string, entries []Entry) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for i, e := range slices.Backward(entries) { // folders after what is in them
		if e.Mode.IsRegular() {
			part := partName(i, e)
			if got, err := sum(root.Open(part)); err == nil {
				if got != e.Sum {
					return errors.Join(fmt.Errorf("%s changed while it was copied, or was damaged on the way", e.Path), root.Remove(part))
				}
				if err := root.Rename(part, e.Path); err != nil {
					return err
				}
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if e.Mode&fs.ModeSymlink == 0 {
			if err := root.Chmod(e.Path, e.Mode.Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

// How much content, of how many files, travels at once. What is in flight
// when a connection breaks is sent again.
const (
	chunk      = 2 << 20
	chunkFiles = 1000
)

// read gives the content that the first of wants ask for, at most a chunk, and
// what is left to ask for.
func read(dir string, wants []Want) (pieces []Piece, left []Want, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }()
	room := int64(chunk)
	for len(wants) > 0 && room > 0 && len(pieces) < chunkFiles {
		w := wants[0]
		data := make([]byte, max(0, min(room, w.Size-w.Offset)))
		f, err := root.Open(w.Path)
		if err != nil {
			return nil, nil, err
		}
		_, err = f.ReadAt(data, w.Offset)
		_ = f.Close()
		if errors.Is(err, io.EOF) && len(data) > 0 {
			return nil, nil, fmt.Errorf("%s became shorter while it was copied", w.Path)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
		pieces = append(pieces, Piece{w.Part, w.Offset, data})
		room -= int64(len(data))
		if w.Offset += int64(len(data)); w.Offset < w.Size {
			left = append(left, w)
		}
		wants = wants[1:]
	}
	return pieces, append(left, wants...), nil
}
