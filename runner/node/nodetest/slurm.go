package nodetest

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Slurm is a real Slurm of one machine, with a controller, munge and folders of
// its own. It has eight cores, whatever this machine has, and two partitions:
// main, and short, where jobs end after a minute.
type Slurm struct {
	Dir  string // of everything, for a spool folder, too
	Conf string // what SLURM_CONF has to be

	daemons []*exec.Cmd // munged, slurmctld, slurmd
}

// StartSlurm starts a Slurm and sets SLURM_CONF for the test, or skips it where
// there is none.
func StartSlurm(t testing.TB) *Slurm {
	t.Helper()
	// Debian puts the daemons where not every user's path leads.
	path := os.Getenv("PATH") + ":/usr/sbin:/usr/local/sbin"
	t.Setenv("PATH", path)
	for _, name := range []string{"munged", "slurmctld", "slurmd", "sbatch", "squeue"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs Slurm (%s): apt-get install slurm-wlm munge", name)
		}
	}
	dir, err := os.MkdirTemp("", "slurm") //nolint:usetesting // daemons may still write when the test ends
	require.NoError(t, err)
	s := &Slurm{Dir: dir, Conf: filepath.Join(dir, "slurm.conf")}
	t.Cleanup(func() {
		s.stop()
		_ = os.RemoveAll(dir)
	})
	for _, name := range []string{"munge", "state", "spool"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	key := make([]byte, 128)
	_, _ = rand.Read(key)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "munge", "key"), key, 0o600))
	me, err := user.Current()
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	host, _, _ = strings.Cut(host, ".")
	require.NoError(t, os.WriteFile(s.Conf, fmt.Appendf(nil, `ClusterName=test
SlurmctldHost=%[1]s(127.0.0.1)
SlurmUser=%[2]s
SlurmdUser=%[2]s
AuthType=auth/munge
AuthInfo=socket=%[3]s/munge/socket
SlurmctldPort=%[4]d
SlurmdPort=%[5]d
StateSaveLocation=%[3]s/state
SlurmdSpoolDir=%[3]s/spool
SlurmctldPidFile=%[3]s/slurmctld.pid
SlurmdPidFile=%[3]s/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerParameters=bf_interval=1,sched_interval=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=3
MaxArraySize=1001
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname=%[1]s NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n1 Default=YES MaxTime=120 State=UP
PartitionName=short Nodes=n1 MaxTime=1 State=UP
`, host, me.Username, dir, freePort(t), freePort(t)), 0o600))
	t.Setenv("SLURM_CONF", s.Conf)
	s.start(t, "munged", "--foreground", "--force", "--num-threads=2",
		"--key-file="+dir+"/munge/key", "--socket="+dir+"/munge/socket", "--pid-file="+dir+"/munge/pid", "--log-file="+dir+"/munge/log", "--seed-file="+dir+"/munge/seed")
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "munge", "socket"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "munge does not start")
	s.start(t, "slurmctld", "-D", "-L", dir+"/slurmctld.log")
	s.start(t, "slurmd", "-D", "-N", "n1", "-L", dir+"/slurmd.log")
	require.Eventually(t, func() bool {
		out, err := exec.Command("sinfo", "--noheader", "--format=%T").Output()
		return err == nil && strings.Contains(string(out), "idle")
	}, 30*time.Second, 100*time.Millisecond, "slurm does not start: %s", s.Conf)
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *Slurm) start(t testing.TB, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	require.NoError(t, c.Start())
	s.daemons = append(s.daemons, c)
}

// stop cancels all jobs and ends the daemons, the last started first.
func (s *Slurm) stop() {
	if me, err := user.Current(); err == nil && len(s.daemons) == 3 {
		_ = exec.Command("scancel", "--quiet", "--full", "--signal=KILL", "--user="+me.Username).Run()
		_ = exec.Command("scancel", "--quiet", "--user="+me.Username).Run()
	}
	for i := len(s.daemons) - 1; i >= 0; i-- {
		c := s.daemons[i]
		_ = c.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(5*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		timer.Stop()
	}
	s.daemons = nil
}
