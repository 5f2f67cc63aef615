package artifacts

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEmbeddedDecode(t *testing.T) {
	for _, name := range EmbeddedNames() {
		_, findings, err := EmbeddedManifest(name)
		require.NoError(t, err)
		t.Log(findings)
	}
}
