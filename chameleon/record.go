package chameleon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Deployment is a leased platform: the record of it that outlives the program,
// however that ends. It is written before anything is made, so whatever there
// is on the cloud has a record, and removed when nothing is left there.
type Deployment struct {
	Name     string    `json:"name"` // on the cloud, of everything that belongs to it
	Artifact string    `json:"artifact"`
	Platform string    `json:"platform"`
	Site     string    `json:"site"`
	Flavor   string    `json:"flavor,omitempty"` // of virtual machines
	Begun    time.Time `json:"begun"`
	// Unsettled is when a request was last sent whose answer has not been
	// recorded: what it makes may appear for a while after.
	Unsettled time.Time `json:"unsettled,omitzero"`
	Ready     bool      `json:"ready"` // every node answers
	Keep      bool      `json:"keep"`  // stays when the program ends
	Lease     string    `json:"lease,omitempty"`
	// Borrowed says that the lease is not released with the rest.
	Borrowed bool      `json:"borrowed,omitempty"`
	Starts   time.Time `json:"starts,omitzero"`
	Ends     time.Time `json:"ends,omitzero"`
	Nodes    []Machine `json:"nodes,omitempty"`

	dir  string
	lock *os.File
}

// Machine is one leased node, ready for SSH.
type Machine struct {
	Name    string `json:"name"`
	Server  string `json:"server"`            // id of its instance
	Address string `json:"address"`           // floating IP
	Private string `json:"private,omitempty"` // address on the nodes' own network
	Port    int    `json:"port"`
	User    string `json:"user"`
	HostKey string `json:"host_key"` // as in known_hosts, without the address
	// Pinned says that the host key was read from the console log, not taken
	// from the first answer.
	Pinned bool `json:"pinned"`
}

// KeyFile is the private key that opens the nodes.
func (d *Deployment) KeyFile() string { return filepath.Join(d.dir, "id_ed25519") }

// KnownHostsFile lists the nodes' host keys for ssh.
func (d *Deployment) KnownHostsFile() string { return filepath.Join(d.dir, "known_hosts") }

// ConfigFile is a configuration for ssh in which the nodes are node0, node1, ….
func (d *Deployment) ConfigFile() string { return filepath.Join(d.dir, "ssh_config") }

// ErrInUse says that another process holds a deployment.
var ErrInUse = errors.New("in use by another process")

// ErrNoRecord says that this machine knows nothing of a deployment.
var ErrNoRecord = errors.New("no record of it on this machine")

// Records is the folder of the records, one folder a deployment.
type Records struct{ Dir string }

// hold opens the folder of a deployment and locks it for this process; the
// lock ends with the process. Where there is no record, an empty one is made.
func (r Records) hold(name string) (*Deployment, error) {
	dir := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("record of %s: %w", name, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record of %s: %w", name, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", name, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// The holder before may have removed the folder since it was opened.
	mine, err := lock.Stat()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if there, err := os.Stat(lock.Name()); err != nil || !os.SameFile(mine, there) {
		_ = lock.Close()
		return r.hold(name)
	}
	d, err := r.Read(name)
	if errors.Is(err, ErrNoRecord) {
		d, err = &Deployment{Name: name, dir: dir}, nil
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	d.lock = lock
	return d, nil
}

// Read gives the record of a deployment.
func (r Records) Read(name string) (*Deployment, error) {
	dir := filepath.Join(r.Dir, name)
	data, err := os.ReadFile(filepath.Join(dir, "deployment.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNoRecord)
	}
	d := &Deployment{dir: dir}
	if err == nil {
		err = json.Unmarshal(data, d)
	}
	if err != nil {
		return nil, fmt.Errorf("record of %s: %w", name, err)
	}
	return d, nil
}

// List gives all records, and whether a process holds each.
func (r Records) List() (list []*Deployment, held []bool, err error) {
	entries, err := os.ReadDir(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		d, err := r.Read(e.Name())
		if errors.Is(err, ErrNoRecord) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		list, held = append(list, d), append(held, r.held(e.Name()))
	}
	return list, held, nil
}

func (r Records) held(name string) bool {
	lock, err := os.Open(filepath.Join(r.Dir, name, "lock"))
	if err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// save writes the record, whole or not at all, and durably.
func (d *Deployment) save() error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(d.dir, "deployment.json", append(data, '\n'))
}

func writeFile(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", filepath.Join(dir, name), err)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Leave gives up the hold on a deployment that stays.
func (d *Deployment) Leave() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Close()
}

// remove deletes the record: nothing of the deployment is left on the cloud.
// The record goes before the private key and the lock.
func (d *Deployment) remove() error {
	names := []string{"deployment.json", "ssh_config", "known_hosts", "id_ed25519"}
	if left, err := filepath.Glob(filepath.Join(d.dir, ".new-*")); err == nil {
		for _, path := range left {
			names = append(names, filepath.Base(path))
		}
	}
	for _, name := range append(slices.Clip(names), "lock") {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(os.Remove(d.dir), d.Leave())
}
