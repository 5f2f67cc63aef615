package artifacts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/checks"
)

func unmet(m *Manifest, readme, citation string) []string {
	var asks []string
	for _, item := range m.CheckBadges([]byte(readme), []byte(citation)) {
		if !item.Met {
			asks = append(asks, item.Badge+": "+item.Asks)
		}
	}
	return asks
}

func TestCheckBadges(t *testing.T) {
	m := &Manifest{
		Title: "A paper", Description: "One two three four five six seven eight nine ten.", License: "MIT", Paper: Paper{DOI: "10.1/2"},
		Experiments: map[string]Experiment{"E1": {Title: "t", HumanMinutes: 1, Profiles: map[string]Profile{"kick": {Memory: 1}}}},
		Claims:      map[string]checks.Claim{"C1": {Experiment: "E1", Source: checks.Source{Where: "§1"}, Checks: make([]checks.Check, 1)}},
	}
	readme := "Of the paper 10.1/2. Type reprise run it."
	require.Empty(t, unmet(m, readme, "{cff-version: 1.2.0, message: m, title: t, authors: [{name: a}]}"))

	require.Equal(t, []string{
		"available: a README.md", "available: the README.md cites the paper", "available: a CITATION.cff",
		"functional: the README.md says how to run it",
	}, unmet(m, "", ""))

	m.Experiments["E2"] = Experiment{Title: "u", HumanMinutes: 40, Profiles: map[string]Profile{"local": {}}}
	require.Equal(t, []string{
		"available: the CITATION.cff has what CFF 1.2 demands",
		"functional: every experiment says what memory or disk it needs",
		"reproduced: every experiment serves a claim", "reproduced: at most 30 minutes of a person's time in all",
	}, unmet(m, readme, "x"))

	require.Contains(t, unmet(&Manifest{}, "", ""), "reproduced: the claims are listed")
}
