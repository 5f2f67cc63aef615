package checks

import (
	"cmp"
	"math"
	"slices"
)

// axis is the points of a cell along a numeric label, in ascending order.
type axis struct {
	unit     string
	at       []float64 // in unit
	labels   []string  // as observed
	operands []operand
}

// along sorts the points of a cell by a label whose values are quantities of
// one dimension.
func (s *sample) along(c cell, label string) (*axis, *undecidable) {
	sides, names := c.by(label)
	a := &axis{labels: names}
	at := map[string]float64{}
	for i, name := range names {
		q, err := ParseQuantity(name)
		if err != nil {
			return nil, failf("label %s: %v", label, err)
		}
		if i == 0 {
			a.unit = q.Unit
		}
		if at[name], err = q.In(a.unit); err != nil {
			return nil, failf("label %s is %s and %s: %v", label, names[0], name, err)
		}
	}
	slices.SortStableFunc(a.labels, func(x, y string) int { return cmp.Compare(at[x], at[y]) })
	for i, name := range a.labels {
		if i > 0 && at[name] == a.at[i-1] {
			return nil, failf("label %s names one place twice, %s and %s", label, a.labels[i-1], name)
		}
		a.at = append(a.at, at[name])
		a.operands = append(a.operands, sides[name])
	}
	if err := s.pool(c, a.operands...); err != nil {
		return nil, err
	}
	return a, nil
}

// find is the operand at a place, nil if there is none.
func (a *axis) find(place float64) operand {
	for i, at := range a.at {
		if math.Abs(at-place) <= 1e-9*math.Abs(place) {
			return a.operands[i]
		}
	}
	return nil
}
