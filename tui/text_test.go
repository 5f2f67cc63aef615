package tui

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParagraphKeepsSigns breaks at a hyphen, but not behind a number's sign.
func TestParagraphKeepsSigns(t *testing.T) {
	for text, want := range map[string]string{
		"geomean of 9 cells: -1.57%":   "geomean of 9 cells:|-1.57%",
		"expected -14% to -6% [-14]":   "expected -14% to -6%|[-14]",
		"its state-of-the-arts one":    "its state-of-the-|arts one",
		"a figure (-3) in parentheses": "a figure (-3) in|parentheses",
	} {
		require.Equal(t, want, strings.Join(paragraph(text, 20), "|"))
	}
}

func TestCount(t *testing.T) {
	require.Equal(t, "1 warning", count(1, "warning"))
	require.Equal(t, "0 warnings", count(0, "warning"))
}

// TestLogOnItsWay keeps what is shown of a running step's log while the log is
// moved to where results are kept.
func TestLogOnItsWay(t *testing.T) {
	s := &Step{State: Running, Log: "here"}
	p := &logsPane{step: s}
	there, gone := logText{folder: "here", stream: "stdout.log", lines: []string{"a line"}}, logText{folder: "here", stream: "stdout.log", err: fs.ErrNotExist}
	p.take(there)
	p.take(gone)
	require.Equal(t, there, p.text)
	s.State = Done
	p.take(gone)
	require.Equal(t, gone, p.text)
}
