package artifacts

import (
	"fmt"
	"slices"
	"strings"
)

// Badges are the three that ACM and USENIX conferences give.
var Badges = []string{"available", "functional", "reproduced"}

// BadgeItem is one thing that a badge asks for, by the checklists of
// sysartifacts (SOSP and EuroSys), and whether the artifact has it.
type BadgeItem struct {
	Badge string `json:"badge"`
	Asks  string `json:"asks"`
	Met   bool   `json:"met"`
	Mend  string `json:"mend,omitempty"` // how, where it is not
}

// CheckBadges goes through the checklists, as far as a manifest, its README.md
// and its CITATION.cff can tell: empty where there is none, nil for an artifact
// that is cited with the program it comes with. What only a person can judge, such
// as whether the archive is permanent, is not in it.
func (m *Manifest) CheckBadges(readme, citation []byte) []BadgeItem {
	var items []BadgeItem
	ask := func(badge, asks string, met bool, mend string) {
		if met {
			mend = ""
		}
		items = append(items, BadgeItem{badge, asks, met, mend})
	}
	// A title may run over several lines.
	text := strings.ToLower(strings.Join(strings.Fields(string(readme)), " "))
	cites := m.Paper.DOI != "" && strings.Contains(text, strings.ToLower(m.Paper.DOI)) ||
		m.Paper.URL != "" && strings.Contains(text, strings.ToLower(m.Paper.URL)) ||
		strings.Contains(text, strings.ToLower(m.Title)) || m.Paper.Title != "" && strings.Contains(text, strings.ToLower(m.Paper.Title))
	ask("available", "a licence that lets others compare and extend", m.License != "", "give the key license an SPDX identifier, for example MIT")
	ask("available", "a README.md", len(readme) > 0, "write README.md beside the manifest")
	ask("available", "the README.md cites the paper", cites, "name the paper's title, or its DOI, in README.md")
	ask("available", "a CITATION.cff", citation == nil || len(citation) > 0, "write CITATION.cff beside the manifest")
	if len(citation) > 0 {
		wrong := CheckCitation(citation)
		ask("available", "the CITATION.cff has what CFF 1.2 demands", len(wrong) == 0, strings.Join(wrong, "; "))
	}
	ask("available", "the paper has a DOI or an address", m.Paper.DOI != "" || m.Paper.URL != "", "give paper the key doi or url")

	ask("functional", "a minimal working example: every claim's experiment or another has the profile kick", m.has("kick"), "give an experiment the profile kick")
	ask("functional", "every experiment says how much of a person's time it takes", m.every(func(e Experiment) bool { return e.HumanMinutes > 0 }), "give the key human_minutes: "+m.lacking(func(e Experiment) bool { return e.HumanMinutes > 0 }))
	stated := func(e Experiment) bool {
		for _, p := range e.Profiles {
			if p.Memory > 0 || p.Disk > 0 {
				return true
			}
		}
		return false
	}
	ask("functional", "every experiment says what memory or disk it needs", m.every(stated), "give a profile the keys memory and disk: "+m.lacking(stated))
	ask("functional", "a description of what the artifact is", len(strings.Fields(m.Description)) >= 10, "write a few sentences under the key description")
	ask("functional", "the README.md says how to run it", strings.Contains(text, "reprise run") || strings.Contains(text, "reprise kick"), "show the command in README.md")

	ask("reproduced", "the claims are listed", len(m.Claims) > 0, "give the key claims the paper's major claims")
	idle := slices.DeleteFunc(m.ExperimentIDs(), m.Serves)
	ask("reproduced", "every experiment serves a claim", len(idle) == 0, "name it in a claim, or in needs: "+strings.Join(idle, ", "))
	placed := true
	for _, c := range m.Claims {
		placed = placed && c.Source.Where != "" && len(c.Checks) > 0
	}
	ask("reproduced", "every claim says where the paper makes it, and is checked", placed, "give claims source.where and checks")
	minutes := 0.0
	for _, e := range m.Experiments {
		minutes += e.HumanMinutes
	}
	const few = 30
	ask("reproduced", fmt.Sprintf("at most %d minutes of a person's time in all", few), minutes <= few, fmt.Sprintf("it is %g minutes: let steps do what a person does", minutes))
	return items
}

func (m *Manifest) has(profile string) bool {
	for _, e := range m.Experiments {
		if _, ok := e.Profiles[profile]; ok {
			return true
		}
	}
	return false
}

func (m *Manifest) every(is func(Experiment) bool) bool { return m.lacking(is) == "" }

// lacking lists the experiments of which something is not so.
func (m *Manifest) lacking(is func(Experiment) bool) string {
	var ids []string
	for _, id := range m.ExperimentIDs() {
		if !is(m.Experiments[id]) {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, ", ")
}

// Serves says whether a claim, or an experiment that needs it, uses an
// experiment.
func (m *Manifest) Serves(id string) bool {
	for _, c := range m.Claims {
		if c.Experiment == id {
			return true
		}
	}
	for _, other := range m.Experiments {
		if slices.Contains(other.Needs, id) {
			return true
		}
	}
	return false
}
