package traces

import (
	"errors"
	"io"
)

// LatencyLog is a trace with the latency measured for each request, as parallel
// columns: what an admission model is trained on. All times are nanoseconds.
type LatencyLog struct {
	Arrival     []int64  // when the trace had the request arrive
	Submit      []int64  // when it was handed to the device; Arrival where the format records one time
	Latency     []int64  // how long the device took
	Offset      []uint64 // bytes
	Size        []uint32 // bytes asked for
	Transferred []uint32 // bytes moved; Size where the format records only that
	Op          []Op
	Volume      []uint16
}

// Len is the number of rows.
func (l *LatencyLog) Len() int { return len(l.Latency) }

// ReadLatencyLog reads the whole of a trace that records latencies: one whose
// format has HasLatency, or a csv file with a latency column. With an error it
// also gives the rows before the fault.
func ReadLatencyLog(path string, o Options) (*LatencyLog, Info, error) {
	s, err := Open(path, o)
	if err != nil {
		return nil, Info{}, err
	}
	defer s.Close()
	all, part := &LatencyLog{}, &LatencyLog{}
	dst := make([]Request, batch)
	for {
		_, err := s.ReadLatencies(dst, part)
		if errors.Is(err, io.EOF) {
			s.info.Requests = int64(all.Len())
			return all, s.info, nil
		}
		if err != nil {
			return all, s.info, err
		}
		all.Arrival = append(all.Arrival, part.Arrival...)
		all.Submit = append(all.Submit, part.Submit...)
		all.Latency = append(all.Latency, part.Latency...)
		all.Offset = append(all.Offset, part.Offset...)
		all.Size = append(all.Size, part.Size...)
		all.Transferred = append(all.Transferred, part.Transferred...)
		all.Op = append(all.Op, part.Op...)
		all.Volume = append(all.Volume, part.Volume...)
	}
}

func (l *LatencyLog) add(r *Request, submit, latency int64, transferred uint32) {
	l.Arrival = append(l.Arrival, r.Time)
	l.Submit = append(l.Submit, submit)
	l.Latency = append(l.Latency, latency)
	l.Offset = append(l.Offset, r.Offset)
	l.Size = append(l.Size, r.Size)
	l.Transferred = append(l.Transferred, transferred)
	l.Op = append(l.Op, r.Op)
	l.Volume = append(l.Volume, r.Volume)
}

func (l *LatencyLog) reset() { l.truncate(0) }

func (l *LatencyLog) truncate(n int) {
	if l == nil {
		return
	}
	l.Arrival, l.Submit, l.Latency = l.Arrival[:n], l.Submit[:n], l.Latency[:n]
	l.Offset, l.Size, l.Transferred = l.Offset[:n], l.Size[:n], l.Transferred[:n]
	l.Op, l.Volume = l.Op[:n], l.Volume[:n]
}

func (l *LatencyLog) move(to, from int) {
	if l == nil {
		return
	}
	l.Arrival[to], l.Submit[to], l.Latency[to] = l.Arrival[from], l.Submit[from], l.Latency[from]
	l.Offset[to], l.Size[to], l.Transferred[to] = l.Offset[from], l.Size[from], l.Transferred[from]
	l.Op[to], l.Volume[to] = l.Op[from], l.Volume[from]
}
