package cmd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"reprise/artifacts"
)

// TestEveryFlagOfRunIsRecorded sets each flag of run that says what is run, and
// requires that the recorded arguments read back to the same flags.
func TestEveryFlagOfRunIsRecorded(t *testing.T) {
	shown := &cobra.Command{}
	new(runFlags).showFlags(shown)
	asked := &cobra.Command{}
	new(leaseFlags).consent(asked.Flags())

	var f runFlags
	run := &cobra.Command{}
	f.flags(run)
	var given []string
	run.Flags().VisitAll(func(flag *pflag.Flag) {
		if shown.Flags().Lookup(flag.Name) != nil || asked.Flags().Lookup(flag.Name) != nil {
			return
		}
		value := map[string]string{"bool": "true", "int": "3", "float64": "1.5"}[flag.Value.Type()]
		if o, is := flag.Value.(*oneOf); is {
			value = o.among[len(o.among)-1]
		} else if value == "" {
			value = filepath.Join(t.TempDir(), flag.Name+"= x")
		}
		require.NoError(t, run.Flags().Set(flag.Name, value), flag.Name)
		given = append(given, flag.Name)
	})
	require.Greater(t, len(given), 15)
	args, err := f.args([]*artifacts.Manifest{{Artifact: "codesign"}, {Artifact: "x", Dir: "/there", File: "some/x.yaml"}})
	require.NoError(t, err)

	var again runFlags
	read := &cobra.Command{}
	again.flags(read)
	require.NoError(t, read.ParseFlags(args))
	require.Equal(t, []string{"codesign", "/there/x.yaml"}, read.Flags().Args())
	for _, name := range given {
		require.Equal(t, run.Flags().Lookup(name).Value.String(), read.Flags().Lookup(name).Value.String(), "--%s", name)
	}
	require.False(t, strings.Contains(strings.Join(args, " "), "--yes"), "money is agreed to anew")
}
