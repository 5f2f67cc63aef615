package store

import "strings"

// Tail gives the last lines of a log, nil if it cannot be read.
func Tail(path string) []string {
	const most, size = 10, 8 << 10
	data, _, err := ReadTail(path, size)
	text := strings.TrimRight(string(data), "\n")
	if err != nil || text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-most):]
}
