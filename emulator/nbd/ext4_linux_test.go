package nbd

import (
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/emulator"
)

// An ext4 file system on the emulated disk as the kernel sees it: nbdfuse makes
// a file of the export, a loop device makes a disk of the file.
func TestExt4(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(device); err != nil {
			t.Skipf("no %s", device)
		}
	}
	for _, name := range []string{"nbdfuse", "losetup", "mkfs.ext4", "e2fsck", "mount", "umount", "fstrim"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	c := tiny(t).Config()
	c.LogicalPages, c.PagesPerBlock, c.BlocksPerPlane = 0, 64, 128 // 128 MiB
	d, err := emulator.New(c)
	require.NoError(t, err)
	e := NewExport("disk", d, NewMemory(int64(d.Pages())*4096))
	_, path := start(t, false, e)

	dir := t.TempDir()
	export, root := filepath.Join(dir, "export"), filepath.Join(dir, "root")
	require.NoError(t, os.Mkdir(export, 0o700))
	require.NoError(t, os.Mkdir(root, 0o700))
	fuse := exec.Command("nbdfuse", export, "nbd+unix:///disk?socket="+path)
	var said strings.Builder
	fuse.Stdout, fuse.Stderr = &said, &said
	require.NoError(t, fuse.Start())
	ended := make(chan error, 1)
	go func() { ended <- fuse.Wait() }()
	t.Cleanup(func() {
		_ = exec.Command("umount", export).Run()
		select {
		case err := <-ended:
			t.Logf("nbdfuse ended: %v", err)
		case <-time.After(10 * time.Second):
			_ = exec.Command("umount", "-l", export).Run()
			_ = fuse.Process.Kill()
			t.Error("nbdfuse does not end")
		}
	})
	disk := filepath.Join(export, "nbd")
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(disk); err == nil {
			break
		}
		select {
		case err := <-ended:
			ended <- err
			t.Skipf("nbdfuse cannot mount here: %s", said.String())
		default:
		}
		require.Less(t, time.Since(began), 10*time.Second, "nbdfuse shows no disk")
	}
	attach := exec.Command("losetup", "--find", "--show", "--direct-io=on", disk)
	out, err := attach.CombinedOutput()
	if err != nil {
		t.Skipf("no loop device to be had: %s", out)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		_ = exec.Command("umount", root).Run() // where a check below failed
		out, err := exec.Command("losetup", "--detach", loop).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})

	tool(t, "mkfs.ext4", "-q", loop)
	tool(t, "mount", loop, root)
	rng := rand.NewChaCha8([32]byte{1})
	sums := map[string][32]byte{}
	write := func(name string, size int) {
		data := make([]byte, size)
		_, _ = rng.Read(data)
		sums[name] = sha256.Sum256(data)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), data, 0o600))
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		write(name, 12<<20+4321)
	}
	for range 6 { // more than the device holds: collection has to work
		tool(t, "sync", "-f", root)
		write("a", 12<<20)
		write("d", 11<<20+1)
	}
	tool(t, "umount", root)
	tool(t, "e2fsck", "-f", "-n", loop)

	tool(t, "mount", loop, root)
	for name, want := range sums {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.Equal(t, want, sha256.Sum256(data), name)
	}
	before := e.Stat()
	require.NoError(t, os.Remove(filepath.Join(root, "b")))
	tool(t, "fstrim", root)
	after := e.Stat()
	require.Greater(t, after.Client.Trims, before.Client.Trims)
	require.GreaterOrEqual(t, after.Device.Trimmed-before.Device.Trimmed, uint64(12<<20/4096), "the deleted file's pages")
	require.Less(t, after.Device.MappedPages, before.Device.MappedPages)
	require.NotZero(t, after.Device.GCLines)
	delete(sums, "b")
	tool(t, "umount", root)
	tool(t, "e2fsck", "-f", "-n", loop)
	require.NoError(t, e.Device((*emulator.Device).Check))
}
