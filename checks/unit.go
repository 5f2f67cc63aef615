package checks

import (
	"fmt"
	"strings"
)

// unit is a known unit: its dimension and its size in the dimension's smallest
// unit, so that the factors between units are whole numbers.
type unit struct {
	dim  string
	size float64
}

// The dimensions with units of more than one size. Every other symbol is a
// dimension of its own: "erases" compares with "erases" alone.
const (
	plain = "a plain number"
	time  = "a time"
	bytes = "a size"
)

var units = map[string]unit{
	"": {plain, 100}, "1": {plain, 100}, "x": {plain, 100}, "%": {plain, 1}, "pp": {plain, 1},
	"k": {plain, 100e3}, "M": {plain, 100e6}, "G": {plain, 100e9}, "T": {plain, 100e12},

	"ns": {time, 1}, "us": {time, 1e3}, "µs": {time, 1e3}, "μs": {time, 1e3}, "ms": {time, 1e6},
	"s": {time, 1e9}, "min": {time, 60e9}, "h": {time, 3600e9},

	"B": {bytes, 1}, "kB": {bytes, 1e3}, "KB": {bytes, 1e3}, "MB": {bytes, 1e6}, "GB": {bytes, 1e9}, "TB": {bytes, 1e12}, "PB": {bytes, 1e15},
	"KiB": {bytes, 1 << 10}, "MiB": {bytes, 1 << 20}, "GiB": {bytes, 1 << 30}, "TiB": {bytes, 1 << 40}, "PiB": {bytes, 1 << 50},
}

// iops holds the prefixes of a field's own word for 1/s.
var iops = map[string]string{"IOPS": "1", "kIOPS": "k", "KIOPS": "k", "MIOPS": "M"}

// lookupUnit finds a unit by its symbol: one of the table, a rate of two units
// as in MiB/s, 1/s or M/s, IOPS for 1/s, or a dimension
// of its own.
func lookupUnit(symbol string) unit {
	symbol = strings.TrimSpace(symbol)
	if u, ok := units[symbol]; ok {
		return u
	}
	if prefix, ok := iops[symbol]; ok {
		symbol = prefix + "/s"
	}
	if above, below, ok := strings.Cut(symbol, "/"); ok && below != "" {
		a, b := lookupUnit(above), lookupUnit(below)
		if a.dim == b.dim {
			return unit{plain, 100 * a.size / b.size}
		}
		return unit{a.dim + " per " + b.dim, a.size / b.size}
	}
	return unit{symbol, 1}
}

// convert expresses a value given in one unit in another of its dimension.
func convert(v float64, from, to string) (float64, error) {
	if from == to {
		return v, nil
	}
	f, t := lookupUnit(from), lookupUnit(to)
	switch {
	case f.dim != t.dim:
		return 0, fmt.Errorf("unit mismatch: %s is not a unit of %s", describeUnit(from), describeUnit(to))
	case f.size >= t.size:
		return v * (f.size / t.size), nil
	default:
		return v / (t.size / f.size), nil
	}
}

// describeUnit names a unit together with its dimension, where that says more.
func describeUnit(symbol string) string {
	d := lookupUnit(symbol).dim
	switch {
	case symbol == "":
		return "a plain number"
	case d == symbol:
		return fmt.Sprintf("%q", symbol)
	}
	return fmt.Sprintf("%q (%s)", symbol, d)
}
