package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/report"
	"reprise/runner/report/crate"
)

// betrayed is the log of the failed run with its makers' names wherever a run
// writes anything down that comes from outside.
func betrayed(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile("testdata/failed-step/events.jsonl")
	require.NoError(t, err)
	const host = "ssh:lovelace@db1.example.org:2222"
	text := strings.NewReplacer(
		`"name":"local"`, `"name":"`+host+`","identity":{"host":"engine-7.cluster.example.org","user":"lovelace","home":"/data/homes/lovelace"},
			"kernel_command_line":"BOOT_IMAGE=/vmlinuz-6.1 root=UUID=0fc63daf-8483-4772-8e79-3d69d8477de4 ro nfsroot=10.20.30.41:/srv/engine mitigations=off isolcpus=2-7 rd.lvm.lv=engine7-vg/root panic=1",
			"numa":[{"cpus":"0-1","memory":1024}],"disks":[{"path":"/dev/nvme0n1","model":"SAMSUNG MZWLJ7T6","firmware":"EPK98B5Q","kind":"nvme","bytes":7681501126656}],
			"mounts":[{"of":"work","type":"nfs4","source":"filer.example.org:/export/lovelace","options":"rw,vers=4.2,clientaddr=10.20.30.40,hard"},
				{"of":"results","type":"ext4","source":"/dev/mapper/engine--7--vg-root","options":"rw,errors=remount-ro,uid=1000"}],
			"environment":{"OMP_NUM_THREADS":"8","LD_LIBRARY_PATH":"/home/lovelace/lib:/opt/lib","TMPDIR":"/data/homes/lovelace/tmp"}`,
		`"node":"local"`, `"node":"`+host+`"`,
		`--on local`, `--on `+host+` --param folder=/home/lovelace/traces`,
		`"user_seconds"`, `"outputs":[{"name":"home/lovelace/out.csv","bytes":3,"sha256":"ba7816bf"}],"disk_bytes":4096,"user_seconds"`,
		`"error":"`, `"error":"lovelace@engine-7 (10.20.30.40, fe80::5054:ff:fe12:3456): /data/homes/lovelace/x: `,
		`"tail":["`, `"tail":["cannot mount UUID 0fc63daf-8483-4772-8e79-3d69d8477de4 for lovelace on engine-7.cluster.example.org","a line on 52:54:00:12:34:56 at 2001:db8::1, from countess at babbage",
			"127.0.0.1 and 12:34:56 stay, and CHI@UC, CHI@Edge","`,
	).Replace(string(log))
	for _, planted := range []string{"nfsroot", `"node":"ssh:`, "traces", "fe80", "countess"} {
		require.Contains(t, text, planted)
	}
	text = strings.NewReplacer("\n\t\t\t\t", "", "\n\t\t\t", "").Replace(text)
	return text
}

// telling is what an anonymous output must not have, and nothing less.
var telling = []string{
	"lovelace", "db1", "example.org", "engine", "cluster", "filer", "10.20.30", "fe80", "2001:db8", "0fc63daf", "52:54:00", "/var/lib/reprise", "homes", "countess", "babbage",
}

// A crate leaves out a manifest that names somebody; those that ship name nobody.
func TestShippedManifestsNameNobody(t *testing.T) {
	for _, name := range artifacts.EmbeddedNames() {
		text, err := artifacts.EmbeddedSource(name)
		require.NoError(t, err)
		require.False(t, new(report.Run).Names(string(text)), name)
	}
}

func TestReportsAreAnonymous(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "events.jsonl"), []byte(betrayed(t)), 0o600))
	anonymous, err := report.Read(folder)
	require.NoError(t, err)
	anonymous.Anonymise("countess", "babbage")
	named, err := report.Read(folder)
	require.NoError(t, err)
	for _, f := range report.Formats {
		out := string(written(t, f.Name, anonymous))
		for _, word := range telling {
			require.NotContains(t, out, word, f.Name)
		}
		if f.Name == "html" || f.Name == "json" {
			require.Contains(t, out, "home/user/out.csv", f.Name)
		}
		if f.Name == "junit" || f.Name == "html" || f.Name == "markdown" || f.Name == "github" {
			require.Contains(t, out, "127.0.0.1 and 12:34:56 stay, and CHI@UC, CHI@Edge", f.Name)
			require.Contains(t, string(written(t, f.Name, named)), "engine-7.cluster.example.org", f.Name)
		}
	}
	page := string(written(t, "html", anonymous))
	for _, kept := range []string{
		"--on node1 --param folder=~/traces", "mitigations=off isolcpus=2-7 rd.lvm.lv=… panic=1", "root=… ro nfsroot=…", "SAMSUNG MZWLJ7T6, firmware EPK98B5Q",
		"nfs4 on a server (rw,vers=4.2,clientaddr=…,hard)", "ext4 on /dev/mapper/… (rw,errors=remount-ro,uid=1000)", "~/lib:/opt/lib",
	} {
		require.Contains(t, page, kept)
	}

	for _, identify := range []bool{false, true} {
		c, err := crate.Pack(folder, crate.Options{Identify: identify, Private: []string{"countess", "babbage"}})
		require.NoError(t, err)
		all := ""
		for _, f := range c.Files {
			all += f.Name + "\n" + string(f.Data)
		}
		for _, word := range telling {
			if !identify {
				require.NotContains(t, all, word)
			}
		}
		require.Equal(t, identify, strings.Contains(all, "lovelace@engine-7 (10.20.30.40"))
	}
}

// A user called as something that is measured does not change what was.
func TestAnonymityLeavesMeasurementsAlone(t *testing.T) {
	r, err := report.Read("testdata/sample")
	require.NoError(t, err)
	before := string(written(t, "bench", r))
	r.Anonymise("lru", "workload", "size")
	require.Equal(t, before, string(written(t, "bench", r)))
}
