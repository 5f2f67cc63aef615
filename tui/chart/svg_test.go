package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSVG(t *testing.T) {
	doc := SVG([]Panel{
		{Title: "misses <&>", X: "size", Y: "miss ratio", Series: []Series{
			{Name: `lru "a"`, X: []float64{1, 10, 1000}, Y: []float64{0.9, 0.5, 0.1}},
			{Name: "arc", X: []float64{1, 10, 1000}, Y: []float64{0.8, math.NaN(), 0.1}},
		}},
		{Title: "empty", Series: []Series{{Name: "x"}}},
		{Title: "one point", Series: []Series{{Name: "x", X: []float64{0}, Y: []float64{-1}}}},
	})
	d := xml.NewDecoder(strings.NewReader(doc))
	elements := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	require.Greater(t, elements, 30)
	require.Contains(t, doc, "size (log scale)")
	require.Contains(t, doc, "misses &lt;&amp;&gt;")
	require.Contains(t, doc, "no data")
	require.NotContains(t, doc, "NaN")
	require.NotContains(t, doc, "Inf")
}

func TestSteps(t *testing.T) {
	for _, r := range [][2]float64{{0, 1}, {0, 0.07}, {-3, 1e6}, {0.2, 0.9}, {1e-9, 2e-9}} {
		s := steps(r[0], r[1])
		require.LessOrEqual(t, s[0], r[0])
		require.GreaterOrEqual(t, s[len(s)-1], r[1]*(1-1e-9))
		require.GreaterOrEqual(t, len(s), 3)
		require.LessOrEqual(t, len(s), 13)
	}
}
