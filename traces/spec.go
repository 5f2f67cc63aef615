package traces

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// IsSpec says whether a path names a generated trace.
func IsSpec(path string) bool {
	return strings.HasPrefix(path, "gen:") || strings.HasPrefix(path, "profile:")
}

// SpecHelp tells how a generated trace is named wherever a path may stand.
const SpecHelp = `gen:PATTERN?key=value&…    a pattern with parameters
profile:NAME?n=…&seed=…    a profile that imitates a published workload

Patterns: zipf, uniform, sequential, loop, once, mix, phases. Keys:
  n=1000000            requests
  seed=1               the same seed gives the same trace everywhere
  objects=100000       zipf, uniform, loop, sequential: blocks or objects there are
  alpha=1              zipf: exponent, 0 or more
  streams=1, run=0     sequential: interleaved streams; mean requests between jumps, 0 for none
  part=W,PATTERN,key=value,…   mix: a part and its weight; phases: a part and its requests; repeat it
  block=4096           bytes between addresses
  mode=block           or object: requests name objects, each with its own fixed size
  reads=1              share of reads
  sizes=4096           bytes, or a mix 4096:3,65536:1; read-sizes and write-sizes for one of both;
                       lognormal:MEDIAN:SIGMA or lognormal:MEDIAN:SIGMA:GRAIN
  arrivals=exponential, constant, pareto (with shape=) or onoff (with on=, off= in seconds)
  rate=1000            mean requests a second`

// ParseSpec reads what names a generated trace: its workload, seed and number
// of requests. SpecHelp has the syntax.
func ParseSpec(spec string) (w Workload, seed uint64, n int64, err error) {
	fail := func(err error) (Workload, uint64, int64, error) {
		return Workload{}, 0, 0, fmt.Errorf("%s: %w", spec, err)
	}
	scheme, rest, _ := strings.Cut(spec, ":")
	name, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return fail(err)
	}
	p := params{values: values, used: map[string]bool{}}
	n, seed = int64(p.uint("n", 1_000_000)), p.uint("seed", 1)
	switch scheme {
	case "profile":
		profile, err := LookupProfile(name)
		if err != nil {
			return fail(err)
		}
		w = profile.Workload
	case "gen":
		w = Workload{
			Pattern: p.pattern(PatternKind(name)), Block: uint32(min(p.uint("block", 4096), 1<<31)), Reads: p.float("reads", 1),
			Arrivals: Arrivals{
				Kind: ArrivalKind(p.text("arrivals", string(Exponential))), Rate: p.float("rate", 1000),
				Shape: p.float("shape", 0), On: p.float("on", 0), Off: p.float("off", 0),
			},
		}
		both := p.sizes("sizes", FixedSize(4096))
		w.ReadSizes, w.WriteSizes = p.sizes("read-sizes", both), p.sizes("write-sizes", both)
		switch mode := p.text("mode", "block"); mode {
		case "block":
		case "object":
			w.Objects = true
		default:
			p.fail("mode", mode, "block or object")
		}
		for _, part := range p.list("part") {
			w.Pattern.Parts = append(w.Pattern.Parts, p.part(w.Pattern.Kind, part))
		}
	default:
		return fail(errors.New("want gen:PATTERN or profile:NAME"))
	}
	if err := p.end(); err != nil {
		return fail(err)
	}
	if n < 0 || n > 1<<40 {
		return fail(fmt.Errorf("n: want at most 2^40 requests"))
	}
	return w, seed, n, nil
}

func openSpec(spec string, o Options) (*Stream, error) {
	w, seed, n, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	s, err := w.Stream(seed, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	s.volume = o.Volume
	return s, nil
}

// params takes values by key and remembers which it was asked for.
type params struct {
	values url.Values
	used   map[string]bool
	err    error
}

func (p *params) fail(key, got, want string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s=%s: want %s", key, got, want)
	}
}

func (p *params) list(key string) []string {
	p.used[key] = true
	return p.values[key]
}

