package traces

import (
	"encoding/binary"
	"math"
)

var vscsi = Format{
	Name: "vscsi",
	Doc:  "VMware vSCSI traces, versions 1 and 2, as CloudPhysics published them",
	Layout: "little-endian records: v1 32 bytes (u32 serial, u32 bytes, u32 segments, u16 SCSI command, u16 version, u64 block, u64 time us), " +
		"v2 40 bytes (u16 command, u16 version, u32 serial, u32 bytes, u32 segments, u64 block, u64 time us, u64 response time)",
	Options:    []string{"--block-size"},
	Extensions: []string{".vscsi", ".vscsitrace"},
	Addressed:  true,
	Timed:      true,
	HasSize:    true,
	HasOp:      true,
	detect: func(s *sample) fit {
		if s.text || vscsiVersion(s.head) == nil {
			return no
		}
		return sure
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		head := src.fill(vscsiV2.size * 16)
		l := vscsiVersion(head)
		if l == nil {
			return nil, src.errorf("want records of version 1 (32 bytes, byte 15 is 1) or 2 (40 bytes, byte 3 is 2) that hold SCSI commands, found neither")
		}
		return &vscsiDecoder{src: src, layout: *l, blockSize: uint64(o.blockSize())}, nil
	},
}

// vscsiLayout is where a version keeps its fields.
type vscsiLayout struct{ size, version, length, command, block, time int }

var (
	vscsiV1 = vscsiLayout{size: 32, version: 1, length: 4, command: 12, block: 16, time: 24}
	vscsiV2 = vscsiLayout{size: 40, version: 2, length: 8, command: 0, block: 16, time: 24}
)

// vscsiVersion finds the version whose mark all of head's first records carry,
// the first of them with a command that is known.
func vscsiVersion(head []byte) *vscsiLayout {
next:
	for _, l := range []*vscsiLayout{&vscsiV1, &vscsiV2} {
		n := min(len(head)/l.size, 16)
		if n == 0 || scsiOps[head[l.command]] == 0 {
			continue
		}
		for i := range n {
			r := head[i*l.size:]
			if int(r[l.command+3]) != l.version || r[l.command+1] != 0 {
				continue next
			}
		}
		return l
	}
	return nil
}

// scsiOps maps the SCSI operation codes that move, test or drop data to Op+1;
// 0 is any other command. VERIFY reads the medium.
var scsiOps = func() (t [256]uint8) {
	for op, codes := range map[Op][]uint8{
		Read:  {0x08, 0x28, 0xa8, 0x88, 0x2f, 0xaf, 0x8f},
		Write: {0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e, 0x41, 0x93, 0x89},
		Trim:  {0x42},
		Flush: {0x35, 0x91},
	} {
		for _, c := range codes {
			t[c] = uint8(op) + 1
		}
	}
	return t
}()

type vscsiDecoder struct {
	src       *source
	layout    vscsiLayout
	blockSize uint64
}

func (d *vscsiDecoder) recordSize() int64 { return int64(d.layout.size) }

func (d *vscsiDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	l := d.layout
	maxBlock, maxTime := math.MaxUint64/d.blockSize, uint64(math.MaxInt64/1000)
	for n < len(dst) {
		b, err := d.src.records(l.size)
		if err != nil {
			return n, err
		}
		for len(b) >= l.size && n < len(dst) {
			command, version := binary.LittleEndian.Uint16(b[l.command:]), b[l.command+3]
			block, time := binary.LittleEndian.Uint64(b[l.block:]), binary.LittleEndian.Uint64(b[l.time:])
			switch {
			case int(version) != l.version:
				return n, d.src.errorf("want a record of version %d, got version %d", l.version, version)
			case command > 0xff || scsiOps[command] == 0:
				return n, d.src.errorf("want a SCSI read, write, verify, unmap or synchronize command, got %#04x", command)
			case block > maxBlock:
				return n, d.src.errorf("want a block below 2^64 bytes, got %d", block)
			case time > maxTime:
				return n, d.src.errorf("want a time in us that fits 63 bits of nanoseconds, got %d", time)
			}
			dst[n] = Request{
				Time: int64(time) * 1000, ID: block, Offset: block * d.blockSize,
				Size: binary.LittleEndian.Uint32(b[l.length:]), Op: Op(scsiOps[command] - 1),
			}
			n++
			b = b[l.size:]
			d.src.pos += l.size
		}
	}
	return n, nil
}
