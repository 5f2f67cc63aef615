package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node/nodetest"
)

// breakingLink starts a host as a child process and breaks every connection
// to it after some random number of bytes, in whatever call that is.
type breakingLink struct {
	home   string
	rng    *rand.Rand
	breaks atomic.Int32
}

func (l *breakingLink) self() string {
	self, _ := os.Executable()
	return self
}

func (l *breakingLink) connect(context.Context) (io.ReadWriteCloser, error) {
	child := exec.Command(l.self(), "supervise", "serve", l.home)
	in, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(out, make([]byte, len(greeting))); err != nil {
		return nil, err
	}
	c := &breaking{link: l, in: in, out: out, child: child}
	// Mostly short lives; long ones so that a whole chunk comes through, too.
	c.left.Store(int64(5_000 + l.rng.IntN(100_000)))
	if l.rng.IntN(2) == 0 {
		c.left.Store(int64(l.rng.IntN(50 << 20)))
	}
	return c, nil
}

type breaking struct {
	link  *breakingLink
	in    io.WriteCloser
	out   io.ReadCloser
	child *exec.Cmd
	left  atomic.Int64
}

func (c *breaking) spend(n int, err error) (int, error) {
	if c.left.Add(-int64(n)) < 0 {
		c.link.breaks.Add(1)
		_ = c.Close()
		return n, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return n, err
}

func (c *breaking) Read(p []byte) (int, error)  { return c.spend(c.out.Read(p)) }
func (c *breaking) Write(p []byte) (int, error) { return c.spend(c.in.Write(p)) }

func (c *breaking) Close() error {
	_ = c.in.Close()
	_ = c.child.Process.Kill()
	return nil
}

// TestBreakingConnections runs the suite over connections that break all the
// time.
func TestBreakingConnections(t *testing.T) {
	t.Parallel()
	l := &breakingLink{home: t.TempDir(), rng: rand.New(rand.NewPCG(3, 1))}
	n, err := newNode(t.Context(), "breaking", l)
	require.NoError(t, err)
	n.Grace = time.Second
	nodetest.Run(t, n)
	require.NoError(t, n.Close())
	require.Greater(t, int(l.breaks.Load()), 10)
	t.Logf("%d connections broke", l.breaks.Load())
}

// TestCopyGoesOn cuts a copy short: what has come is not asked for again.
func TestCopyGoesOn(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	data := make([]byte, 3*chunk)
	for i := range data {
		data[i] = byte(i >> 10)
	}
	require.NoError(t, os.WriteFile(filepath.Join(from, "large"), data, 0o640))
	entries, err := list(from, ".")
	require.NoError(t, err)
	wants, err := prepare(to, entries)
	require.NoError(t, err)
	pieces, _, err := read(from, wants)
	require.NoError(t, err)
	require.NoError(t, write(to, pieces))

	wants, err = prepare(to, entries)
	require.NoError(t, err)
	require.Len(t, wants, 1)
	require.Equal(t, int64(chunk), wants[0].Offset)
	require.NoError(t, copyWanted(from, to, wants))
	require.NoError(t, finish(to, entries))
	got, err := list(to, ".")
	require.NoError(t, err)
	require.Equal(t, entries, got)
}

func copyWanted(from, to string, wants []Want) error {
	for len(wants) > 0 {
		pieces, left, err := read(from, wants)
		if err != nil {
			return err
		}
		if err := write(to, pieces); err != nil {
			return err
		}
		wants = left
	}
	return nil
}

// TestDamagedCopyIsRefused changes content on its way; the next try is whole.
func TestDamagedCopyIsRefused(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(from, "f"), []byte("content"), 0o644))
	entries, err := list(from, ".")
	require.NoError(t, err)
	for _, damage := range []bool{true, false} { // damaged first: what is whole is not asked for again
		wants, err := prepare(to, entries)
		require.NoError(t, err)
		pieces, _, err := read(from, wants)
		require.NoError(t, err)
		if damage {
			pieces[0].Data[3] ^= 1
		}
		require.NoError(t, write(to, pieces))
		if err := finish(to, entries); damage {
			require.Error(t, err)
		} else {
			require.NoError(t, err)
		}
	}
}

// TestTreesBecomeEqual copies random trees over others.
func TestTreesBecomeEqual(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	to := t.TempDir()
	for range 30 {
		from := t.TempDir()
		grow(t, rng, from, 3)
		entries, err := list(from, ".")
		require.NoError(t, err)
		wants, err := prepare(to, entries)
		require.NoError(t, err)
		require.NoError(t, copyWanted(from, to, wants))
		require.NoError(t, finish(to, entries))
		got, err := list(to, ".")
		require.NoError(t, err)
		require.Equal(t, entries, got)
		require.Equal(t, digest(entries), digest(got))
	}
}

func grow(t *testing.T, rng *rand.Rand, dir string, depth int) {
	for i := range rng.IntN(6) {
		path := filepath.Join(dir, fmt.Sprint("n", i))
		switch k := rng.IntN(4); {
		case k == 0 && depth > 0:
			require.NoError(t, os.Mkdir(path, 0o700))
			grow(t, rng, path, depth-1)
			require.NoError(t, os.Chmod(path, []os.FileMode{0o755, 0o555, 0o700}[rng.IntN(3)]))
		case k == 1:
			require.NoError(t, os.Symlink([]string{"n0", "../gone", "/etc/passwd"}[rng.IntN(3)], path))
		default:
			require.NoError(t, os.WriteFile(path, make([]byte, rng.IntN(3)*rng.IntN(5000)), 0o600))
			require.NoError(t, os.Chmod(path, []os.FileMode{0o644, 0o755, 0o400}[rng.IntN(3)]))
		}
	}
}

// TestListsFromElsewhereStayInside has a host name files outside the folder.
func TestListsFromElsewhereStayInside(t *testing.T) {
	for _, path := range []string{"../evil", "/evil", "a/../../evil"} {
		dir := filepath.Join(t.TempDir(), "inside")
		_, err := prepare(dir, []Entry{{Path: path}})
		require.Error(t, err, path)
	}
	dir := t.TempDir()
	outside := t.TempDir()
	entries := []Entry{{Path: "link", Mode: os.ModeSymlink, Link: outside}, {Path: "link/f", Mode: 0o644}}
	wants, err := prepare(dir, entries)
	if err == nil {
		_ = write(dir, []Piece{{Part: wants[0].Part}})
		require.Error(t, finish(dir, entries))
	}
	require.NoFileExists(t, filepath.Join(outside, "f"))
	require.Error(t, write(dir, []Piece{{Part: "../f"}}))
	_, _, err = read(dir, []Want{{Path: "link/f", Part: partPrefix, Size: 1}})
	require.Error(t, err)
	h := &Host{dir}
	require.Error(t, h.Prepare(Tree{Dir: "../x"}, &[]Want{}))
	require.Error(t, h.List("/etc", &[]Entry{}))
}
