package telemetry

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bufio"
)

// smiFields are nvidia-smi's names of the sensors, in --query-gpu; PCIe rates
// it has only in dmon.
var smiFields = map[string]Sensor{
	"utilization.gpu": UtilizationGPU, "utilization.memory": UtilizationMemory,
	"memory.free": MemoryFree, "memory.used": MemoryUsed,
	"temperature.gpu": TemperatureGPU, "temperature.memory": TemperatureMemory,
	"power.draw": Power, "power.draw.instant": PowerInstant,
	"clocks.sm": ClockSM, "clocks.current.sm": ClockSM,
	"clocks.mem": ClockMemory, "clocks.current.memory": ClockMemory,
}

const maxLine = 64 << 10

// SMIReader reads the csv that nvidia-smi --query-gpu writes, with a line of
// column names, with units or without.
type SMIReader struct {
	in      *bufio.Scanner
	name    string
	zone    *time.Location
	line    int
	columns []smiColumn
}

type smiColumn struct {
	field  string
	sensor Sensor // negative: none
}

// NewSMIReader reads from r; name is for errors, zone is that of the timestamps.
func NewSMIReader(r io.Reader, name string, zone *time.Location) *SMIReader {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	return &SMIReader{in: in, name: name, zone: zone}
}

func (r *SMIReader) fail(format string, args ...any) error {
	return &FormatError{Name: r.name, Line: r.line, Msg: fmt.Sprintf(format, args...)}
}

// Read gives the next sample. The error is io.EOF at the end.
func (r *SMIReader) Read() (Sample, error) {
	s := missing()
	for {
		if !r.in.Scan() {
			if err := r.in.Err(); err != nil {
				r.line++
				if errors.Is(err, bufio.ErrTooLong) {
					return s, r.fail("over %d bytes long", maxLine)
				}
				return s, err
			}
			if r.columns == nil {
				return s, r.fail("no line of column names")
			}
			return s, io.EOF
		}
		r.line++
		text := strings.TrimSpace(strings.TrimPrefix(r.in.Text(), "\ufeff"))
		if text == "" {
			continue
		}
		fields := strings.Split(text, ",")
		if r.columns == nil {
			if err := r.header(fields); err != nil {
				return s, err
			}
			continue
		}
		if slices.Equal(r.names(fields), r.names(nil)) {
			continue // files put one after the other repeat the names
		}
		return s, r.sample(&s, fields)
	}
}

func smiName(field string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(field), " ")
	return name
}

// names are those of the columns, or of fields.
func (r *SMIReader) names(fields []string) (all []string) {
	for _, f := range fields {
		all = append(all, smiName(f))
	}
	if fields == nil {
		for _, c := range r.columns {
			all = append(all, c.field)
		}
	}
	return all
}

func (r *SMIReader) header(fields []string) error {
	known, timed := 0, false
	for _, f := range fields {
		name := smiName(f)
		sensor, ok := smiFields[name]
		if ok {
			known++
		} else {
			sensor = -1
		}
		timed = timed || name == "timestamp"
		r.columns = append(r.columns, smiColumn{name, sensor})
	}
	switch {
	case known == 0:
		return r.fail("no column of nvidia-smi --query-gpu is named here; is the csv written with noheader?")
	case !timed:
		return r.fail("no column timestamp: add it to --query-gpu")
	}
	return nil
}

// absent says that nvidia-smi has no value: [N/A], [Not Supported] and the like.
func absent(v string) bool {
	return v == "" || v == "N/A" || v == "-" || strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]")
}

func (r *SMIReader) sample(s *Sample, fields []string) error {
	if len(fields) != len(r.columns) {
		return r.fail("%d values for %d columns", len(fields), len(r.columns))
	}
	for i, c := range r.columns {
		v := strings.TrimSpace(fields[i])
		switch {
		case c.field == "timestamp":
			at, err := time.ParseInLocation("2006/01/02 15:04:05.000", v, r.zone)
			if err != nil {
				return r.fail("timestamp %q: want YYYY/MM/DD hh:mm:ss.mmm", v)
			}
			s.Time = float64(at.UnixMilli()) / 1000
		case c.field == "index":
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return r.fail("index %q: want a number", v)
			}
			s.GPU = n
		case c.sensor < 0 || absent(v):
		default:
			number, _, _ := strings.Cut(v, " ")
			x, err := strconv.ParseFloat(number, 64)
			if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
				return r.fail("%s %q: want a number", c.field, v)
			}
			s.Values[c.sensor] = x
		}
	}
	return nil
}
