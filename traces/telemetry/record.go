package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Recording samples NVIDIA GPUs through the driver's own nvidia-smi.
type Recording struct {
	Program  string         // nvidia-smi
	GPU      string         // index or UUID; empty: all
	Interval time.Duration  // between samples; nvidia-smi adds the time its query takes
	PCIe     bool           // also the PCIe rates, once a second, from nvidia-smi dmon
	Zone     *time.Location // of nvidia-smi's timestamps
	Labels   Labels         // of every sample
	Marks    string         // file of marks that is followed; empty: none
}

// Info is what a recording's first query tells.
type Info struct {
	Fields []string // of nvidia-smi that the driver knows
	GPUs   []string // for each: name, driver, memory, power limit
}

// smiWanted is what is asked of nvidia-smi; drivers that know less are asked less.
var smiWanted = []string{"timestamp", "index", "utilization.gpu", "utilization.memory", "memory.free", "memory.used",
	"temperature.gpu", "temperature.memory", "power.draw", "power.draw.instant", "clocks.sm", "clocks.mem"}

// Probe asks once, to learn which fields this driver knows and what the GPUs are.
func (r *Recording) Probe(ctx context.Context) (Info, error) {
	info := Info{Fields: slices.Clone(smiWanted)}
	for {
		out, err := r.command(ctx, "--query-gpu="+strings.Join(info.Fields, ","), "--format=csv,nounits").Output()
		if err == nil {
			reader := NewSMIReader(bytes.NewReader(out), r.Program, r.Zone)
			if _, err := reader.Read(); err != nil {
				return info, fmt.Errorf("what it printed is no sample: %w", err)
			}
			break
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return info, err
		}
		said := strings.TrimSpace(string(out) + string(exit.Stderr))
		unknown := slices.IndexFunc(info.Fields, func(f string) bool { return strings.Contains(said, `"`+f+`"`) })
		if unknown < 2 { // without a time or an index there is no sample
			return info, fmt.Errorf("%s: %w: %s", r.Program, err, said)
		}
		info.Fields = slices.Delete(info.Fields, unknown, unknown+1)
	}
	out, err := r.command(ctx, "--query-gpu=index,name,driver_version,memory.total,power.limit", "--format=csv,noheader").Output()
	for line := range strings.Lines(string(out)) {
		info.GPUs = append(info.GPUs, strings.TrimSpace(line))
	}
	return info, err
}

func (r *Recording) command(ctx context.Context, args ...string) *exec.Cmd {
	if r.GPU != "" {
		args = append([]string{"-i", r.GPU}, args...)
	}
	c := exec.CommandContext(ctx, r.Program, args...)
	c.Env = append(os.Environ(), "LC_ALL=C")
	// A Ctrl-C of the terminal is for reprise alone, which then ends this too.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// holdBack is how many seconds a sample waits for marks of its time.
const holdBack = 1.0

// Run samples until ctx ends, which is no error, or nvidia-smi does, which is.
// Each sample goes to take with its labels: those of the recording and of the
// last mark before it. A mark that cannot be read is left out, and told of in
// the error at the end; no sample is lost by it.
func (r *Recording) Run(ctx context.Context, info Info, take func(*Sample, Labels) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := r.command(ctx, "--query-gpu="+strings.Join(info.Fields, ","), "--format=csv,nounits",
		"-lms", strconv.FormatInt(max(1, r.Interval.Milliseconds()), 10))
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		if ctx.Err() != nil {
			return nil // before the first sample
		}
		return err
	}
	rates := &pcie{last: map[int][2]float64{}}
	var rest sync.WaitGroup
	if r.PCIe {
		rest.Go(func() { rates.follow(r.command(ctx, "dmon", "-s", "t", "-d", "1")) })
	}
	marks := &marks{path: r.Marks, always: r.Labels}
	reader := NewSMIReader(out, r.Program, r.Zone)
	var held []Sample
	give := func(until float64) error {
		if err := marks.read(); err != nil {
			return err
		}
		n := 0
		for ; n < len(held) && held[n].Time <= until; n++ {
			if err := take(&held[n], marks.at(held[n].Time)); err != nil {
				return err
			}
		}
		held = slices.Delete(held, 0, n)
		return nil
	}
	var failed error
	for failed == nil {
		s, err := reader.Read()
		if err != nil {
			if ctx.Err() == nil {
				failed = err
			}
			break
		}
		rates.fill(&s)
		held = append(held, s)
		if s.Time-held[0].Time > 2*holdBack {
			failed = give(s.Time - holdBack)
		}
	}
	ended := ctx.Err() != nil
	stop()
	_, _ = io.Copy(io.Discard, out)
	waited := c.Wait()
	rest.Wait()
	if err := give(math.Inf(1)); failed == nil {
		failed = err
	}
	switch {
	case ended:
		return marks.bad
	case errors.Is(failed, io.EOF):
		// Its exit status goes first; nil where it says all is well.
		return errors.Join(waited, fmt.Errorf("%s ended by itself: %s", r.Program, strings.TrimSpace(said.String())), marks.bad)
	}
	return errors.Join(failed, marks.bad)
}

