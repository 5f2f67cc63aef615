package emulator

import (
	"bytes"
	"encoding/binary"
	"testing"

	"crypto/sha256"

	"github.com/stretchr/testify/require"
)

// A restored device goes on exactly as the original, whatever its policies.
func TestSnapshotContinues(t *testing.T) {
	for _, victim := range victimKinds {
		for _, leveler := range levelerKinds {
			c := small()
			c.Timing, c.Suspend, c.Buffer, c.Endurance = Timing{}, 0, 0, 400
			c.GC, c.Leveling, c.Probability, c.Threshold = victim.name, leveler.name, 0.1, 3
			d := newDevice(t, c)
			fill(t, d)
			volumes(t, d, 10, hotCold(d, 1, 0.9, 0.1))
			var b bytes.Buffer
			require.NoError(t, d.Snapshot(&b))
			r, err := Restore(bytes.NewReader(b.Bytes()))
			require.NoError(t, err, "%s/%s", victim.name, leveler.name)
			volumes(t, d, 5, uniform(d, 2))
			volumes(t, r, 5, uniform(r, 2))
			require.Equal(t, d.Report(), r.Report())
			m1, e1 := d.Hashes()
			m2, e2 := r.Hashes()
			require.Equal(t, [2]Hash64{m1, e1}, [2]Hash64{m2, e2}, "%s/%s", victim.name, leveler.name)
		}
	}
}

func snapshotOf(t testing.TB) []byte {
	c := small()
	c.Leveling = "dual-pool"
	d := newDevice(t, c)
	fill(t, d)
	volumes(t, d, 3, uniform(d, 1))
	var b bytes.Buffer
	require.NoError(t, d.Snapshot(&b))
	return b.Bytes()
}

// Every damage is refused: a bit changed anywhere, an end anywhere.
func TestSnapshotDamage(t *testing.T) {
	good := snapshotOf(t)
	for i := 0; i < len(good); i += 97 {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		_, err := Restore(bytes.NewReader(bad))
		require.ErrorIs(t, err, ErrDamaged, "byte %d", i)
		_, err = Restore(bytes.NewReader(good[:i]))
		require.ErrorIs(t, err, ErrDamaged, "%d bytes", i)
	}
}

// Even with a right checksum, a snapshot that contradicts itself is refused.
func FuzzRestore(f *testing.F) {
	good := snapshotOf(f)
	f.Add(uint32(100), uint64(7))
	f.Add(uint32(len(good)-100), uint64(1<<40))
	f.Fuzz(func(t *testing.T, at uint32, mask uint64) {
		bad := bytes.Clone(good[:len(good)-sha256.Size])
		i := int(at) % (len(bad) - 8)
		binary.LittleEndian.PutUint64(bad[i:], binary.LittleEndian.Uint64(bad[i:])^mask)
		sum := sha256.Sum256(bad)
		d, err := Restore(bytes.NewReader(append(bad, sum[:]...)))
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		require.NoError(t, d.Check())
		for p := range uint32(64) {
			_, _ = d.WritePage(p) // must not panic
		}
	})
}
