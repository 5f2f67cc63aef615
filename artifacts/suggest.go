package artifacts

import (
	"fmt"
	"strings"
)

// DidYouMean suggests the candidate nearest to word as a question, or nothing
// when none is near enough to be a slip of the keyboard.
func DidYouMean(word string, candidates []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return fmt.Sprintf("did you mean %q?", c)
		}
		if d := editDistance(word, c, distance); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// suggestAmong is DidYouMean, or the whole list when nothing is near.
func suggestAmong(word string, candidates []string, what string) string {
	if s := DidYouMean(word, candidates); s != "" {
		return s
	}
	if len(candidates) == 0 {
		return "there are no " + what
	}
	return fmt.Sprintf("known %s: %s", what, strings.Join(candidates, ", "))
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours between a and b (optimal string alignment), or returns limit when
// there are at least so many.
func editDistance(a, b string, limit int) int {
	s, t := []rune(a), []rune(b)
	if len(s)-len(t) >= limit || len(t)-len(s) >= limit {
		return limit
	}
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(t)], limit)
}
