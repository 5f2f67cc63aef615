package telemetry

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dcgmFields are DCGM's names of the sensors, and what its unit is multiplied
// by: profiling metrics of PCIe are bytes a second.
var dcgmFields = map[string]struct {
	sensor Sensor
	scale  float64
}{
	"DCGM_FI_DEV_GPU_UTIL": {UtilizationGPU, 1}, "DCGM_FI_DEV_MEM_COPY_UTIL": {UtilizationMemory, 1},
	"DCGM_FI_DEV_FB_FREE": {MemoryFree, 1}, "DCGM_FI_DEV_FB_USED": {MemoryUsed, 1},
	"DCGM_FI_DEV_GPU_TEMP": {TemperatureGPU, 1}, "DCGM_FI_DEV_MEMORY_TEMP": {TemperatureMemory, 1},
	"DCGM_FI_DEV_POWER_USAGE": {Power, 1}, "DCGM_FI_DEV_POWER_USAGE_INSTANT": {PowerInstant, 1},
	"DCGM_FI_DEV_SM_CLOCK": {ClockSM, 1}, "DCGM_FI_DEV_MEM_CLOCK": {ClockMemory, 1},
	"DCGM_FI_PROF_PCIE_RX_BYTES": {PCIeRx, 1e-6}, "DCGM_FI_PROF_PCIE_TX_BYTES": {PCIeTx, 1e-6},
	// The short names of dcgmi dmon's columns.
	"GPUTL": {UtilizationGPU, 1}, "MCUTL": {UtilizationMemory, 1}, "FBFRE": {MemoryFree, 1}, "FBUSD": {MemoryUsed, 1},
	"TMPTR": {TemperatureGPU, 1}, "MMTMP": {TemperatureMemory, 1}, "POWER": {Power, 1},
	"SMCLK": {ClockSM, 1}, "MMCLK": {ClockMemory, 1}, "PCIRX": {PCIeRx, 1e-6}, "PCITX": {PCIeTx, 1e-6},
}

// readDCGM reads csv whose columns are named by DCGM's fields, beside timestamp
// or time (seconds, milliseconds or microseconds since 1970, or RFC 3339) and,
// if there is more than one, gpu or gpu_id. Other columns are passed over.
func readDCGM(in io.Reader, name string) ([]Series, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var g gather
	var columns []string
	for n := 1; lines.Scan(); n++ {
		fail := func(format string, args ...any) ([]Series, error) {
			return nil, &FormatError{Name: name, Line: n, Msg: fmt.Sprintf(format, args...)}
		}
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Split(text, ",")
		for i := range fields {
			fields[i] = strings.Trim(strings.TrimSpace(fields[i]), `"`)
		}
		if columns == nil {
			columns = fields
			if !slices.ContainsFunc(fields, isTime) {
				return fail("no column timestamp or time")
			}
			continue
		}
		if len(fields) != len(columns) {
			return fail("%d values for %d columns", len(fields), len(columns))
		}
		s := missing()
		for i, c := range columns {
			v := fields[i]
			field, sensor := dcgmFields[c]
			switch {
			case isTime(c):
				at, err := dcgmTime(v)
				if err != nil {
					return fail("%v", err)
				}
				s.Time = at
			case c == "gpu" || c == "gpu_id":
				gpu, err := strconv.Atoi(v)
				if err != nil || gpu < 0 {
					return fail("%s %q: want a number", c, v)
				}
				s.GPU = gpu
			case !sensor || absent(v):
			default:
				x, err := strconv.ParseFloat(v, 64)
				if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
					return fail("%s %q: want a number", c, v)
				}
				s.Values[field.sensor] = x * field.scale
			}
		}
		g.add(s, "", nil)
	}
	if err := lines.Err(); err != nil {
		return nil, &FormatError{Name: name, Msg: err.Error()}
	}
	return g.series, nil
}

func isTime(column string) bool { return column == "timestamp" || column == "time" }

func dcgmTime(v string) (float64, error) {
	if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return float64(at.UnixNano()) / 1e9, nil
	}
	x, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(x) || x < 0 || x > 1e17 {
		return 0, fmt.Errorf("time %q: want seconds, milliseconds or microseconds since 1970, or RFC 3339", v)
	}
	for x > 1e11 { // later than the year 5000: a smaller unit
		x /= 1000
	}
	return x, nil
}

// readDmon reads what dcgmi dmon prints: a line of short column names that
// begins with #Entity, a line of units, and lines "GPU 0  12  3.5 …". It has no
// times; rows of one GPU are an interval apart.
func readDmon(in io.Reader, name string, o Options) ([]Series, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var g gather
	var columns []string
	rows := map[int]int{}
	for n := 1; lines.Scan(); n++ {
		fail := func(format string, args ...any) ([]Series, error) {
			return nil, &FormatError{Name: name, Line: n, Msg: fmt.Sprintf(format, args...)}
		}
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && fields[0] == "#" {
			fields = append([]string{"#" + fields[1]}, fields[2:]...)
		}
		switch {
		case len(fields) == 0:
			continue
		case fields[0] == "#Entity":
			if columns != nil && !slices.Equal(columns, fields[1:]) {
				return fail("the columns change")
			}
			columns = fields[1:]
			continue
		case fields[0] != "GPU": // the line of units
			continue
		case len(fields) != 2+len(columns):
			return fail("%d values for %d columns", len(fields)-2, len(columns))
		}
		s := missing()
		gpu, err := strconv.Atoi(fields[1])
		if err != nil || gpu < 0 {
			return fail("GPU %q: want a number", fields[1])
		}
		s.GPU, s.Time = gpu, float64(rows[gpu])*o.interval()
		rows[gpu]++
		for i, c := range columns {
			field, ok := dcgmFields[c]
			if v := fields[2+i]; ok && !absent(v) {
				x, err := strconv.ParseFloat(v, 64)
				if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
					return fail("%s %q: want a number", c, v)
				}
				s.Values[field.sensor] = x * field.scale
			}
		}
		g.add(s, "", nil)
	}
	if err := lines.Err(); err != nil {
		return nil, &FormatError{Name: name, Msg: err.Error()}
	}
	return g.series, nil
}
