package artifacts

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// load decodes the experiment E1 whose keys, beyond title and run, are given.
func load(t testing.TB, keys string) Experiment {
	t.Helper()
	text := "reprise: 1\nartifact: demo\ntitle: t\nexperiments:\n  E1:\n    title: t\n"
	for line := range strings.Lines(strings.Trim(keys, "\n")) {
		text += "    " + line
	}
	m, findings := Load("test.yaml", []byte(text+"\n"))
	require.NoError(t, findings.Err())
	return m.Experiments["E1"]
}

const shell = `
run: [{name: step, sh: "true"}]
`

func spell(t testing.TB, e Experiment, profile string, overrides map[string]any) []string {
	t.Helper()
	points, err := e.Expand(profile, overrides)
	require.NoError(t, err)
	var out []string
	for _, p := range points {
		out = append(out, p.String())
	}
	return out
}

func TestExpandKeepsTheOrderOfTheFile(t *testing.T) {
	e := load(t, shell+`
profiles: {kick: {compute: 1s, with: {zeta: 1, alpha: 2}}}
matrix:
  policy: [lru, arc]
  repeat: 2
  zip: [{mode: [fast, slow], depth: [1, 32]}]
  cache: [1%]
`)
	require.Equal(t, []string{
		"policy=lru mode=fast depth=1 cache=1% seed=1",
		"policy=lru mode=fast depth=1 cache=1% seed=2",
		"policy=lru mode=slow depth=32 cache=1% seed=1",
		"policy=lru mode=slow depth=32 cache=1% seed=2",
		"policy=arc mode=fast depth=1 cache=1% seed=1",
		"policy=arc mode=fast depth=1 cache=1% seed=2",
		"policy=arc mode=slow depth=32 cache=1% seed=1",
		"policy=arc mode=slow depth=32 cache=1% seed=2",
	}, spell(t, e, "kick", nil))
	points, err := e.Expand("kick", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"policy", "mode", "depth", "cache", "seed", "alpha", "zeta"}, points[0].Keys)
	require.Equal(t, map[string]string{"policy": "lru", "mode": "fast", "depth": "1", "cache": "1%", "seed": "1"}, points[0].Labels())
	require.Equal(t, map[string]any{"policy": "lru", "mode": "fast", "depth": 1, "cache": "1%", "seed": 1, "alpha": 2, "zeta": 1}, points[0].Params)
}

func TestExpandProfilesAndOverrides(t *testing.T) {
	e := load(t, `
profiles:
  kick: {compute: 1s, with: {size: [1%], seeds: [3], ios: 50k}}
  local: {compute: 1s, with: {policy: belady}}
  paper: {compute: 1s}
matrix:
  policy: [lru, arc]
  size: [1%, 10%]
  exclude: ["policy == arc && size < 5%", seed > 3]
  repeat: 4
run: demo.sim
`)
	for _, c := range []struct {
		profile   string
		overrides map[string]any
		want      []string
	}{
		{"kick", nil, []string{"policy=lru size=1% seed=3"}},
		{"kick", map[string]any{"size": "20%"}, []string{"policy=lru size=20% seed=3", "policy=arc size=20% seed=3"}},
		{"kick", map[string]any{"size": "20%, 30%", "policy": "arc"}, []string{"policy=arc size=20% seed=3", "policy=arc size=30% seed=3"}},
		{"kick", map[string]any{"seed": "1,2", "policy": "lru"}, []string{"policy=lru size=1% seed=1", "policy=lru size=1% seed=2"}},
		{"kick", map[string]any{"seeds": []any{1}, "policy": "lru"}, []string{"policy=lru size=1% seed=1"}},
		{"kick", map[string]any{"policy": "lru", "ios": "1k,2k"}, []string{"policy=lru size=1% ios=1000 seed=3", "policy=lru size=1% ios=2000 seed=3"}},
		{"kick", map[string]any{"policy": "lru", "sizes": "1k,2k"}, []string{"policy=lru size=1% seed=3"}},
		{"local", map[string]any{"size": "1%"}, []string{"policy=belady size=1% seed=1", "policy=belady size=1% seed=2", "policy=belady size=1% seed=3"}},
	} {
		require.Equal(t, c.want, spell(t, e, c.profile, c.overrides), "%s %v", c.profile, c.overrides)
	}

	points, err := e.Expand("kick", map[string]any{"sizes": "1k,2k", "rate": 2, "warm": "true"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"policy": "lru", "size": "1%", "seed": 3, "ios": 50000, "rate": 2.0, "warm": true, "sizes": []int{1000, 2000},
	}, points[0].Params, "typed by the built-in, defaults filled in")
	require.Equal(t, []string{"policy", "size", "seed", "ios", "rate", "sizes", "warm"}, points[0].Keys)

	for _, c := range []struct {
		profile   string
		overrides map[string]any
		want      string
		suggest   string
	}{
		{"kick", map[string]any{"sise": 1}, `no parameter "sise"`, `did you mean "size"?`},
		{"kikc", nil, `there is no profile "kikc"`, `did you mean "kick"?`},
		{"kick", map[string]any{"ios": "many"}, `parameter "ios" takes a whole number`, ""},
		{"kick", map[string]any{"policy": "lru,lru"}, `axis "policy" has the value lru twice`, ""},
		{"kick", map[string]any{"policy": "arc"}, "exclude leaves no point", ""},
	} {
		_, err := e.Expand(c.profile, c.overrides)
		require.ErrorContains(t, err, c.want)
		require.Equal(t, c.suggest, suggested(err))
	}
}

