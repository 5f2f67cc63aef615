package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/rpc"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reprise/runner/node"
)

// Node runs commands on a host that answers calls over a connection. It
// implements node.Node.
type Node struct {
	// Grace is how long a command has to stop by itself once asked to.
	Grace time.Duration
	// Patience is how long a lost connection may stay lost before the host is
	// given up; after that every call tries once. A command without a key that
	// nobody can follow goes on for that long.
	Patience time.Duration

	name    string
	link    link
	machine node.Machine

	gate   chan struct{} // holds a token for who may use client
	client *rpc.Client   // nil: not connected
	given  atomic.Bool   // up: patience has ended once, and nothing has answered since

	mu    sync.Mutex
	jobs  map[string]struct{}
	files map[string]*sent // by path on this machine
	// By key: what dead runners have left, not yet asked for; and this runner's
	// own jobs on a host that was given up.
	kept, unseen map[string]Kept
}

// Address is the host's own, as the configuration of SSH has it.
func (n *Node) Address() string {
	if l, is := n.link.(interface{ address() string }); is {
		return l.address()
	}
	return n.name
}

// link is a way to a host.
type link interface {
	// connect opens a connection to a serving Host. Errors that another try
	// cannot mend are permanent.
	connect(ctx context.Context) (io.ReadWriteCloser, error)
	// self is the path of this program on the host, known once connected.
	self() string
}

// permanent wraps an error that another try cannot mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// sent is a file or folder on its way to the host, or there.
type sent struct {
	once sync.Once
	path string // inside the host's folder
	err  error
}

func newNode(ctx context.Context, name string, l link) (*Node, error) {
	n := &Node{
		Grace: 5 * time.Second, Patience: 2 * time.Minute,
		name: name, link: l, gate: make(chan struct{}, 1),
		jobs: map[string]struct{}{}, files: map[string]*sent{}, kept: map[string]Kept{}, unseen: map[string]Kept{},
	}
	if _, err := n.connection(ctx); err != nil {
		return nil, err
	}
	var err error
	if n.machine, err = call[node.Machine](ctx, n, "Describe", Nothing{}, nil); err == nil {
		err = n.find(ctx)
	}
	return n, err
}

// Name implements node.Node.
func (n *Node) Name() string { return n.name }

// Machine implements node.Node.
func (n *Node) Machine() node.Machine {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine
}

// Load implements node.Sampler.
func (n *Node) Load(ctx context.Context) (node.Load, error) {
	return call[node.Load](ctx, n, "Load", Nothing{}, nil)
}

// Self implements node.Node.
func (n *Node) Self() string { return n.link.self() }

