package codesign

import "math/bits"

// survival says how likely a stream of requests is to go on, from how those
// before it fared: for each age (requests so far, in steps that widen), class
// of request size and what the cache knew of the place where it began.
type survival struct {
	of    [ages]counts
	fine  [ages][sizes][contexts]counts
	trust [ages]counts
}

// counts is a share with decay: of trials, how many came true.
type counts struct{ yes, all float32 }

const (
	ages     = 20
	sizes    = 5
	contexts = 4
	// memory is after how many trials the older half counts half.
	memory = 1024
	// prior is how many trials the coarser estimate is worth in a finer one.
	prior = 8
)

func (c *counts) add(yes float32) {
	c.yes += yes
	if c.all++; c.all > memory {
		c.yes /= 2
		c.all /= 2
	}
}

func newSurvival() survival {
	var s survival
	for a := range s.of {
		// Nothing is known yet: a lone request is likely to stay alone, three
		// in a row are not.
		p := [...]float32{0.25, 0.5, 0.75}[min(a, 2)]
		s.of[a] = counts{p * prior, prior}
		s.trust[a] = counts{prior, prior}
	}
	return s
}

// bucket is the class of an age: every one up to 4, then two to the octave.
func bucket(age int) int {
	if age < 4 {
		return age
	}
	o := bits.Len(uint(age)) - 1
	return min(2*o+(age>>(o-1))&1, ages-1)
}

func sizeClass(pages float32) int {
	switch {
	case pages < 1.5:
		return 0
	case pages < 3.5:
		return 1
	case pages < 7.5:
		return 2
	case pages < 15.5:
		return 3
	}
	return 4
}

// reached counts that a stream got to an age, and so may go on from it. That it
// did is added by lived: a stream is taken for dead until then, so that none is
// believed to go on merely because nobody saw its end.
func (s *survival) reached(age, size, context int) {
	a := bucket(age)
	s.of[a].add(0)
	s.fine[a][size][context].add(0)
}

func (s *survival) lived(age, size, context int) {
	a := bucket(age)
	s.of[a].yes = min(s.of[a].yes+1, s.of[a].all)
	f := &s.fine[a][size][context]
	f.yes = min(f.yes+1, f.all)
}

// goesOn is the probability that a stream of an age goes on.
func (s *survival) goesOn(age, size, context int) float32 {
	a := bucket(age)
	f := &s.fine[a][size][context]
	return (f.yes + prior*s.of[a].yes/s.of[a].all) / (f.all + prior)
}
