package chart

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
)

func plain(_ int, text string) string { return text }

func draw(lines []string) string {
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

func ref(v float64) *float64 { return &v }

func TestLine(t *testing.T) {
	falling := Series{Name: "lru", X: []float64{1, 2, 3, 4}, Y: []float64{4, 3, 2, 1}}
	flat := Series{Name: "opt", X: []float64{1, 4}, Y: []float64{1, 1}}
	require.Equal(t, `
4 │a⠢⢄
  │   ⠉⠢⢄⡀
  │      a⠒⠤⣀
  │          ⠉⠒⠤a
  │             ⠈⠑⠢⣀
1 │b⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣑⣢b
   1                  4
`, draw(Line([]Series{falling, flat}, 23, 7, plain)))
}

func TestLineIsLogarithmicOverAWideRange(t *testing.T) {
	s := Series{X: []float64{1, 10, 100}, Y: []float64{0, 1, 2}}
	lines := Line([]Series{s}, 43, 9, plain)
	require.Contains(t, lines[8], "log scale")
	// Equal factors are equally far apart.
	middle := lines[3]
	require.InDelta(t, 3+40/2, ansi.StringWidth(middle[:strings.Index(middle, "a")]), 1, "\n"+strings.Join(lines, "\n"))
}

func TestBars(t *testing.T) {
	require.Equal(t, `
lru   ██████████├─┤ 0.6 n=3
sieve ██████            0.3
`, draw(Bars([]Bar{{Name: "lru", Value: 0.6, Low: 0.5, High: 0.65, Note: "n=3"}, {Name: "sieve", Value: 0.3}}, 27, 4, plain)))
	more := Bars(make([]Bar, 10), 40, 4, plain)
	require.Len(t, more, 4)
	require.Contains(t, more[3], "7 more")
	require.Contains(t, draw(Bars([]Bar{{Name: "down", Value: -1}, {Name: "up", Value: 1}}, 30, 2, plain)), "down █")
}

// TestBand: the line reaches 15 % beyond what it shows on either side.
func TestBand(t *testing.T) {
	for want, band := range map[string]Band{
		"··░░░░├───●──┤░░░░··": {Lower: ref(0), Upper: ref(10), Value: 5, Low: 3, High: 7},
		"··░░░░░░░░░░░░░░░●░░": {Lower: ref(1), Value: 1.2, Low: 1.2, High: 1.2}, // an open bound reaches the edge
		"░░░············├●┤··": {Upper: ref(1), Value: 2, Low: 1.9, High: 2.05},
		"··········●·········": {Value: 7, Low: 7, High: 7},
		"░░░░░░░░░░●·········": {Upper: ref(5), Value: 5, Low: 5, High: 5},
	} {
		require.Equal(t, want, band.Draw(20), "%+v", band)
	}
	require.Empty(t, Band{Value: math.NaN()}.Draw(20))
	require.Empty(t, Band{Value: 1}.Draw(2))
}

func TestHeatAndSpark(t *testing.T) {
	require.Equal(t, `
··░░▒▒▓▓
███
· 0  █ 1
`, draw(Heat([]float64{0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1}, 8, 3, plain)))
	many := Heat(make([]float64, 1000), 10, 5, plain)
	require.Len(t, many, 5)
	require.Equal(t, "▁▅█", Spark([]float64{9, 0, 1, 2}, 3))
	require.Equal(t, "▄▄", Spark([]float64{1, 1}, 5))
	require.Empty(t, Spark(nil, 5))
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1", 0.12345: "0.123", 123456: "123k", 1e6: "1M", 2.5e9: "2.5G", -1234: "-1234", 9999: "9999", 1e-9: "1e-09", 1e20: "1e+20"} {
		require.Equal(t, want, Number(v))
	}
}

// TestEverythingFits draws charts of odd numbers at every size.
func TestEverythingFits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	odd := []float64{0, 1, -1, 1e300, -1e300, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 0.1, 123456}
	some := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = odd[rng.IntN(len(odd))]
		}
		return out
	}
	for w := range 100 {
		for h := range 20 {
			n := 1 + rng.IntN(20)
			var bars []Bar
			for i, v := range some(n) {
				bars = append(bars, Bar{Name: fmt.Sprint("名前", i), Value: v, Low: odd[rng.IntN(len(odd))], High: odd[rng.IntN(len(odd))]})
			}
			charts := map[string][]string{
				"line": Line([]Series{{X: some(n), Y: some(n)}, CDF("c", some(n))}, w, h, plain),
				"bars": Bars(bars, w, h, plain),
				"heat": Heat(some(n), w, h, plain),
				"band": {Band{Lower: ref(odd[rng.IntN(len(odd))]), Upper: ref(odd[rng.IntN(len(odd))]), Value: odd[rng.IntN(len(odd))], Low: 1, High: 2}.Draw(w)},
			}
			for name, lines := range charts {
				if name != "band" {
					require.LessOrEqual(t, len(lines), h, name)
				}
				for _, line := range lines {
					require.LessOrEqual(t, ansi.StringWidth(line), w, "%s %d×%d", name, w, h)
				}
			}
		}
	}
}
