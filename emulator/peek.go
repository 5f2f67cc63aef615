package emulator

// Peek tells the latency that Read would answer with, without reading. Pages of
// one request that share a plane or a channel are counted as if each were
// alone, so that it may be a little low.
func (d *Device) Peek(now int64, lba, sectors uint64) (latency int64) {
	first, end, _, _, err := d.pages(lba, sectors)
	if err != nil {
		return 0
	}
	now = max(d.now, now)
	done := now
	for p := first; p < end; p++ {
		switch at := d.mapping[p]; {
		case at == none || !d.timed:
		case d.buffer.holds(at, now):
			done = max(done, now+d.cfg.BufferEntry)
		default:
			done = max(done, d.media.peek(now, at%d.units, uint32(d.retryCount[d.perLine.div(at)])))
		}
	}
	return done - now
}

// peek is when read would end.
func (m *media) peek(now int64, unit, retries uint32) int64 {
	sense := m.t.Read * int64(1+retries)
	bus := unit % m.channels
	if !m.suspend {
		return max(max(now, m.unitFree[unit])+sense, m.busFree[bus]) + m.t.Transfer
	}
	start := max(now, m.unitReadFree[unit])
	if m.unitFree[unit] > start {
		start += m.overhead
	}
	end := start + sense
	start = max(end, m.busReadFree[bus])
	if m.busFree[bus] > start {
		start += m.t.Transfer
	}
	return start + m.t.Transfer
}
