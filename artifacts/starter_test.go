package artifacts

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStarterLintsClean(t *testing.T) {
	for _, name := range []string{"demo", "My Paper (2025)", "7zip", "…", ""} {
		files := Starter(name)
		m, findings := Load(files[0].Name, files[0].Data)
		require.Empty(t, findings, name)
		require.True(t, matches("[a-z][a-z0-9-]*", m.Artifact), m.Artifact)
		for _, f := range files {
			require.NotContains(t, string(f.Data), "NAME")
		}
	}
}
