package artifacts

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mendable is an error with a suggestion for a finding.
type mendable struct{ message, suggestion string }

func (e *mendable) Error() string      { return e.message }
func (e *mendable) Suggestion() string { return e.suggestion }

var (
	durationPattern = `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+`
	sizePattern     = `[0-9]+(\.[0-9]+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?`

	sizeForm    = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)
	measureForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)$`)
)

var longDurations = map[string]string{
	"sec": "s", "secs": "s", "second": "s", "seconds": "s",
	"min": "m", "mins": "m", "minute": "m", "minutes": "m",
	"hr": "h", "hrs": "h", "hour": "h", "hours": "h", "S": "s", "M": "m", "H": "h", "": "s",
	"s": "s", "m": "m", "h": "h", "ms": "ms", "us": "us", "ns": "ns",
}

// UnmarshalText reads 20s, 8m, 4h or 1h30m; a length of time is above zero.
func (d *Duration) UnmarshalText(text []byte) error {
	t, err := time.ParseDuration(string(text))
	if err == nil {
		if t <= 0 {
			return fmt.Errorf("%q is no length of time: it must be above zero", text)
		}
		*d = Duration(t)
		return nil
	}
	m := measureForm.FindStringSubmatch(string(text))
	if m == nil {
		return &mendable{fmt.Sprintf("%q is no length of time", text), "write it as 20s, 8m, 4h or 1h30m"}
	}
	if m[2] == "" {
		return &mendable{fmt.Sprintf("%q has no unit of time", text), fmt.Sprintf("did you mean %q?", m[1]+"s")}
	}
	e := &mendable{message: fmt.Sprintf("unknown unit of time %q in %q", m[2], text), suggestion: "the units are ms, s, m and h"}
	if unit, ok := longDurations[m[2]]; ok {
		e.suggestion = fmt.Sprintf("did you mean %q?", m[1]+unit)
	} else if days, err := strconv.ParseFloat(m[1], 64); err == nil && slices.Contains([]string{"d", "day", "days"}, m[2]) {
		e.suggestion = fmt.Sprintf("did you mean %q?", FormatValue(days*24)+"h")
	}
	return e
}

// String spells the duration as a manifest does.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText is the inverse of UnmarshalText.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Pattern is for the JSON schema.
func (Duration) Pattern() string { return durationPattern }

var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
}

// UnmarshalText reads 512MiB, 2GB or a plain number of bytes.
func (s *Size) UnmarshalText(text []byte) error {
	m := sizeForm.FindStringSubmatch(string(text))
	if m == nil {
		return &mendable{fmt.Sprintf("%q is no size", text), "write it as 512MiB, 2GB or a plain number of bytes"}
	}
	unit := m[2]
	if unit == "" {
		unit = "B"
	}
	for _, u := range sizeUnits {
		if u.name != unit {
			continue
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil || n*u.bytes >= 1<<63 {
			return fmt.Errorf("%q is too large a size", text)
		}
		if n == 0 {
			return fmt.Errorf("%q is no size: it must be above zero", text)
		}
		*s = Size(n * u.bytes)
		return nil
	}
	e := &mendable{message: fmt.Sprintf("unknown unit of size %q in %q", m[2], text), suggestion: "the units are B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024)"}
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) || strings.EqualFold(u.name, unit+"B") {
			e.suggestion = fmt.Sprintf("did you mean %q?", m[1]+u.name)
			break
		}
	}
	return e
}

// String spells the size in the largest unit that divides it.
func (s Size) String() string {
	for _, name := range []string{"TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"} {
		for _, u := range sizeUnits {
			if u.name == name && s > 0 && uint64(s)%uint64(u.bytes) == 0 {
				return strconv.FormatUint(uint64(s)/uint64(u.bytes), 10) + name
			}
		}
	}
	return strconv.FormatUint(uint64(s), 10) + "B"
}

// MarshalText is the inverse of UnmarshalText.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Pattern is for the JSON schema.
func (Size) Pattern() string { return sizePattern }
