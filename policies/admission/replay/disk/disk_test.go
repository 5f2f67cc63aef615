//go:build linux

package disk

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"reprise/policies/admission/replay"
	"reprise/traces"
)

// file makes a file of real blocks.
func file(t *testing.T, name string, bytes int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Write(make([]byte, bytes))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	return path
}

// loop attaches a file to a loop device, where that can be had.
func loop(t *testing.T, path string, flags ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loop devices need root")
	}
	out, err := exec.Command("losetup", append(flags, "-f", "--show", path)...).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device to be had: %s", out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	return dev
}

func inspect(t *testing.T, path string) *Target {
	t.Helper()
	target, err := Inspect(path)
	require.NoError(t, err)
	return target
}

func requests(n int, apart int64) (list []traces.Request) {
	for i := range n {
		op := traces.Read
		if i%3 == 0 {
			op = traces.Write
		}
		list = append(list, traces.Request{Time: int64(i) * apart, Op: op, Offset: uint64(i*7919) << 12, Size: uint32(512 * (1 + i%40))})
	}
	return list
}

// play runs the engine of the emulated devices on real ones.
func play(t *testing.T, targets []*Target, p replay.Policy) *replay.Result {
	t.Helper()
	set, span, err := Open(targets, Options{Depth: 4, Most: 20480})
	require.NoError(t, err)
	defer set.Close()
	e, err := replay.New(replay.Config{Live: set, Bytes: span, Depth: 4, Writes: replay.WriteBoth})
	require.NoError(t, err)
	streams := [][]traces.Request{requests(300, 200_000), requests(300, 150_000)}
	for range 2 { // time goes on from run to run
		r, err := e.Run(context.Background(), p, streams, replay.Options{Log: true})
		require.NoError(t, err)
		require.Equal(t, []int{400, 200}, []int{r.Reads, r.Writes})
		require.Equal(t, uint64(400), r.Latency.Count())
		require.GreaterOrEqual(t, r.Latency.Mean(), r.Service.Mean(), "a request is handed out when it is wanted, or later")
		require.Equal(t, uint64(600), r.Lag.Count())
		rows := 0
		for _, l := range r.Logs {
			rows += l.Len()
			for i := range l.Len() {
				require.Positive(t, l.Latency[i])
			}
		}
		require.Equal(t, 400+2*200+r.Hedged-r.Cancelled, rows, "every copy that reached a device is in its log")
		if r.Hedged == 0 {
			require.Equal(t, 400, r.Devices[0].Reads+r.Devices[1].Reads)
		}
		if p.Name() == "round-robin" {
			require.InDelta(t, 200, r.Redirected, 30)
		}
	}
	return nil
}

func TestReplayOnFiles(t *testing.T) {
	a, b := inspect(t, file(t, "a", 4<<20)), inspect(t, file(t, "b", 4<<20))
	play(t, []*Target{a, b}, replay.Baseline())
	play(t, []*Target{a, b}, replay.RoundRobin())
	play(t, []*Target{a, b}, replay.Hedging("hedging", nil, []int64{1, 1}, true))
	play(t, []*Target{a}, replay.ShortestQueue())
	data, err := os.ReadFile(a.Path)
	require.NoError(t, err)
	require.NotEqual(t, make([]byte, len(data)), data, "writes were written")
}

func TestReplayOnLoopDevices(t *testing.T) {
	a, b := inspect(t, loop(t, file(t, "a", 4<<20))), inspect(t, loop(t, file(t, "b", 4<<20)))
	require.True(t, a.Block)
	require.Equal(t, uint64(4<<20), a.Bytes)
	play(t, []*Target{a, b}, replay.RoundRobin())
}

// Without O_DIRECT the page cache serves, and the set says so.
func TestNoDirect(t *testing.T) {
	const shm = "/dev/shm"
	dir, err := os.MkdirTemp(shm, "reprise") //nolint:usetesting // it is that file system that is wanted
	if err != nil {
		t.Skipf("no %s: %v", shm, err)
	}
	defer os.RemoveAll(dir)
	var targets []*Target
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, make([]byte, 4<<20), 0o600))
		targets = append(targets, inspect(t, path))
	}
	fd, err := unix.Open(targets[0].Path, unix.O_RDWR|unix.O_DIRECT, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	set, _, openErr := Open(targets, Options{Depth: 1, Most: 4096})
	require.NoError(t, openErr)
	defer set.Close()
	require.Equal(t, []bool{err == nil, err == nil}, set.Direct)
}

func refused(t *testing.T, path, why string) {
	t.Helper()
	_, err := Inspect(path)
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
	require.ErrorContains(t, err, why)
}

