package telemetry

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// FormatError says where an input is not what its format wants.
type FormatError struct {
	Name string // the input's name
	Line int    // counted from 1; 0 in a binary format
	Msg  string
}

func (e *FormatError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Name, e.Msg)
	}
	return fmt.Sprintf("%s: line %d: %s", e.Name, e.Line, e.Msg)
}

// Writer writes samples with their labels as csv: a line of comments for each
// fact about the recording, a line of column names, and a line a sample.
type Writer struct {
	w     *bufio.Writer
	begun bool
	line  []byte
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: bufio.NewWriter(w)} }

// Comment writes a fact about the recording; only before the first sample.
func (w *Writer) Comment(text string) error {
	if w.begun {
		return errors.New("telemetry: a comment after the first sample")
	}
	_, err := fmt.Fprintf(w.w, "# %s\n", strings.ReplaceAll(text, "\n", " "))
	return err
}

// Write writes one sample.
func (w *Writer) Write(s *Sample, l Labels) error {
	if !w.begun {
		w.begun = true
		if _, err := w.w.WriteString("time_s,gpu," + strings.Join(sensorNames[:], ",") + ",labels\n"); err != nil {
			return err
		}
	}
	b := strconv.AppendFloat(w.line[:0], s.Time, 'f', 3, 64)
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(s.GPU), 10)
	for _, v := range s.Values {
		b = append(b, ',')
		if !math.IsNaN(v) {
			b = strconv.AppendFloat(b, v, 'f', -1, 64)
		}
	}
	b = append(b, ',')
	b = append(b, l.String()...)
	w.line = append(b, '\n')
	_, err := w.w.Write(w.line)
	return err
}

// Flush hands everything on to the writer below.
func (w *Writer) Flush() error { return w.w.Flush() }
