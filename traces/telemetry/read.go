package telemetry

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are what a format leaves open.
type Options struct {
	Zone     *time.Location // of nvidia-smi's timestamps; UTC when nil
	Interval time.Duration  // between the samples of inputs without times (dcgmi dmon, SuperCloud); 100 ms when 0
}

func (o Options) interval() float64 {
	if o.Interval <= 0 {
		return 0.1
	}
	return o.Interval.Seconds()
}

// Open reads all of a file: reprise's own csv, nvidia-smi's, DCGM's, or a
// SuperCloud .npz; gzip or not. The format is told from the content.
func Open(path string, o Options) ([]Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4)
	if n, _ := io.ReadFull(f, head); n == 4 && string(head) == "PK\x03\x04" {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return ReadSuperCloud(f, info.Size(), path, o)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return Read(f, path, o)
}

// Read reads all of a text input; name is for errors.
func Read(r io.Reader, name string, o Options) ([]Series, error) {
	in := bufio.NewReaderSize(r, maxLine)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &FormatError{Name: name, Msg: err.Error()}
		}
		in = bufio.NewReaderSize(z, maxLine)
	}
	head, _ := in.Peek(maxLine) // what is there; an error shows again when it is read
	columns := ""
	for line := range strings.Lines(string(head)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "#Entity") && !strings.HasPrefix(line, "# Entity") {
			continue
		}
		columns = line
		break
	}
	switch {
	case columns == "":
		return nil, &FormatError{Name: name, Msg: "no line of column names"}
	case strings.HasPrefix(columns, "time_s,"):
		return readOwn(in, name)
	case strings.Contains(columns, "DCGM_FI_"):
		return readDCGM(in, name)
	case strings.HasPrefix(columns, "#"):
		return readDmon(in, name, o)
	}
	zone := o.Zone
	if zone == nil {
		zone = time.UTC
	}
	smi := NewSMIReader(in, name, zone)
	var g gather
	for {
		s, err := smi.Read()
		if errors.Is(err, io.EOF) {
			return g.series, nil
		}
		if err != nil {
			return nil, err
		}
		g.add(s, "", nil)
	}
}

// gather puts samples into series: one for each stretch of the same labels on
// the same GPU.
type gather struct {
	series []Series
	open   map[int]int    // GPU: its series
	as     map[int]string // GPU: the labels of its series
}

func (g *gather) add(s Sample, key string, labels Labels) {
	if g.open == nil {
		g.open, g.as = map[int]int{}, map[int]string{}
	}
	at, ok := g.open[s.GPU]
	if !ok || g.as[s.GPU] != key {
		at = len(g.series)
		g.series = append(g.series, Series{Labels: labels, Synthetic: labels["data"] == "synthetic"})
		g.open[s.GPU], g.as[s.GPU] = at, key
	}
	g.series[at].Samples = append(g.series[at].Samples, s)
}

// readOwn reads what [Writer] writes. Columns may be missing or in another
// order; names that are not known are an error, since a sensor would be lost.
func readOwn(in io.Reader, name string) ([]Series, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var g gather
	var columns []int // a sensor, or one of the others
	const timeColumn, gpuColumn, labelColumn = -1, -2, -3
	known := map[string]Labels{}
	for n := 1; lines.Scan(); n++ {
		fail := func(format string, args ...any) ([]Series, error) {
			return nil, &FormatError{Name: name, Line: n, Msg: fmt.Sprintf(format, args...)}
		}
		text := strings.TrimRight(lines.Text(), "\r")
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Split(text, ",")
		if columns == nil {
			for _, f := range fields {
				at := slices.Index(sensorNames[:], f)
				switch {
				case f == "time_s":
					at = timeColumn
				case f == "gpu":
					at = gpuColumn
				case f == "labels":
					at = labelColumn
				case at < 0:
					return fail("unknown column %q; the sensors are %s", f, strings.Join(sensorNames[:], ", "))
				}
				if slices.Contains(columns, at) {
					return fail("column %q stands twice", f)
				}
				columns = append(columns, at)
			}
			continue
		}
		if len(fields) != len(columns) {
			return fail("%d values for %d columns", len(fields), len(columns))
		}
		s, key := missing(), ""
		for i, f := range fields {
			switch {
			case columns[i] == labelColumn:
				key = f
				if _, ok := known[f]; !ok {
					l, err := ParseLabels(f)
					if err != nil {
						return fail("%v", err)
					}
					known[f] = l
				}
			case columns[i] == gpuColumn:
				gpu, err := strconv.Atoi(f)
				if err != nil || gpu < 0 {
					return fail("gpu %q: want a number", f)
				}
				s.GPU = gpu
			case f == "" && columns[i] >= 0:
			default:
				v, err := strconv.ParseFloat(f, 64)
				if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
					return fail("%q: want a number", f)
				}
				if columns[i] == timeColumn {
					s.Time = v
				} else {
					s.Values[columns[i]] = v
				}
			}
		}
		g.add(s, key, known[key])
	}
	if err := lines.Err(); err != nil {
		return nil, &FormatError{Name: name, Msg: err.Error()}
	}
	return g.series, nil
}
