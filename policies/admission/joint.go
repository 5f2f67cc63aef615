package admission

// Joint says how one decision is made for a group of reads (Heimdall §4.2).
type Joint string

// The ways of joint inference.
const (
	// JointArtifact is the published code's: the sizes of all the group's
	// reads, queue length and history at the last of them, which looks ahead:
	// the first is decided on with what happens until the last.
	JointArtifact Joint = "artifact"
	// JointPaper is the paper's text: the sizes of all, queue length and
	// history from before the group.
	JointPaper Joint = "paper"
	// JointCausal decides at the group's first read with what is known then,
	// its own size included; the sizes of reads to come are not.
	JointCausal Joint = "causal"
)

// Groups makes one sample of every p consecutive reads. A group is slow if half
// its reads or more are. Reads that fill no group are left out.
func (s *Samples) Groups(p int, joint Joint) *Samples {
	g := &Samples{Inputs: s.Inputs, Group: p, Width: s.Width}
	if joint != JointCausal {
		g.Width += p - 1
	}
	for first := 0; first+p <= s.Len(); first += p {
		last, slow := first+p-1, 0
		for i := first; i <= last; i++ {
			if joint != JointCausal {
				g.X = append(g.X, s.X[i*s.Width])
			}
			if s.Slow[i] {
				slow++
			}
		}
		switch joint {
		case JointArtifact:
			g.X = append(g.X, s.X[last*s.Width+1:(last+1)*s.Width]...)
		case JointPaper:
			g.X = append(g.X, s.X[first*s.Width+1:(first+1)*s.Width]...)
		default:
			g.X = append(g.X, s.X[first*s.Width:(first+1)*s.Width]...)
		}
		g.Slow = append(g.Slow, slow >= (p+1)/2)
		g.Row = append(g.Row, s.Row[last])
	}
	return g
}

// MeasureReads judges a group's scores read by read: what each got by the
// decision it shares.
func (s *Samples) MeasureReads(groupScores []float32, p int) Metrics {
	n := len(groupScores) * p
	scores := make([]float32, n)
	for i := range scores {
		scores[i] = groupScores[i/p]
	}
	return Measure(scores, s.Slow[:n])
}
