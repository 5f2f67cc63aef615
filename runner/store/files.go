package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// fileSystem is what the store does to the disk; tests put faults into it and
// record the order of its calls. Reading goes to the disk directly.
type fileSystem interface {
	MkdirAll(path string) error
	Mkdir(path string) error
	// Create makes a file that must not exist; writes go to its end.
	Create(path string) (file, error)
	Rename(from, to string) error
	// Sync makes a file's content, or the names in a folder, durable.
	Sync(path string) error
	Remove(path string) error
}

type file interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

type disk struct{}

func (disk) MkdirAll(path string) error   { return os.MkdirAll(path, 0o755) }
func (disk) Mkdir(path string) error      { return os.Mkdir(path, 0o755) }
func (disk) Rename(from, to string) error { return os.Rename(from, to) }
func (disk) Remove(path string) error     { return os.Remove(path) }

func (disk) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644)
}

func (disk) Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// temporary numbers the files on their way to a final name.
var temporary atomic.Uint64

// writeFile puts data under path whole or not at all: it is written to a
// temporary name beside it, synced, renamed, and the folder synced.
func (s *Store) writeFile(path string, data []byte) error {
	dir, name := filepath.Split(path)
	beside := filepath.Join(dir, fmt.Sprintf(".new-%d-%d", os.Getpid(), temporary.Add(1)))
	if err := s.writeTemporary(beside, data); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), s.removeIfThere(beside))
	}
	if err := s.fs.Rename(beside, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), s.removeIfThere(beside))
	}
	if err := s.fs.Sync(dir); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (s *Store) writeTemporary(path string, data []byte) error {
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Store) removeIfThere(path string) error {
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncTree syncs every file and folder below dir, and dir itself last.
func (s *Store) syncTree(dir string) error {
	var folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			folders = append(folders, path)
		case d.Type().IsRegular():
			return s.fs.Sync(path)
		}
		return nil
	})
	for i := len(folders) - 1; err == nil && i >= 0; i-- {
		err = s.fs.Sync(folders[i])
	}
	return err
}

// DigestTree digests a file, or the names and contents of the files below a folder
// in their order, whatever git keeps of its own left out, and adds up their bytes.
func DigestTree(root string) (sum string, bytes int64, err error) {
	h := sha256.New()
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		sum, n, err := DigestFile(file)
		if err != nil {
			return err
		}
		bytes += n
		fmt.Fprintf(h, "%d:%s%s", len(rel), rel, sum)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), bytes, err
}

// DigestFile gives the SHA-256 of a file in hexadecimal, and its bytes.
func DigestFile(path string) (sum string, bytes int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	bytes, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), bytes, err
}

// folderBytes adds up the files below a folder, as far as they can be seen.
func folderBytes(root string) (bytes uint64) {
	_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, bad := d.Info(); bad == nil {
				bytes += uint64(info.Size())
			}
		}
		return nil
	})
	return bytes
}
