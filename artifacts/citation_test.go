package artifacts

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckCitation(t *testing.T) {
	const whole = "cff-version: 1.2.0\nmessage: cite it\ntitle: t\nauthors:\n  - {family-names: Lovelace, given-names: Ada}\n"
	for text, want := range map[string][]string{
		whole: nil,
		whole + "doi: 10.1145/3689031.3717496\ndate-released: 2026-01-31\ntype: dataset\n": nil,
		"":  {"cff-version is missing: write 1.2.0", "message is missing", "title is missing", "authors is missing"},
		"{": {"yaml: line 1: did not find expected node content"},
		"cff-version: 1.1.0\nmessage: ' '\ntitle: t\nauthors: [{name: a group}, {affiliation: somewhere}, {alias: x, orcid: 0000-0001}]\n": {
			`cff-version is "1.1.0": write 1.2.0`, "message is missing",
			"author 2 has no name: give family-names and given-names, or name for a group",
			"the orcid of author 3 is 0000-0001: write it as https://orcid.org/0000-0000-0000-0000",
		},
		whole + "doi: https://doi.org/10.1/2\ndate-released: 31.1.2026\ntype: paper\n": {
			`type is "paper": there are software and dataset`, `doi is "https://doi.org/10.1/2": write it as 10.1234/abc, without an address`,
			`date-released is "31.1.2026": write it as 2026-01-31`,
		},
	} {
		require.Equal(t, want, CheckCitation([]byte(text)), text)
	}
	ours, err := os.ReadFile("../CITATION.cff")
	require.NoError(t, err)
	require.Empty(t, CheckCitation(ours))
}
