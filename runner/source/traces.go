package source

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reprise/runner/store"
)

// Folder is a folder of large files whose content goes into keys.
type Folder struct {
	Root string
	// Known is a file that remembers the digests of the files as long as their
	// sizes and times stay; it need not be there, nor be writable.
	Known string
	// Say, if given, is told every second how many bytes have been read.
	Say func(done, total int64)
}

// Movable says whether a copy of the folder holds the same: no symbolic link
// leads out of it.
func (f Folder) Movable() error {
	root, err := filepath.EvalSymlinks(f.Root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		says, err := os.Readlink(path)
		if err != nil {
			return err
		}
		to, err := filepath.Rel(root, filepath.Join(filepath.Dir(path), says))
		if filepath.IsAbs(says) || err != nil || !filepath.IsLocal(to) {
			return fmt.Errorf("%s is a link out of the folder, to %s", path, says)
		}
		return nil
	})
}

// remembered is the digest of a file as it was.
type remembered struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256"`
}

// settled is how old a file's last change has to be for its time to tell the
// next one: clocks of file systems are coarse.
const settled = 2 * time.Second

// Key digests the names and contents of the files below the folder. No folder
// gives "".
func (f Folder) Key() (string, error) {
	if f.Root == "" {
		return "", nil
	}
	root, err := filepath.Abs(f.Root)
	if err != nil {
		return "", err
	}
	known := map[string]remembered{}
	if data, err := os.ReadFile(f.Known); err == nil {
		_ = json.Unmarshal(data, &known) // damaged: all is read again
	}
	type file struct {
		rel, path string
		remembered
	}
	var files []file
	var total, done int64
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path) // of what a link points to
		if err != nil || !info.Mode().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a link to nothing
			}
			return err
		}
		rel, err := filepath.Rel(root, path)
		now := file{rel, path, remembered{Size: info.Size(), Modified: info.ModTime().UTC()}}
		if was := known[path]; was.Size == now.Size && was.Modified.Equal(now.Modified) {
			now.SHA256 = was.SHA256
		} else {
			total += now.Size
		}
		files = append(files, now)
		return err
	})
	if err != nil {
		return "", err
	}
	for path := range known {
		if strings.HasPrefix(path, root+string(filepath.Separator)) {
			delete(known, path)
		}
	}
	h := sha256.New()
	read := false
	said := time.Now()
	for _, file := range files {
		if file.SHA256 == "" {
			if file.SHA256, _, err = store.DigestFile(file.path); err != nil {
				return "", err
			}
			read = true
			if done += file.Size; f.Say != nil && time.Since(said) > time.Second {
				said = time.Now()
				f.Say(done, total)
			}
		}
		if time.Since(file.Modified) > settled {
			known[file.path] = file.remembered
		}
		fmt.Fprintf(h, "%d:%s%s\n", len(file.rel), file.rel, file.SHA256)
	}
	if read && f.Known != "" {
		remember(f.Known, known)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// remember writes the digests down. Where that fails they are made again.
func remember(path string, known map[string]remembered) {
	data, err := json.Marshal(known)
	if err != nil {
		return
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".digests-*")
	if err != nil {
		return
	}
	_, err = beside.Write(data)
	if err = errors.Join(err, beside.Close()); err == nil {
		err = os.Rename(beside.Name(), path)
	}
	if err != nil {
		_ = os.Remove(beside.Name())
	}
}
