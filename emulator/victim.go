package emulator

// VictimPolicy picks the line that collection empties next.
type VictimPolicy interface {
	// Select returns one of l.Closed, which is not empty.
	Select(l *Lines) uint32
}

// victimKinds are the selections a Config can name.
var victimKinds = []struct {
	name, doc string
	make      func(Config) (VictimPolicy, orderKind)
}{
	{"greedy", "fewest valid pages", func(Config) (VictimPolicy, orderKind) { return first{}, byValid }},
	{"fifo", "longest closed, whatever it holds", func(Config) (VictimPolicy, orderKind) { return first{}, byAge }},
	{"random", "any closed line", func(Config) (VictimPolicy, orderKind) { return choices{1}, unordered }},
	{"d-choice", "fewest valid pages of gc_choices random lines", func(c Config) (VictimPolicy, orderKind) { return choices{c.GCChoices}, unordered }},
	{"cost-benefit", "most age*(1-u)/2u, u the share of valid pages", func(Config) (VictimPolicy, orderKind) { return costBenefit{}, unordered }},
	{"wear-aware", "fewest valid pages plus a charge for wear beyond the mean, of gc_choices random lines", func(c Config) (VictimPolicy, orderKind) { return wearAware{c.GCChoices}, unordered }},
}

// VictimPolicies are the names that Config.GC can have.
func VictimPolicies() []string {
	names := make([]string, len(victimKinds))
	for i, k := range victimKinds {
		names[i] = k.name
	}
	return names
}

// first follows the order that Lines keeps.
type first struct{}

func (first) Select(l *Lines) uint32 { return l.first() }

// choices is d-choices collection (Van Houdt, SIGMETRICS'13); d = 1 is random.
type choices struct{ d int }

func (c choices) Select(l *Lines) uint32 {
	best := l.Closed[l.Rand.Uint32N(uint32(len(l.Closed)))]
	for range c.d - 1 {
		if line := l.Closed[l.Rand.Uint32N(uint32(len(l.Closed)))]; l.Valid[line] < l.Valid[best] {
			best = line
		}
	}
	return best
}

// costBenefit is the selection of LFS (Rosenblum and Ousterhout, SOSP'91) with
// reads and writes of the victim counted.
type costBenefit struct{}

func (costBenefit) Select(l *Lines) uint32 {
	best, bestScore := l.Closed[0], -1.0
	for _, line := range l.Closed {
		valid := float64(l.Valid[line])
		score := float64(l.Clock-l.ClosedAt[line]+1) * (float64(l.Capacity[line]) - valid) / (2*valid + 1e-9)
		if score > bestScore {
			best, bestScore = line, score
		}
	}
	return best
}

// wearAware is d-choices with erases beyond the mean counted as valid pages: a
// line worn by a tenth of the endurance more than the mean is as
// unattractive as one wholly valid.
type wearAware struct{ d int }

func (w wearAware) Select(l *Lines) uint32 {
	mean := float64(l.TotalErases) / float64(len(l.Erases))
	span := max(float64(l.Endurance)/10, 10)
	score := func(line uint32) float64 {
		return float64(l.Valid[line]) + max(0, (float64(l.Erases[line])-mean)/span)*float64(l.Capacity[line])
	}
	best := l.Closed[l.Rand.Uint32N(uint32(len(l.Closed)))]
	bestScore := score(best)
	for range w.d - 1 {
		line := l.Closed[l.Rand.Uint32N(uint32(len(l.Closed)))]
		if s := score(line); s < bestScore {
			best, bestScore = line, s
		}
	}
	return best
}