// connection gives the connection to the host and makes it if there is none.
func (n *Node) connection(ctx context.Context) (*rpc.Client, error) {
	select {
	case n.gate <- struct{}{}:
		defer func() { <-n.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if n.client == nil {
		conn, err := n.link.connect(ctx)
		if err != nil {
			return nil, err
		}
		n.client = rpc.NewClient(conn)
	}
	return n.client, nil
}

// lost forgets a connection that failed.
func (n *Node) lost(c *rpc.Client) {
	n.gate <- struct{}{}
	defer func() { <-n.gate }()
	if n.client == c {
		n.client = nil
	}
	_ = c.Close()
}

// Close ends the connection. Commands that still run are not stopped, but for
// those that were given up with their host, should it be there again.
func (n *Node) Close() error {
	n.stopUnseen()
	n.gate <- struct{}{}
	defer func() { <-n.gate }()
	if n.client == nil {
		return nil
	}
	err := n.client.Close()
	n.client = nil
	return err
}

// call makes a call to the host. A lost connection is made again, and the call
// repeated, until the node's patience is over.
func call[Answer any](ctx context.Context, n *Node, method string, args any, note func(string)) (Answer, error) {
	var since time.Time
	pause := 100 * time.Millisecond
	for {
		var answer Answer
		client, err := n.connection(ctx)
		if err == nil {
			pending := client.Go("Host."+method, args, &answer, make(chan *rpc.Call, 1))
			select {
			case <-pending.Done:
				err = pending.Error
			case <-ctx.Done():
				return *new(Answer), ctx.Err() // the call may still write its answer
			}
			var refused rpc.ServerError
			switch {
			case err == nil:
				n.given.Store(false)
				if !since.IsZero() && note != nil {
					note(fmt.Sprintf("the connection to %s is back after %v", n.name, time.Since(since).Round(time.Second)))
				}
				return answer, nil
			case errors.As(err, &refused):
				return answer, fmt.Errorf("%s: %w", n.name, err)
			}
			n.lost(client)
		}
		if errors.As(err, &permanent{}) || ctx.Err() != nil {
			return answer, err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if away := time.Since(since); away > n.Patience || n.given.Load() {
			n.given.Store(true)
			return answer, fmt.Errorf("%s could not be reached for %v: %w", n.name, away.Round(time.Second), err)
		}
		select {
		case <-ctx.Done():
			return answer, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// Run implements node.Node.
func (n *Node) Run(ctx context.Context, c node.Command) (node.Result, error) {
	job := Job{
		ID: rand.Text(), Key: c.Key, Name: c.Name, Runner: thisRunner(), Argv: c.Argv, Env: c.Env, Handed: namesOf(c.Secrets), Secrets: c.Secrets, Files: map[string]string{},
		Limit: c.Limit, Memory: c.Memory, Exclusive: c.Exclusive, Grace: n.Grace,
	}
	if c.Key == "" || c.Limit == 0 {
		job.Abandoned = n.Patience + readPatience
	}
	there, err := n.adopt(ctx, c)
	if there != "" {
		job.ID = there
	}
	n.track(job.ID, true)
	defer n.track(job.ID, false)
	var r node.Result
	if err == nil && there == "" {
		err = n.start(ctx, c, job)
	}
	if err == nil {
		r, err = n.attend(ctx, c, job.ID)
	}
	if err != nil && ctx.Err() != nil {
		return node.Result{End: node.Stopped}, nil
	}
	return r, err
}

// namesOf gives the names of NAME=VALUE.
func namesOf(env []string) []string {
	var names []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		names = append(names, name)
	}
	return names
}

// start copies what the command needs and starts it.
func (n *Node) start(ctx context.Context, c node.Command, job Job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for name, path := range c.Files {
		there, err := n.send(ctx, path, c.Note)
		if err != nil {
			return fmt.Errorf("copy %s to %s: %w", path, n.name, err)
		}
		job.Files[name] = there
	}
	entries, err := list(c.Dir, ".")
	if err == nil {
		err = n.push(ctx, c.Dir, Tree{filepath.Join(job.dir(), workDir), entries}, c.Note)
	}
	if err != nil {
		return fmt.Errorf("copy the step's folder to %s: %w", n.name, err)
	}
	if _, err = call[Nothing](ctx, n, "Start", job, c.Note); err == nil {
		return nil
	}
	// It may have started although the answer was lost.
	if ctx.Err() == nil {
		n.lostSight(c, job.ID)
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	_, _ = call[Nothing](ctx, n, "Stop", Halt{Job: job.ID}, nil)
	return err
}

// attend follows a command to its end and takes in what it leaves.
func (n *Node) attend(ctx context.Context, c node.Command, job string) (node.Result, error) {
	over := make(chan struct{})
	go func() {
		select {
		case <-over:
		case <-c.Now: // never, if it is nil
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
			defer cancel()
			_, _ = call[Nothing](ctx, n, "Stop", Halt{Job: job, Kill: true}, nil)
		}
	}()
	end, err := n.follow(ctx, c, job)
	close(over)
	lost := err != nil && !end.Ended
	if err == nil && end.Failed != "" {
		err = fmt.Errorf("%s: %s", n.name, end.Failed)
	}
	if err == nil && end.Result.End == node.Stopped && ctx.Err() == nil {
		err = fmt.Errorf("%s: the command was stopped there by somebody else", n.name)
	}
	if err == nil && end.Result.End != node.Stopped {
		if err = n.pull(ctx, filepath.Join(Job{ID: job}.dir(), workDir), c.Dir, c.Note); err != nil {
			err = fmt.Errorf("copy the step's folder from %s: %w", n.name, err)
			lost = ctx.Err() == nil
		}
	}
	switch {
	case lost:
		n.lostSight(c, job)
	case end.Ended:
		_, _ = call[Nothing](ctx, n, "Forget", job, nil) // the host cleans up by itself, too
	}
	return end.Result, err
}

// follow hands on the job's output until it has ended. When ctx is cancelled
// it has the job stopped.
func (n *Node) follow(ctx context.Context, c node.Command, job string) (Progress, error) {
	writers := [len(streams)]io.Writer{c.Stdout, c.Stderr, notes(c.Note)}
	at := Position{Job: job}
	asked := false
	for {
		p, err := call[Progress](ctx, n, "Follow", at, c.Note)
		if err != nil && ctx.Err() != nil && !asked {
			asked = true
			var cancel func()
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 2*n.Grace+stopPatience)
			defer cancel()
			_, err = call[Nothing](ctx, n, "Stop", Halt{Job: job}, nil)
		}
		if err != nil {
			return p, err
		}
		for i, data := range p.Data {
			at.Offsets[i] += int64(len(data))
			if len(data) > 0 && writers[i] != nil {
				if _, err := writers[i].Write(data); err != nil {
					return p, fmt.Errorf("output of %s: %w", c.Argv[0], err)
				}
			}
		}
		if p.Ended {
			return p, nil
		}
	}
}

// stopPatience is how long a host that cannot be reached is waited for when a
// command is to be stopped; its supervisor will see that nobody follows.
const stopPatience = 5 * time.Second

type notes func(string)

func (f notes) Write(data []byte) (int, error) {
	if f != nil {
		f(string(data[:len(data)-1])) // without the newline
	}
	return len(data), nil
}

// sayFrom is from how many bytes on it is said that something travels.
const sayFrom = 64 << 20

// send brings a file or folder to the host, once, and gives its path inside
// the host's folder. What stands under a path is taken to stay as it is.
func (n *Node) send(ctx context.Context, path string, note func(string)) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	s := n.files[path]
	if s == nil {
		s = &sent{}
		n.files[path] = s
	}
	n.mu.Unlock()
	s.once.Do(func() {
		dir, base := filepath.Split(path)
		entries, err := list(dir, base)
		if err != nil {
			s.err = err
			return
		}
		there := filepath.Join("files", digest(entries))
		size := int64(0)
		for _, e := range entries {
			size += e.Size
		}
		if note != nil && size > sayFrom {
			note(fmt.Sprintf("%s goes to %s, what of its %d MiB is not there yet", path, n.name, size>>20))
		}
		s.path, s.err = filepath.Join(there, base), n.push(ctx, dir, Tree{there, entries}, note)
	})
	if s.err != nil {
		// The next command may try again.
		n.mu.Lock()
		if n.files[path] == s {
			delete(n.files, path)
		}
		n.mu.Unlock()
	}
	return s.path, s.err
}

// push makes a folder of the host like the entries of a local one.
func (n *Node) push(ctx context.Context, from string, to Tree, note func(string)) error {
	wants, err := call[[]Want](ctx, n, "Prepare", to, note)
	if err != nil || len(wants) == 0 {
		return err
	}
	for len(wants) > 0 {
		var pieces []Piece
		if pieces, wants, err = read(from, wants); err != nil {
			return err
		}
		if _, err := call[Nothing](ctx, n, "Write", Content{to.Dir, pieces}, note); err != nil {
			return err
		}
	}
	_, err = call[Nothing](ctx, n, "Finish", to, note)
	return err
}

// pull makes a local folder like one of the host.
func (n *Node) pull(ctx context.Context, from, to string, note func(string)) error {
	entries, err := call[[]Entry](ctx, n, "List", from, note)
	if err != nil {
		return err
	}
	wants, err := prepare(to, entries)
	if err != nil {
		return err
	}
	for len(wants) > 0 {
		pieces, err := call[[]Piece](ctx, n, "Read", Request{from, wants[:min(len(wants), chunkFiles)]}, note)
		if err != nil {
			return err
		}
		if err := write(to, pieces); err != nil {
			return err
		}
		if wants, err = remaining(wants, pieces); err != nil {
			return err
		}
	}
	return finish(to, entries)
}

// remaining is what is still wanted after pieces, which answer the first of
// wants in order, have come.
func remaining(wants []Want, pieces []Piece) ([]Want, error) {
	if len(pieces) == 0 {
		return nil, errors.New("the host gave no content")
	}
	for _, p := range pieces {
		if len(wants) == 0 || p.Part != wants[0].Part || p.Offset != wants[0].Offset {
			return nil, fmt.Errorf("the host gave %s, which was not asked for", p.Part)
		}
		if wants[0].Offset += int64(len(p.Data)); wants[0].Offset >= wants[0].Size {
			wants = wants[1:]
		}
	}
	return wants, nil
}

func (n *Node) track(job string, running bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if running {
		n.jobs[job] = struct{}{}
	} else {
		delete(n.jobs, job)
	}
}

// Kill implements node.Node. A host that does not answer at once stops its
// commands by itself when nobody follows them.
func (n *Node) Kill() {
	n.mu.Lock()
	jobs := maps.Clone(n.jobs)
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for job := range jobs {
		_, _ = call[Nothing](ctx, n, "Stop", Halt{Job: job, Kill: true}, nil)
	}
}