// pcie holds the last rates that dmon told, by GPU.
type pcie struct {
	mu   sync.Mutex
	last map[int][2]float64
}

func (p *pcie) follow(c *exec.Cmd) {
	out, err := c.StdoutPipe()
	if err != nil || c.Start() != nil {
		return // no rates then: the columns stay empty
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			continue
		}
		gpu, err1 := strconv.Atoi(f[0])
		rx, err2 := strconv.ParseFloat(f[1], 64)
		tx, err3 := strconv.ParseFloat(f[2], 64)
		if err1 == nil && err2 == nil && err3 == nil {
			p.mu.Lock()
			p.last[gpu] = [2]float64{rx, tx}
			p.mu.Unlock()
		}
	}
	_ = c.Wait() // ended by the context
}

func (p *pcie) fill(s *Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.last[s.GPU]; ok {
		s.Values[PCIeRx], s.Values[PCIeTx] = v[0], v[1]
	}
}

// marks follows the file in which a workload says what it is doing: a line is a
// time in seconds since 1970 and labels, key=value, with spaces between them.
// The labels hold until the next mark.
type marks struct {
	path   string
	always Labels
	offset int64
	rest   []byte // of a line that is not yet whole
	times  []float64
	labels []Labels
	lines  int
	bad    error
}

func (m *marks) read() error {
	if m.path == "" {
		return nil
	}
	f, err := os.Open(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(m.offset, io.SeekStart); err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	m.offset += int64(len(data))
	m.rest = append(m.rest, data...)
	for {
		line, rest, whole := bytes.Cut(m.rest, []byte("\n"))
		if !whole {
			return nil
		}
		m.rest = rest
		m.lines++
		if err := m.add(strings.Fields(string(line))); err != nil && m.bad == nil {
			m.bad = &FormatError{Name: m.path, Line: m.lines, Msg: err.Error()}
		}
	}
}

func (m *marks) add(fields []string) error {
	if len(fields) == 0 {
		return nil
	}
	at, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || math.IsNaN(at) || math.IsInf(at, 0) {
		return fmt.Errorf("time %q: want seconds since 1970", fields[0])
	}
	l := Labels{}
	for k, v := range m.always {
		l[k] = v
	}
	for _, f := range fields[1:] {
		k, v, err := ParseLabel(f)
		if err != nil {
			return err
		}
		l[k] = v
	}
	i, _ := slices.BinarySearch(m.times, at)
	for i < len(m.times) && m.times[i] == at {
		i++
	}
	m.times, m.labels = slices.Insert(m.times, i, at), slices.Insert(m.labels, i, l)
	return nil
}

// at are the labels that hold at a time.
func (m *marks) at(t float64) Labels {
	i, _ := slices.BinarySearchFunc(m.times, t, func(a, b float64) int {
		if a <= b {
			return -1
		}
		return 1
	})
	if i == 0 {
		return m.always
	}
	return m.labels[i-1]
}