func TestRefusesWhatIsInUse(t *testing.T) {
	plain := file(t, "plain", 32<<20)
	dev := loop(t, plain)
	refused(t, plain, "backs loop")
	run := func(name string, args ...string) {
		t.Helper()
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not here", name)
		}
		out, err := exec.Command(name, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	run("mkfs.ext4", "-q", "-F", dev)
	require.Contains(t, inspect(t, dev).String(), "ext4", "what would be lost is named")
	mount := t.TempDir()
	if out, err := exec.Command("mount", dev, mount).CombinedOutput(); err != nil {
		t.Skipf("mount: %s", out)
	}
	defer func() { _ = exec.Command("umount", mount).Run() }()
	refused(t, dev, "is mounted on "+mount)
	// And by the kernel, were the look before wrong.
	_, _, err := open(&Target{Path: dev, Block: true})
	var inUse *InUseError
	require.ErrorAs(t, err, &inUse)
}

func TestRefusesPartitions(t *testing.T) {
	plain := file(t, "disk", 16<<20)
	for _, label := range []string{"dos", "gpt"} {
		c := exec.Command("sfdisk", "-q", plain)
		c.Stdin = strings.NewReader("label: " + label + "\n,\n")
		if out, err := c.CombinedOutput(); err != nil {
			t.Skipf("sfdisk: %v %s", err, out)
		}
		refused(t, plain, map[string]string{"dos": "MBR", "gpt": "GPT"}[label]+" partition table")
	}
	dev := loop(t, plain, "-P")
	if parts, _ := filepath.Glob("/sys/block/" + filepath.Base(dev) + "/*/partition"); len(parts) == 0 {
		t.Skip("the kernel makes no partitions of loop devices here")
	}
	refused(t, dev, "has partitions")
}

// What the kernel would say of holders and swap, on a made-up tree of its files.
func TestRefusesHoldersAndSwap(t *testing.T) {
	dev := loop(t, file(t, "a", 4<<20))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(dev, &st))
	root := t.TempDir()
	s := system{filepath.Join(root, "sys"), filepath.Join(root, "proc")}
	real, err := os.Readlink("/sys/dev/block/" + number(st.Rdev))
	require.NoError(t, err)
	dir := filepath.Join(s.sys, "dev/block", number(st.Rdev))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "holders"), 0o700), real)
	require.NoError(t, os.MkdirAll(filepath.Join(s.proc, "self"), 0o700))
	_, err = s.inspect(dev)
	require.ErrorContains(t, err, "mounted cannot be told", "not knowing is no permission")
	require.NoError(t, os.WriteFile(filepath.Join(s.proc, "self/mountinfo"), nil, 0o600))
	_, err = s.inspect(dev)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.proc, "swaps"), []byte("Filename\tType\n"+dev+" partition 1 0 -2\n"), 0o600))
	_, err = s.inspect(dev)
	require.ErrorContains(t, err, "is swapped to")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "holders/dm-0"), nil, 0o600))
	_, err = s.inspect(dev)
	require.ErrorContains(t, err, "is held by dm-0")
	require.NoError(t, os.RemoveAll(dir))
	_, err = s.inspect(dev)
	require.ErrorContains(t, err, "nobody knows whether it is in use")
}

func TestRefusals(t *testing.T) {
	_, err := Inspect(filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorContains(t, err, "no such device or file (make a file with: fallocate")
	_, err = Inspect(t.TempDir())
	require.ErrorContains(t, err, "neither a block device nor a regular file")
	_, err = Inspect(file(t, "tiny", 4096))
	require.ErrorContains(t, err, "want 1 MiB or more")
	sparse := filepath.Join(t.TempDir(), "sparse")
	require.NoError(t, os.WriteFile(sparse, nil, 0o600))
	require.NoError(t, os.Truncate(sparse, 4<<20))
	require.True(t, inspect(t, sparse).Sparse)

	path := file(t, "a", 4<<20)
	other := filepath.Join(filepath.Dir(path), "other")
	require.NoError(t, os.Link(path, other))
	_, _, err = Open([]*Target{inspect(t, path), inspect(t, other)}, Options{Depth: 1, Most: 4096})
	require.ErrorContains(t, err, "are the same device")
	_, _, err = Open([]*Target{inspect(t, path)}, Options{Depth: 1, Most: 4 << 20})
	require.ErrorContains(t, err, "do not fit")
	_, _, err = Open([]*Target{inspect(t, path)}, Options{Depth: 1, Most: 4096, Span: 3 << 20})
	require.ErrorContains(t, err, "a span of")
}

// An interruption ends a replay that has hours to go, and a device that fails
// ends it with what failed.
func TestReplayEnds(t *testing.T) {
	targets := []*Target{inspect(t, file(t, "a", 4<<20)), inspect(t, file(t, "b", 4<<20))}
	set, span, err := Open(targets, Options{Depth: 2, Most: 20480})
	require.NoError(t, err)
	defer set.Close()
	e, err := replay.New(replay.Config{Live: set, Bytes: span, Depth: 2, Writes: replay.WritePrimary})
	require.NoError(t, err)
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	_, err = e.Run(ctx, replay.Baseline(), [][]traces.Request{requests(10, 1e12)}, replay.Options{})
	require.ErrorIs(t, err, stopped)

	require.NoError(t, os.Truncate(targets[0].Path, 0))
	e, err = replay.New(replay.Config{Live: set, Bytes: span, Depth: 2, Writes: replay.WritePrimary})
	require.NoError(t, err)
	_, err = e.Run(context.Background(), replay.Baseline(), [][]traces.Request{{{Op: traces.Read, Offset: 1 << 20, Size: 4096}}}, replay.Options{})
	require.ErrorContains(t, err, "read 4096 bytes at 1048576")
}

// Filling writes every block of a sparse file.
func TestFill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 4<<20))
	set, span, err := Open([]*Target{inspect(t, path)}, Options{Depth: 1, Most: 4096})
	require.NoError(t, err)
	var last uint64
	require.NoError(t, set.Fill(context.Background(), span, func(done, of uint64) {
		require.LessOrEqual(t, done, of)
		last = done
	}))
	set.Close()
	require.Equal(t, uint64(4<<20), last)
	require.False(t, inspect(t, path).Sparse)
}