func TestExpandWithoutMatrixIsOnePoint(t *testing.T) {
	e := load(t, "profiles: {kick: {compute: 1s}}\nrun: demo.sim\n")
	points, err := e.Expand("kick", nil)
	require.NoError(t, err)
	require.Len(t, points, 1)
	require.Empty(t, points[0].Labels())
	require.Equal(t, "", points[0].String())
	require.Equal(t, 1000, points[0].Params["ios"])
}

// A built-in that takes no seed can still be repeated.
func TestExpandRepeatsABuiltinWithoutSeed(t *testing.T) {
	e := load(t, "profiles: {kick: {compute: 1s, with: {trace: t}}}\nmatrix: {repeat: 2}\nrun: demo.replay\n")
	require.Equal(t, []string{"seed=1", "seed=2"}, spell(t, e, "kick", nil))
}

// A condition on an axis that only another profile has excludes nothing.
func TestExcludeOfAnAbsentAxis(t *testing.T) {
	e := load(t, shell+`
profiles: {kick: {compute: 1s}, local: {compute: 1s, with: {seeds: [1, 2, 3]}}}
matrix: {policy: [lru], exclude: ["!(seed > 1)"]}
`)
	require.Equal(t, []string{"policy=lru"}, spell(t, e, "kick", nil))
	require.Equal(t, []string{"policy=lru seed=2", "policy=lru seed=3"}, spell(t, e, "local", nil))
}

// On random matrices: as many points as the product of the axes less those
// that a condition, evaluated independently, excludes; none twice; the same
// each time; the last axis fastest.
func TestExpandProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		e := Experiment{Run: Run{Steps: []ShellStep{{Name: "s", Sh: "true"}}}, Profiles: map[string]Profile{"kick": {}}}
		e.Matrix.Axes = map[string][]any{}
		product, limits := 1, map[string]int{}
		for a := range 1 + rng.IntN(4) {
			name := fmt.Sprintf("axis%d", a)
			n := 1 + rng.IntN(6)
			product *= n
			for i := range n {
				e.Matrix.Axes[name] = append(e.Matrix.Axes[name], i)
			}
			e.Matrix.order = append(e.Matrix.order, name)
			if rng.IntN(2) == 0 {
				limits[name] = rng.IntN(n + 1)
			}
		}
		rng.Shuffle(len(e.Matrix.order), func(i, j int) {
			o := e.Matrix.order
			o[i], o[j] = o[j], o[i]
		})
		if rng.IntN(2) == 0 {
			n := 1 + rng.IntN(4)
			product *= n
			group := map[string][]any{"left": nil, "right": nil}
			for i := range n {
				group["left"], group["right"] = append(group["left"], i), append(group["right"], -i)
			}
			e.Matrix.Zip = []map[string][]any{group}
		}
		excluded := 1 // points with every limited axis at or above its limit
		if len(limits) == 0 {
			excluded = 0
		} else {
			var conds []string
			for name, limit := range limits {
				conds = append(conds, fmt.Sprintf("%s >= %d", name, limit))
			}
			for name, values := range e.Matrix.Axes {
				if limit, is := limits[name]; is {
					excluded *= len(values) - limit
				} else {
					excluded *= len(values)
				}
			}
			for _, g := range e.Matrix.Zip {
				excluded *= len(g["left"])
			}
			e.Matrix.Exclude = []string{strings.Join(conds, " && ")}
		}
		points, err := e.Expand("kick", nil)
		if excluded == product {
			require.ErrorContains(t, err, "no point")
			continue
		}
		require.NoError(t, err)
		require.Len(t, points, product-excluded)
		n, err := e.Count("kick", nil)
		require.NoError(t, err)
		require.Equal(t, len(points), n)
		seen := map[string]bool{}
		for _, p := range points {
			require.False(t, seen[p.String()], p)
			seen[p.String()] = true
			if len(e.Matrix.Zip) > 0 {
				require.Equal(t, p.Params["left"].(int), -p.Params["right"].(int))
			}
			require.Equal(t, e.Matrix.order, p.Axes[:len(e.Matrix.order)])
		}
		again, err := e.Expand("kick", nil)
		require.NoError(t, err)
		require.Equal(t, points, again)
	}
}

