// Package telemetry reads, writes, records and generates the time series that
// the sensors of a GPU give while a job runs: nvidia-smi's csv, DCGM's, the
// files of the MIT SuperCloud workload classification challenge (arXiv
// 2204.05839), and a csv of its own with labels.
//
// A [Sample] is one reading of all sensors of one GPU. A [Series] is the
// samples of one run, with the labels that say what ran. A reading that was not
// taken is NaN.
package telemetry

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Sensor is one of the readings of a sample.
type Sensor int

// The sensors. The first seven are those of the SuperCloud challenge, in its
// order.
const (
	UtilizationGPU    Sensor = iota // % of the driver's last sampling period in which a kernel ran
	UtilizationMemory               // % of that period in which device memory was read or written
	MemoryFree                      // MiB
	MemoryUsed                      // MiB
	TemperatureGPU                  // °C
	TemperatureMemory               // °C
	Power                           // W; on Ampere and later the driver's mean over a second
	PowerInstant                    // W, at the moment
	ClockSM                         // MHz
	ClockMemory                     // MHz
	PCIeRx                          // MB/s into the GPU, over the last second
	PCIeTx                          // MB/s out of the GPU, over the last second
	Sensors                         // how many there are
)

// Challenge is how many sensors the SuperCloud challenge has: the first ones.
const Challenge = PowerInstant

var sensorNames = [Sensors]string{
	"utilization_gpu_pct", "utilization_memory_pct", "memory_free_MiB", "memory_used_MiB",
	"temperature_gpu", "temperature_memory", "power_draw_W", "power_instant_W",
	"clock_sm_MHz", "clock_memory_MHz", "pcie_rx_MBps", "pcie_tx_MBps",
}

func (s Sensor) String() string {
	if s < 0 || s >= Sensors {
		return fmt.Sprintf("sensor %d", int(s))
	}
	return sensorNames[s]
}

// Sample is one reading of all sensors of one GPU.
type Sample struct {
	Time   float64 // seconds since 1970, or since the start where only that is known
	GPU    int     // the GPU's index on its machine
	Values [Sensors]float64
}

// missing is a sample without readings.
func missing() (s Sample) {
	for i := range s.Values {
		s.Values[i] = math.NaN()
	}
	return s
}

// Labels say what ran: family, mode, batch and so on.
type Labels map[string]string

// String writes labels as key=value, in the order of their keys, with
// semicolons between them.
func (l Labels) String() string {
	var b strings.Builder
	for i, k := range slices.Sorted(maps.Keys(l)) {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(k + "=" + l[k])
	}
	return b.String()
}

// ParseLabel reads key=value. Neither part may be empty or hold what separates
// labels and columns.
func ParseLabel(s string) (key, value string, err error) {
	key, value, found := strings.Cut(s, "=")
	if !found || key == "" || value == "" || strings.ContainsAny(s, ";,\"\r\n\t ") || strings.Contains(value, "=") {
		return "", "", fmt.Errorf("label %q: want key=value without spaces, commas, semicolons or quotes", s)
	}
	return key, value, nil
}

// ParseLabels reads what [Labels.String] writes.
func ParseLabels(s string) (Labels, error) {
	l := Labels{}
	for part := range strings.SplitSeq(s, ";") {
		if part == "" {
			continue
		}
		k, v, err := ParseLabel(part)
		if err != nil {
			return nil, err
		}
		l[k] = v
	}
	return l, nil
}

// Series is the samples of one run on one GPU, in the order of time.
type Series struct {
	Labels  Labels
	Samples []Sample
	// Synthetic says that the series was generated, not measured.
	Synthetic bool
}

// Duration is the time from the first sample to the last, in seconds.
func (s *Series) Duration() float64 {
	if len(s.Samples) < 2 {
		return 0
	}
	return s.Samples[len(s.Samples)-1].Time - s.Samples[0].Time
}

// Values are the readings of one sensor.
func (s *Series) Values(of Sensor) []float64 {
	v := make([]float64, len(s.Samples))
	for i := range v {
		v[i] = s.Samples[i].Values[of]
	}
	return v
}

// Has says whether a sensor was read in every sample.
func (s *Series) Has(of Sensor) bool {
	for i := range s.Samples {
		if math.IsNaN(s.Samples[i].Values[of]) {
			return false
		}
	}
	return len(s.Samples) > 0
}
