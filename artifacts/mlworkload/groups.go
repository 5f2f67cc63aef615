package mlworkload

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"reprise/artifacts"
	"reprise/checks/stats"
	"reprise/policies/mlworkload"
)

// fewest run times a group needs for a fit and a test.
const fewest = 400

// grouped gives the run times by group: vc, month, or cluster, where the other
// logs are Philly's and openb's, each over its median so that only the shape
// is compared.
func grouped(env *artifacts.Env, by string) (map[string][]float64, []string, *rand.Rand, error) {
	groups := map[string][]float64{}
	var rng *rand.Rand
	add := func(l *mlworkload.Log, group func(*mlworkload.Job) string) error {
		names := map[string]bool{}
		for i := range l.Jobs {
			names[group(&l.Jobs[i])] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			some := l.Select(func(j *mlworkload.Job) bool { return group(j) == name })
			if len(some.Durations()) < fewest || name == "" {
				continue
			}
			x, err := some.Sample("duration", rng)
			if err != nil {
				return err
			}
			groups[name] = x
		}
		return nil
	}
	l, r, err := load(env)
	if err != nil {
		return nil, nil, nil, err
	}
	rng = r
	switch by {
	case "vc":
		err = add(l, func(j *mlworkload.Job) string { return j.VC })
	case "month":
		err = add(l, func(j *mlworkload.Job) string { return l.At(j.Submit).Format("2006-01") })
	case "cluster":
		for _, name := range []string{env.Params["log"].(string), "philly", "openb"} {
			other := *env
			other.Params = maps.Clone(env.Params)
			other.Params["log"] = name
			if l, _, err = load(&other); err != nil {
				break
			}
			if err = add(l, func(*mlworkload.Job) string { return name }); err != nil {
				break
			}
		}
		for _, x := range groups {
			median := stats.Median(x)
			for i := range x {
				x[i] /= math.Max(median, math.SmallestNonzeroFloat64)
			}
		}
	default:
		err = fmt.Errorf("by %q: want vc, month or cluster", by)
	}
	names := slices.Sorted(maps.Keys(groups))
	if err == nil && len(names) < 2 {
		err = fmt.Errorf("%s has %d groups by %s of at least %d run times: want two", l.Name, len(names), by, fewest)
	}
	return groups, names, rng, err
}
