package stats

import (
	"cmp"
	"math"
	"slices"
)

// ranks gives each value its rank from 1, equal values the mean of the ranks
// they share, and the sizes of the groups of equal values.
func ranks(x []float64) (rank []float64, ties []int) {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	rank = make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			rank[i] = float64(from+1+to) / 2
		}
		ties = append(ties, to-from)
		from = to
	}
	return rank, ties
}

// Spearman is the rank correlation ρ of pairs, −1 to 1: Pearson's correlation
// of the ranks, ties sharing their mean rank (Spearman, American Journal of
// Psychology 15, 1904). It is NaN for fewer than two pairs, for samples of
// different length and where one side is constant.
func Spearman(x, y []float64) float64 {
	if len(x) != len(y) || len(x) < 2 {
		return math.NaN()
	}
	rx, _ := ranks(x)
	ry, _ := ranks(y)
	mid := float64(len(x)+1) / 2
	var xy, xx, yy float64
	for i := range rx {
		dx, dy := rx[i]-mid, ry[i]-mid
		xy += dx * dy
		xx += dx * dx
		yy += dy * dy
	}
	return xy / math.Sqrt(xx*yy)
}

// MannWhitney tests whether two independent samples come from one
// distribution (Mann and Whitney, Annals of Mathematical Statistics 18, 1947).
// U counts the pairs in which x is the greater, a tie as a half; p is the
// two-sided probability of a U as far from its mean. Without ties and with at
// most 20 values a side p is exact, else it is the normal approximation with
// the corrections for ties and continuity. Both are NaN if a sample is empty;
// p is 1 if all values are equal.
func MannWhitney(x, y []float64) (u, p float64) {
	n, m := len(x), len(y)
	if n == 0 || m == 0 {
		return math.NaN(), math.NaN()
	}
	rank, ties := ranks(slices.Concat(x, y))
	for _, r := range rank[:n] {
		u += r
	}
	u -= float64(n*(n+1)) / 2
	if len(ties) == n+m && n <= 20 && m <= 20 {
		return u, exactU(n, m, int(math.Min(u, float64(n*m)-u)))
	}
	total := float64(n + m)
	var tied float64
	for _, t := range ties {
		t := float64(t)
		tied += t*t*t - t
	}
	variance := float64(n*m) / 12 * (total + 1 - tied/(total*(total-1)))
	if variance <= 0 {
		return u, 1
	}
	z := math.Max(0, math.Abs(u-float64(n*m)/2)-0.5) / math.Sqrt(variance)
	return u, math.Erfc(z / math.Sqrt2)
}

// exactU is the two-sided probability of a U of at most least, by counting the
// arrangements of n and m values that give each U.
func exactU(n, m, least int) float64 {
	// ways[j][u] is the number of arrangements of i and j values with that U;
	// the greatest value is either an x, ahead of all j, or a y.
	ways := make([][]float64, m+1)
	for j := range ways {
		ways[j] = make([]float64, n*m+1)
		ways[j][0] = 1
	}
	for i := 1; i <= n; i++ {
		for j := 1; j <= m; j++ {
			next := make([]float64, n*m+1)
			for u := range next {
				next[u] = ways[j-1][u]
				if u >= j {
					next[u] += ways[j][u-j]
				}
			}
			ways[j] = next
		}
	}
	var all, tail float64
	for u, w := range ways[m] {
		all += w
		if u <= least {
			tail += w
		}
	}
	return math.Min(1, 2*tail/all)
}
