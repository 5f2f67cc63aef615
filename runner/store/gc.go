package store

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"reprise/runner/event"
)

// Keep says what of a store is kept. A result is kept as long as a run that
// made or reused it.
type Keep struct {
	Age  time.Duration // runs younger than this; 0: of any age
	Size int64         // bytes of the newest runs and their results; 0: any number
}

// Removal is a run, or a result that no recorded run has used, that Collect
// removes.
type Removal struct {
	Run     string    `json:"run,omitempty"`  // id
	Step    string    `json:"step,omitempty"` // of a result without a run
	Time    time.Time `json:"time"`           // when it was made
	Results int       `json:"results"`        // that go with it
	Bytes   int64     `json:"bytes"`          // of it and them
}

// Collected is what Collect removed, or would remove.
type Collected struct {
	Removed []Removal // the oldest first
	Bytes   int64     // of all of them
	Kept    int64     // bytes of the runs and results that stay
}

// removedDir holds what is being removed, out of everybody's sight.
const removedDir = "removed"

// lock takes the store's lock: all runs under way hold it together, Collect
// holds it alone.
func (s *Store) lock(how int) (*os.File, error) {
	f, err := os.Open(s.root)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// unit is what stays or goes as a whole.
type unit struct {
	Removal
	dir  string
	size int64
	keys []string // of the results it uses
}

// Collect removes the oldest runs, and the results that only they used, until
// what is left is what keep says. With dry it removes nothing. It refuses while
// a run is under way.
func (s *Store) Collect(keep Keep, now time.Time, dry bool) (Collected, error) {
	held, err := s.lock(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return Collected{}, errors.New("a run is under way in this store; wait for its end")
	}
	if err != nil {
		return Collected{}, err
	}
	defer func() { _ = held.Close() }()
	if !dry {
		// What an earlier call did not come to.
		if err := removeAll(filepath.Join(s.root, removedDir)); err != nil {
			return Collected{}, err
		}
	}
	units, results, err := s.units()
	if err != nil {
		return Collected{}, err
	}
	slices.SortStableFunc(units, func(a, b unit) int { return a.Time.Compare(b.Time) })
	users := map[string]int{}
	gone := map[string]bool{} // results that are removed
	var out Collected
	for _, u := range units {
		out.Kept += u.size
		for _, key := range u.keys {
			if users[key]++; users[key] == 1 {
				out.Kept += results[key]
			}
		}
	}
	for _, u := range units {
		old := keep.Age > 0 && now.Sub(u.Time) > keep.Age
		big := keep.Size > 0 && out.Kept > keep.Size
		if !old && !big {
			break
		}
		u.Bytes = u.size
		var dirs []string
		for _, key := range u.keys {
			if users[key]--; users[key] == 0 {
				u.Results++
				u.Bytes += results[key]
				gone[key] = true
				if dir := s.resultDir(key); isDir(dir) {
					dirs = append(dirs, dir)
				}
			}
		}
		if u.dir != "" {
			dirs = append(dirs, u.dir)
		}
		out.Kept -= u.Bytes
		if !dry {
			if err := s.discard(dirs); err != nil {
				return out, fmt.Errorf("remove %s: %w", u.Run+u.Step, err)
			}
		}
		out.Bytes += u.Bytes
		out.Removed = append(out.Removed, u.Removal)
	}
	if !dry {
		if err := s.repack(gone); err != nil {
			return out, fmt.Errorf("remove results: %w", err)
		}
	}
	return out, nil
}

// repack removes results from the packs, and what packs have that nothing uses:
// results that newer ones have replaced, attempts of runs that are gone. What
// cannot be read stays, where it is not all that is left.
func (s *Store) repack(gone map[string]bool) error {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.refresh(); err != nil {
		return err
	}
	for _, p := range x.packs {
		recorded := isDir(s.RunDir(strings.TrimSuffix(filepath.Base(p.path), packEnd)))
		var keep []place
		used := map[[32]byte]bool{} // machines
		all, size := 0, p.size
		_, err := scan(p.file, 0, size, func(at int64, h header) error {
			all++
			where := p.place(at, h)
			switch h.kind {
			case done:
				if x.results[h.key] != where || gone[hex.EncodeToString(h.key[:])] {
					return nil
				}
				_, content, err := where.read()
				if err != nil {
					return nil
				}
				var r packedResult
				if err := json.Unmarshal(h.parts(content)[0], &r); err != nil {
					return nil
				}
				if id, err := rawKey(r.MachineID); err == nil {
					used[id] = true
				}
			case machine, closed:
			default:
				if !recorded {
					return nil
				}
			}
			keep = append(keep, where)
			return nil
		})
		if err != nil {
			return err
		}
		results := 0
		keep = slices.DeleteFunc(keep, func(w place) bool {
			h, _, err := w.read()
			if h.kind == done {
				results++
			}
			return err != nil || h.kind == machine && !used[h.key]
		})
		switch {
		case results == 0 && !recorded:
			err = errors.Join(s.fs.Remove(p.path), s.fs.Sync(x.dir))
		case len(keep) < all:
			err = s.rewrite(p, keep)
		default:
			continue
		}
		if err != nil {
			return err
		}
	}
	x.forget()
	return nil
}

// rewrite replaces a pack by one of these records alone.
func (s *Store) rewrite(p *pack, keep []place) error {
	beside := filepath.Join(filepath.Dir(p.path), fmt.Sprintf(".new-%d-%d", os.Getpid(), temporary.Add(1)))
	f, err := s.fs.Create(beside)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for _, w := range keep {
		h, content, bad := w.read()
		if bad != nil {
			continue
		}
		_, err = out.Write(append(h.encode(), content...))
		if err != nil {
			break
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.fs.Rename(beside, p.path)
	}
	if err != nil {
		return errors.Join(err, s.removeIfThere(beside))
	}
	return s.fs.Sync(filepath.Dir(p.path))
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// units gives the runs and the results without one, and the size of every
// result by its key.
func (s *Store) units() ([]unit, map[string]int64, error) {
	results, began, err := s.index.sizes()
	if err != nil {
		return nil, nil, err
	}
	inPacks := slices.Sorted(maps.Keys(results))
	dirs, err := filepath.Glob(filepath.Join(s.root, "steps", "*", "*"))
	if err != nil {
		return nil, nil, err
	}
	for _, dir := range dirs {
		if results[filepath.Base(dir)], err = size(dir); err != nil {
			return nil, nil, err
		}
	}
	ids, err := s.Runs()
	if err != nil {
		return nil, nil, err
	}
	var units []unit
	used := map[string]bool{}
	for _, id := range ids {
		u := unit{Removal: Removal{Run: id, Time: s.runTime(id)}, dir: s.RunDir(id), keys: s.runKeys(id)}
		if u.size, err = size(u.dir); err != nil {
			return nil, nil, err
		}
		u.size += began[id]
		u.keys = slices.DeleteFunc(u.keys, func(key string) bool { _, there := results[key]; return !there })
		for _, key := range u.keys {
			used[key] = true
		}
		units = append(units, u)
	}
	for _, key := range inPacks {
		if used[key] {
			continue
		}
		u := unit{Removal: Removal{Step: key}, keys: []string{key}}
		if r, err := s.Lookup(key); err == nil && r != nil {
			u.Step, u.Time = r.Step, r.Started
		}
		used[key] = true
		units = append(units, u)
	}
	for _, dir := range dirs {
		key := filepath.Base(dir)
		if used[key] {
			continue
		}
		u := unit{Removal: Removal{Step: key}, keys: []string{key}}
		var r Result
		if data, err := os.ReadFile(filepath.Join(dir, resultFile)); err == nil && json.Unmarshal(data, &r) == nil {
			u.Step, u.Time = r.Step, r.Started
		}
		units = append(units, u)
	}
	return units, results, nil
}

// runTime is when a run began.
func (s *Store) runTime(id string) time.Time {
	if t, err := time.Parse(secondForm, id[:min(len(secondForm), len(id))]); err == nil {
		return t
	}
	info, err := os.Stat(s.RunDir(id))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// runKeys lists the keys of the steps that a run's log tells of, as far as it
// can be read.
func (s *Store) runKeys(id string) []string {
	f, err := os.Open(filepath.Join(s.RunDir(id), EventsFile))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var keys []string
	for e, err := range event.Read(f) {
		if err != nil {
			break
		}
		switch v := e.Payload.(type) {
		case event.StepStarted:
			keys = append(keys, v.Key)
		case event.StepReused:
			keys = append(keys, v.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// size sums the bytes of the files in dir.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// discard removes folders. Each goes out of its place by one rename, so that
// none is ever there in part.
func (s *Store) discard(dirs []string) error {
	bin := filepath.Join(s.root, removedDir)
	if err := s.fs.MkdirAll(bin); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := s.fs.Rename(dir, filepath.Join(bin, filepath.Base(dir))); err != nil {
			return err
		}
	}
	return removeAll(bin)
}

// removeAll removes a folder, also where a step has left folders that may not
// be written in.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
