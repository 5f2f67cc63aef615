package admission

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModelFile(t *testing.T) {
	for _, recipe := range []string{"heimdall", "extended", "boosted", "linnos"} {
		m, s := trained(t, recipe, 1)
		var file bytes.Buffer
		require.NoError(t, m.Save(&file))
		back, err := LoadModel(bytes.NewReader(file.Bytes()))
		require.NoError(t, err)
		require.Equal(t, m, back)
		require.Equal(t, m.Scores(s), back.Scores(s))
		// Whatever byte is hit, the damage is seen.
		for _, at := range []int{0, 30, 60, 100, 150, file.Len() / 2, file.Len() - 3} {
			hit := bytes.Clone(file.Bytes())
			hit[at] ^= 0x11
			_, err := LoadModel(bytes.NewReader(hit))
			require.Error(t, err, "byte %d", at)
		}
		_, err = LoadModel(bytes.NewReader(file.Bytes()[:file.Len()-40]))
		require.ErrorContains(t, err, "damaged")
	}
}

func signed(body string) string {
	return fmt.Sprintf("%s %d sha256:%x\n%s\n", modelMagic, modelVersion, sha256.Sum256([]byte(body)), body)
}

func TestModelFileRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: `unknown inputs ""`,
		`{"inputs":"heimdall","group":1,"width":12}`:                                                               "12 features",
		`{"inputs":"heimdall","group":1,"width":11}`:                                                               "either a network or trees",
		`{"inputs":"heimdall","group":1,"width":11,"layers":[{"in":11,"out":1,"weights":[1],"biases":[1]}]}`:       "1 weights",
		`{"inputs":"heimdall","group":1,"width":11,"layers":[{"in":1,"out":1,"weights":[1],"biases":[1]}]}`:        "want a scaler",
		`{"inputs":"heimdall","group":1,"width":11,"trees":{"Nodes":[{"Feature":0,"Left":0},{},{}],"Roots":[0]}}`:  "node 0 splits",
		`{"inputs":"heimdall","group":1,"width":11,"trees":{"Nodes":[],"Roots":[7]}}`:                              "root 7",
		`{"inputs":"heimdall","group":1,"width":11,"trees":{"Nodes":[{"Feature":99,"Left":1},{},{}],"Roots":[0]}}`: "node 0 splits feature 99",
	} {
		_, err := LoadModel(strings.NewReader(signed(body)))
		require.ErrorContains(t, err, want, body)
	}
	_, err := LoadModel(strings.NewReader(modelMagic + " 2 sha256:" + strings.Repeat("0", 64) + "\n{}\n"))
	require.ErrorContains(t, err, "version 2: this program reads version 1")
	_, err = LoadModel(strings.NewReader("PK\x03\x04"))
	require.ErrorContains(t, err, "not a model file")
}

// No file, however signed, makes loading or deciding panic.
func FuzzLoadModel(f *testing.F) {
	f.Add(`{"inputs":"heimdall","group":1,"width":11,"trees":{"Nodes":[{"Feature":0,"Left":1},{"Feature":-1},{"Feature":-1}],"Roots":[0]}}`)
	f.Add(`{"inputs":"heimdall","group":1,"width":11,"scaler":{"Kind":"minmax","Low":[0,0,0,0,0,0,0,0,0,0,0],"Gain":[0,0,0,0,0,0,0,0,0,0,0]},"layers":[{"in":11,"out":1,"weights":[0,0,0,0,0,0,0,0,0,0,0],"biases":[1]}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		m, err := LoadModel(strings.NewReader(signed(body)))
		if err != nil {
			return
		}
		for _, p := range Precisions() {
			if d, err := m.Decider(p); err == nil {
				d.Slow(make([]int32, m.Width))
			}
		}
	})
}