func TestCondition(t *testing.T) {
	point := map[string]any{"policy": "belady", "size": "1%", "seed": 3, "rate": 0.5, "warm": true, "n": "50k", "mode": "a b"}
	for text, want := range map[string]bool{
		"policy == belady":           true,
		"policy==belady":             true,
		"policy != belady":           false,
		"policy == lru":              false,
		"size == 1%":                 true,
		"size == 0.01":               true,
		"size < 10%":                 true,
		"size in [1%, 10%]":          true,
		"size not in [1%, 10%]":      false,
		"policy in [lru]":            false,
		"seed > 2":                   true,
		"!(seed > 2)":                false,
		"!seed > 2":                  false,
		"n == 50000 && n < 1M":       true,
		"rate <= .5":                 true,
		"warm == true":               true,
		"mode == 'a b'":              true,
		`mode == "a b"`:              true,
		"policy == lru || seed == 3": true,
		"policy == lru && seed == 3": false,
		"policy == lru && seed == 3 || size == 1%":                              true,
		"policy == lru && (seed == 3 || size == 1%)":                            false,
		"policy == belady && size in [1%, 10%] || !(seed > 2)":                  true,
		"!(policy == belady && size in [1%, 10%]) || !(seed > 2) && seed != -1": false,
	} {
		c, err := parseCondition(text)
		require.NoError(t, err, text)
		got, err := c.eval(func(name string) any { return point[name] })
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	c, err := parseCondition("policy > 3")
	require.NoError(t, err)
	_, err = c.eval(func(string) any { return "lru" })
	require.ErrorContains(t, err, `the value "lru" of policy is no number`)
}

func FuzzCondition(f *testing.F) {
	for _, text := range []string{"policy == belady && size in [1%, 10%] || !(seed > 2)", "a not in ['x', \"y\"]", "((a<=1k))", "a = b", "!", "in in [in]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCondition(text)
		if err != nil {
			var mistake *conditionError
			require.ErrorAs(t, err, &mistake)
			require.NotEmpty(t, mistake.message)
			require.GreaterOrEqual(t, mistake.at, 0)
			require.LessOrEqual(t, mistake.at, len(text))
			return
		}
		require.NotEmpty(t, c.names)
		for _, r := range c.names {
			require.True(t, strings.HasPrefix(text[r.at:], r.name))
		}
		// A negated condition holds exactly where the condition does not.
		negated, err := parseCondition("!(" + text + ")")
		if err != nil {
			require.ErrorContains(t, err, "nested too deeply")
			return
		}
		get := func(string) any { return 3 }
		x, err := c.eval(get)
		require.NoError(t, err)
		y, err := negated.eval(get)
		require.NoError(t, err)
		require.NotEqual(t, x, y)
	})
}

func BenchmarkExpand100k(b *testing.B) {
	axis := func(n int) []any {
		values := make([]any, n)
		for i := range values {
			values[i] = fmt.Sprintf("%d%%", i)
		}
		return values
	}
	e := Experiment{
		Run:      Run{Builtin: "demo.sim"},
		Profiles: map[string]Profile{"kick": {With: map[string]any{"ios": "1M"}}},
		Matrix:   Matrix{Axes: map[string][]any{"policy": axis(50), "size": axis(40)}, Repeat: 51, Exclude: []string{"policy == 3% && size in [1%, 2%] || seed > 50"}},
	}
	for b.Loop() {
		points, err := e.Expand("kick", nil)
		require.NoError(b, err)
		require.Len(b, points, 100_000-100)
	}
}
