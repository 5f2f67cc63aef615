package node

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"reflect"
	"time"
)

// output carries what a command puts out to writers that are no files. Unlike
// the pipes of os/exec it does not keep Wait from returning while something that
// the command left running has its output open.
type output struct {
	pipes []pipe
	ended chan error // of each pipe
}

type pipe struct {
	from, to *os.File
	w        io.Writer
}

// connect gives a command its standard output and error.
func connect(cmd *exec.Cmd, stdout, stderr io.Writer) (*output, error) {
	o := &output{}
	add := func(w io.Writer) (io.Writer, error) {
		if _, is := w.(*os.File); is || w == nil {
			return w, nil
		}
		from, to, err := os.Pipe()
		if err != nil {
			o.close()
			return nil, err
		}
		o.pipes = append(o.pipes, pipe{from, to, w})
		return to, nil
	}
	var err error
	if cmd.Stdout, err = add(stdout); err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if !same(stdout, stderr) {
		cmd.Stderr, err = add(stderr)
	}
	o.ended = make(chan error, len(o.pipes))
	return o, err
}

// same says that both are one writer, which must not be written to by two at once.
func same(a, b io.Writer) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// begin copies once the command has its ends of the pipes.
func (o *output) begin() {
	for _, p := range o.pipes {
		_ = p.to.Close()
		go func() {
			_, err := io.Copy(p.w, p.from)
			_ = p.from.Close() // where the writer has failed, the command learns of it
			if errors.Is(err, fs.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			o.ended <- err
		}()
	}
}

// end waits until all has come, but not longer than patience for what has the
// output still open.
func (o *output) end(patience time.Duration) (err error) {
	late := time.AfterFunc(patience, func() {
		for _, p := range o.pipes {
			_ = p.from.SetReadDeadline(time.Now())
		}
	})
	defer late.Stop()
	for range o.pipes {
		err = errors.Join(err, <-o.ended)
	}
	return err
}

func (o *output) close() {
	for _, p := range o.pipes {
		_, _ = p.from.Close(), p.to.Close()
	}
}
