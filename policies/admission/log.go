package admission

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"reprise/traces"
)

// Log is what one device did: its requests in the order of their submission,
// as parallel columns.
type Log struct {
	Submit     []int64 // ns
	Latency    []int64 // us
	Size       []uint32
	Read       []bool
	Throughput []int64 // B/us, rounded half to even as the published code does
	// Short counts the requests left out since the device moved fewer bytes
	// than asked for.
	Short int
}

// Order says how requests submitted at the same time are ordered. A tenth or
// more of a recorded log is such, and labels depend on it.
type Order string

// The orders.
const (
	Stable    Order = "stable"    // as they were recorded
	Quicksort Order = "quicksort" // as NumPy's default sort leaves them, which is what the published code used
)

// ParseOrder reads the name of an order.
func ParseOrder(s string) (Order, error) {
	switch o := Order(s); o {
	case Stable, Quicksort:
		return o, nil
	}
	return "", fmt.Errorf("sort %q: want stable or quicksort", s)
}

// NewLog takes the reads and writes of a recorded log that moved all the bytes
// asked for, ordered by submission. Latencies are cut to whole microseconds;
// one of less counts as 1.
func NewLog(rec *traces.LatencyLog, sort Order) *Log {
	l := &Log{}
	rows := order(rec, sort, l)
	l.grow(len(rows))
	for _, r := range rows {
		l.Append(rec.Submit[r], rec.Latency[r]/1000, rec.Size[r], rec.Op[r] == traces.Read)
	}
	return l
}

// order gives the rows to take, by submission, and counts the short ones into l.
func order(rec *traces.LatencyLog, sort Order, l *Log) []int32 {
	rows := make([]int32, 0, rec.Len())
	for i := range rec.Len() {
		switch {
		case rec.Op[i] != traces.Read && rec.Op[i] != traces.Write:
		case rec.Size[i] != rec.Transferred[i]:
			l.Short++
		default:
			rows = append(rows, int32(i))
		}
	}
	if sort == Quicksort {
		introsort(rows, rec.Submit)
	} else {
		slices.SortStableFunc(rows, func(a, b int32) int {
			return int(min(1, max(-1, rec.Submit[a]-rec.Submit[b])))
		})
	}
	return rows
}

func (l *Log) grow(n int) {
	l.Submit = slices.Grow(l.Submit, n)
	l.Latency = slices.Grow(l.Latency, n)
	l.Size = slices.Grow(l.Size, n)
	l.Read = slices.Grow(l.Read, n)
	l.Throughput = slices.Grow(l.Throughput, n)
}

// Append adds a request submitted at or after the last one: the time in ns, the
// latency in us.
func (l *Log) Append(submit, latency int64, size uint32, read bool) {
	l.Submit = append(l.Submit, submit)
	l.Latency = append(l.Latency, 0)
	l.Size = append(l.Size, size)
	l.Read = append(l.Read, read)
	l.Throughput = append(l.Throughput, 0)
	l.Completed(l.Len()-1, latency)
}

// Completed sets the latency of a request, in us.
func (l *Log) Completed(row int, latency int64) {
	latency = max(latency, 1)
	l.Latency[row] = latency
	l.Throughput[row] = int64(math.RoundToEven(float64(l.Size[row]) / float64(latency)))
}

// Len is the number of requests.
func (l *Log) Len() int { return len(l.Submit) }

// Slice is the requests from first up to end; it shares their memory.
func (l *Log) Slice(first, end int) *Log {
	return &Log{
		Submit: l.Submit[first:end:end], Latency: l.Latency[first:end:end], Size: l.Size[first:end:end],
		Read: l.Read[first:end:end], Throughput: l.Throughput[first:end:end],
	}
}

// pick is a new log of the given rows.
func (l *Log) pick(rows []int32) *Log {
	p := &Log{}
	p.grow(len(rows))
	for _, r := range rows {
		p.Append(l.Submit[r], l.Latency[r], l.Size[r], l.Read[r])
	}
	return p
}

// introsort orders rows by key as NumPy 1.24's argsort does: median of three,
// insertion sort of 16 and fewer, heapsort below a depth of twice the length's
// logarithm. It is not stable; where it leaves equal keys is what counts here.
func introsort(rows []int32, key []int64) {
	less := func(a, b int32) bool { return key[a] < key[b] }
	type span struct{ left, right, depth int }
	var todo []span
	left, right := 0, len(rows)-1
	depth := 2 * (bits.Len(uint(len(rows))) - 1)
	for {
		if depth < 0 {
			heapsort(rows[left:right+1], less)
		} else {
			for right-left > 15 {
				mid := left + (right-left)>>1
				if less(rows[mid], rows[left]) {
					rows[mid], rows[left] = rows[left], rows[mid]
				}
				if less(rows[right], rows[mid]) {
					rows[right], rows[mid] = rows[mid], rows[right]
				}
				if less(rows[mid], rows[left]) {
					rows[mid], rows[left] = rows[left], rows[mid]
				}
				pivot := rows[mid]
				i, j := left, right-1
				rows[mid], rows[j] = rows[j], rows[mid]
				for {
					for i++; less(rows[i], pivot); i++ {
					}
					for j--; less(pivot, rows[j]); j-- {
					}
					if i >= j {
						break
					}
					rows[i], rows[j] = rows[j], rows[i]
				}
				rows[i], rows[right-1] = rows[right-1], rows[i]
				depth--
				if i-left < right-i {
					todo = append(todo, span{i + 1, right, depth})
					right = i - 1
				} else {
					todo = append(todo, span{left, i - 1, depth})
					left = i + 1
				}
			}
			for i := left + 1; i <= right; i++ {
				row, j := rows[i], i
				for ; j > left && less(row, rows[j-1]); j-- {
					rows[j] = rows[j-1]
				}
				rows[j] = row
			}
		}
		if len(todo) == 0 {
			return
		}
		last := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		left, right, depth = last.left, last.right, last.depth
	}
}

func heapsort(rows []int32, less func(a, b int32) bool) {
	sift := func(row int32, at, n int) {
		for child := 2*at + 1; child < n; child = 2*at + 1 {
			if child+1 < n && less(rows[child], rows[child+1]) {
				child++
			}
			if !less(row, rows[child]) {
				break
			}
			rows[at] = rows[child]
			at = child
		}
		rows[at] = row
	}
	n := len(rows)
	for at := n/2 - 1; at >= 0; at-- {
		sift(rows[at], at, n)
	}
	for n--; n > 0; n-- {
		row := rows[n]
		rows[n] = rows[0]
		sift(row, 0, n)
	}
}
