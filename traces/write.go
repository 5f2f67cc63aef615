package traces

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// WriteFile makes the file at path from what write gives it, compressed if
// the path ends in .zst or .gz. The file appears under its name only when it
// is complete: it is written beside it and renamed. An existing file is left
// alone, with an error that is fs.ErrExist, unless replace is set.
func WriteFile(path string, replace bool, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil && !replace {
		return &fs.PathError{Op: "write", Path: path, Err: fs.ErrExist}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*")
	if err != nil {
		return err
	}
	err = errors.Join(compress(f, path, write), f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil && !replace {
		// A link, unlike a rename, does not replace what appeared meanwhile.
		if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
			err = os.Rename(f.Name(), path) // a file system without links
		}
	} else if err == nil {
		err = os.Rename(f.Name(), path)
	}
	os.Remove(f.Name()) // gone already where it was renamed
	return err
}

func compress(f io.Writer, path string, write func(io.Writer) error) error {
	var z io.WriteCloser
	switch {
	case strings.HasSuffix(path, ".zst"):
		var err error
		if z, err = zstd.NewWriter(f); err != nil {
			return err
		}
	case strings.HasSuffix(path, ".gz"):
		z = gzip.NewWriter(f)
	default:
		return write(f)
	}
	return errors.Join(write(z), z.Close())
}