func (p *params) text(key, otherwise string) string {
	switch v := p.list(key); len(v) {
	case 0:
		return otherwise
	case 1:
		return v[0]
	default:
		p.fail(key, strings.Join(v, ","), "it once")
		return v[0]
	}
}

func (p *params) uint(key string, otherwise uint64) uint64 {
	s := p.text(key, "")
	if s == "" {
		return otherwise
	}
	v, err := strconv.ParseUint(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil || v > 1<<62 {
		p.fail(key, s, "a number of 0 or more")
	}
	return v
}

func (p *params) float(key string, otherwise float64) float64 {
	s := p.text(key, "")
	if s == "" {
		return otherwise
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0) {
		p.fail(key, s, "a number of 0 or more")
	}
	return v
}

func (p *params) pattern(kind PatternKind) Pattern {
	pattern := Pattern{Kind: kind}
	switch kind {
	case Zipf, Uniform, Loop, Sequential:
		pattern.Objects = p.uint("objects", 100_000)
	}
	switch kind {
	case Zipf:
		pattern.Alpha = p.float("alpha", 1)
	case Sequential:
		pattern.Streams, pattern.Run = int(min(p.uint("streams", 1), 1<<20)), p.float("run", 0)
	}
	return pattern
}

// part reads "WEIGHT,PATTERN,key=value,…".
func (p *params) part(of PatternKind, s string) Part {
	fields := strings.Split(s, ",")
	if len(fields) < 2 {
		p.fail("part", s, "WEIGHT,PATTERN,key=value,…")
		return Part{}
	}
	var part Part
	inner := params{values: url.Values{"weight": fields[:1]}, used: map[string]bool{}}
	if of == Phases {
		part.Length = inner.uint("weight", 0)
	} else {
		part.Weight = inner.float("weight", 0)
	}
	for _, f := range fields[2:] {
		key, value, _ := strings.Cut(f, "=")
		inner.values.Add(key, value)
	}
	part.Pattern = inner.pattern(PatternKind(fields[1]))
	if err := inner.end(); err != nil && p.err == nil {
		p.err = fmt.Errorf("part=%s: %w", s, err)
	}
	return part
}

func (p *params) sizes(key string, otherwise Sizes) Sizes {
	s := p.text(key, "")
	if s == "" {
		return otherwise
	}
	const want = "bytes, bytes:weight,…, or lognormal:MEDIAN:SIGMA[:GRAIN]"
	if log, ok := strings.CutPrefix(s, "lognormal:"); ok {
		f := strings.Split(log, ":")
		var v [3]float64
		for i := range f {
			if i < len(v) {
				v[i], _ = strconv.ParseFloat(f[i], 64)
			}
		}
		if len(f) < 2 || len(f) > 3 || !(v[0] >= 1) || !(v[1] >= 0) || !(v[2] >= 0 && v[2] <= 1<<30) {
			p.fail(key, s, want)
		}
		return Sizes{Median: v[0], Sigma: v[1], Grain: uint32(v[2])}
	}
	var sizes Sizes
	for _, item := range strings.Split(s, ",") {
		size, weight, weighted := strings.Cut(item, ":")
		if !weighted {
			weight = "1"
		}
		bytes, err1 := strconv.ParseUint(size, 10, 32)
		share, err2 := strconv.ParseFloat(weight, 64)
		if err1 != nil || err2 != nil {
			p.fail(key, s, want)
		}
		sizes.Bytes, sizes.Weights = append(sizes.Bytes, uint32(bytes)), append(sizes.Weights, share)
	}
	return sizes
}

// end reports the first bad value, or a key that nothing asked for.
func (p *params) end() error {
	if p.err != nil {
		return p.err
	}
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		if !p.used[key] {
			return fmt.Errorf("unknown key %q: this one takes %s", key, strings.Join(slices.Sorted(maps.Keys(p.used)), ", "))
		}
	}
	return nil
}
