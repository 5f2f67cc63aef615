package checks

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGather(t *testing.T) {
	for name, c := range map[string]struct {
		warnings [][]string
		want     []string
	}{
		"none":            {[][]string{nil, {}}, nil},
		"one step":        {[][]string{{"12 % of it was used", "the governor was powersave"}}, []string{"12 % of it was used", "the governor was powersave"}},
		"the range":       {[][]string{{"used 12 % of it"}, nil, {"used 86 % of it"}, {"used 8 % of it"}}, []string{"used 8 to 86 % of it (in 3 of 4 steps)"}},
		"the same":        {[][]string{{"powersave"}, {"powersave"}}, []string{"powersave (in 2 of 2 steps)"}},
		"twice in a step": {[][]string{{"a 1 %", "a 3 %"}, nil}, []string{"a 1 to 3 % (in 1 of 2 steps)"}},
		"unlike texts":    {[][]string{{"a 1 % b"}, {"a 1 % c"}, {"x"}}, []string{"a 1 % b (in 1 of 3 steps)", "a 1 % c (in 1 of 3 steps)", "x (in 1 of 3 steps)"}},
	} {
		require.Equal(t, c.want, Gather(c.warnings), name)
	}
}
