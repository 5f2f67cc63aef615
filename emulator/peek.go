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
	if d.timed {
		done = d.link.peekSend(now, done, int64(end-first))
	}
	return done - now
}

// peek is when read would end.
func (m *media) peek(now int64, unit, retries uint32) int64 {
	sense := m.t.Read * int64(1+retries)
	channel := unit % m.channels
	if !m.suspend {
		return m.peekSend(now, max(now, m.unitFree[unit])+sense, channel, false)
	}
	start := max(now, m.unitReadFree[unit])
	if m.unitFree[unit] > start {
		start += m.overhead
	}
	return m.peekSend(now, start+sense, channel, true)
}

// peekSend is when send would end.
func (m *media) peekSend(now, ready int64, channel uint32, ahead bool) int64 {
	switch {
	case m.t.Transfer == 0:
		return ready
	case m.buses != nil:
		m.buses[channel].advance(now / m.t.Transfer)
		start, _, _ := m.buses[channel].start(ready, m.t.Transfer, ahead)
		return start + m.t.Transfer
	case !ahead:
		return max(ready, m.busFree[channel]) + m.t.Transfer
	}
	start := max(ready, m.busReadFree[channel])
	if m.busFree[channel] > start {
		start += m.t.Transfer
	}
	return start + m.t.Transfer
}
