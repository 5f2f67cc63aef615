// Package traces reads, writes, generates and describes sequences of storage
// requests.
//
// One Request type serves every format. Readers hand requests out in batches
// into a slice of the caller, so that a pass over a trace allocates nothing per
// request and costs no interface call per request.
package traces

// Op says what a request does. A format that does not record it yields Read.
type Op uint8

// The operations a block trace records.
const (
	Read Op = iota
	Write
	Trim
	Flush
)

// String gives the operation's name as the traces command prints it.
func (o Op) String() string {
	switch o {
	case Read:
		return "read"
	case Write:
		return "write"
	case Trim:
		return "trim"
	case Flush:
		return "flush"
	}
	return "unknown"
}

// Request is one request of a trace. It is 32 bytes and holds no pointer.
type Request struct {
	// Time is the arrival time in nanoseconds since the epoch of the trace's
	// own clock; it is zero throughout in formats that record order only.
	Time int64
	// Offset is the first byte addressed. Formats that name objects rather
	// than addresses leave it zero and report so in Info.Addressed.
	Offset uint64
	// ID names the object requested: the identity that a cache in object mode
	// keys on. For block formats it is the starting block as the format writes
	// it (sectors for vscsi, bytes for MSR), as libCacheSim has it; in formats
	// that hold several volumes its top 16 bits are xor-ed with the volume, so
	// that equal addresses on two volumes are two objects.
	ID uint64
	// Size is the number of bytes requested.
	Size uint32
	// Op is what the request does.
	Op Op
	// Volume is the disk, device or tenant addressed, numbered as in the trace.
	Volume uint16
}
