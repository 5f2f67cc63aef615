package store

import (
	"os"
	"strings"
)

// Tail gives the last lines of a log, nil if it cannot be read.
func Tail(path string) []string {
	const most, size = 10, 8 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	data := make([]byte, min(info.Size(), size))
	n, _ := f.ReadAt(data, info.Size()-int64(len(data)))
	text := strings.TrimRight(string(data[:n]), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-most):]
}
