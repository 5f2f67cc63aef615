package device

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
)

// machine writes the sysfs and procfs of a machine.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	return root
}

// storageNode is a node with a mounted system disk, two free NVMe drives of one
// model and one of another that is part of a RAID, a disk with a partition, and
// what is no disk.
func storageNode(t *testing.T) string {
	return machine(t, map[string]string{
		"sys/block/nvme0n1/size": "15002931888", "sys/block/nvme0n1/device/model": "SAMSUNG MZWLJ7T6HALA-00007             ", "sys/block/nvme0n1/dev": "259:0", "sys/block/nvme0n1/device/serial": "S1",
		"sys/block/nvme1n1/size": "15002931888", "sys/block/nvme1n1/device/model": "SAMSUNG MZWLJ7T6HALA-00007", "sys/block/nvme1n1/dev": "259:1",
		"sys/block/nvme2n1/size": "15002931888", "sys/block/nvme2n1/device/model": "INTEL SSDPF2KX076TZ", "sys/block/nvme2n1/dev": "259:2", "sys/block/nvme2n1/holders/md0/x": "",
		"sys/block/nvme10n1/size": "15002931888", "sys/block/nvme10n1/device/model": "SAMSUNG MZWLJ7T6HALA-00007", "sys/block/nvme10n1/dev": "259:9", "sys/block/nvme10n1/hidden": "1",
		"sys/block/sda/size": "1875385008", "sys/block/sda/device/vendor": "ATA     ", "sys/block/sda/device/model": "DELLBOSS VD", "sys/block/sda/dev": "8:0", "sys/block/sda/queue/rotational": "0",
		"sys/block/sda/sda1/partition": "1", "sys/block/sda/sda1/dev": "8:1",
		"sys/block/sdb/size": "3907029168", "sys/block/sdb/device/model": "ST2000NX0253", "sys/block/sdb/dev": "8:16", "sys/block/sdb/queue/rotational": "1",
		"sys/block/sdb/sdb1/partition": "1", "sys/block/sdb/sdb1/dev": "8:17",
		"sys/block/sdc/size": "3907029168", "sys/block/sdc/device/model": "ST2000NX0253", "sys/block/sdc/dev": "8:32", "sys/block/sdc/queue/rotational": "1",
		"sys/block/sdd/size": "3907029168", "sys/block/sdd/device/model": "ST2000NX0253", "sys/block/sdd/dev": "8:48", "sys/block/sdd/queue/rotational": "1",
		"sys/block/sr0/size": "0", "sys/block/sr0/device/model": "DVD",
		"sys/block/loop0/size": "1000", "sys/block/dm-0/size": "1000",
		"proc/self/mountinfo": "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n30 22 0:44 / /data rw - btrfs /dev/sdd rw",
		"proc/swaps":          "Filename Type Size Used Priority\n/dev/sdc partition 1 0 -2",
	})
}

func TestScan(t *testing.T) {
	list, err := Scan(storageNode(t))
	require.NoError(t, err)
	var said []string
	for _, d := range list {
		said = append(said, d.String()+": "+d.InUse)
	}
	require.Equal(t, []string{
		"/dev/sda (ATA DELLBOSS VD, ssd, 960 GB): /dev/sda1 is mounted at /",
		"/dev/sdb (ST2000NX0253, hdd, 2.00 TB): /dev/sdb has 1 partition(s)",
		"/dev/sdc (ST2000NX0253, hdd, 2.00 TB): /dev/sdc is swap space",
		"/dev/sdd (ST2000NX0253, hdd, 2.00 TB): /dev/sdd is mounted at /data",
		"/dev/nvme0n1 (SAMSUNG MZWLJ7T6HALA-00007, nvme, 7.68 TB): ",
		"/dev/nvme1n1 (SAMSUNG MZWLJ7T6HALA-00007, nvme, 7.68 TB): ",
		"/dev/nvme2n1 (INTEL SSDPF2KX076TZ, nvme, 7.68 TB): /dev/nvme2n1 is part of md0",
	}, said)
	require.Equal(t, "S1", list[4].Serial)
}

func TestChoose(t *testing.T) {
	have, err := Scan(storageNode(t))
	require.NoError(t, err)
	chosen, err := Choose(map[string]artifacts.Device{
		"any":  {Kind: "nvme"},
		"pair": {Model: "*mzwlj7t6*", Size: 7e12},
	}, have)
	require.NoError(t, err)
	require.Equal(t, "/dev/nvme0n1", chosen["any"][0].Path)
	require.Equal(t, "/dev/nvme1n1", chosen["pair"][0].Path)

	_, err = Choose(map[string]artifacts.Device{"pair": {Model: "INTEL*"}}, have)
	require.ErrorContains(t, err, "device pair: 1 × INTEL* are asked for, and the machine has 0 that are free; /dev/nvme2n1 (INTEL SSDPF2KX076TZ, nvme, 7.68 TB) fits but is in use: /dev/nvme2n1 is part of md0")
	_, err = Choose(map[string]artifacts.Device{"a": {Kind: "nvme", Count: 2}, "b": {Kind: "nvme"}}, have)
	require.ErrorContains(t, err, "device b: 1 × nvme are asked for, and the machine has 0 that are free")
	// The system's disk is never given away, whatever is asked for.
	_, err = Choose(map[string]artifacts.Device{"a": {Kind: "ssd"}}, have)
	require.ErrorContains(t, err, "in use: /dev/sda1 is mounted at /")
}

// TestThisMachine reads the real kernel's files.
func TestThisMachine(t *testing.T) {
	list, err := This()
	require.NoError(t, err)
	for _, d := range list {
		t.Logf("%s: %s", d, d.InUse)
		require.NotZero(t, d.Bytes)
	}
}
