package emulator

// link is the host's link to the device, PCIe for one: pages cross it one after
// another, each way by itself. What the host writes crosses in the order of the
// requests; what it reads, as it gets ready.
type link struct {
	page int64 // time of a page, ns; 0: none
	in   int64 // until when the way to the device is taken
	out  bus   // the way to the host
}

func newLink(c Config) link {
	if c.Link == 0 {
		return link{}
	}
	return link{page: (int64(c.PageSize())*1000 + c.Link - 1) / c.Link}
}

// receive is when a page that the host sends at now is with the device.
func (l *link) receive(now int64) (arrived int64) {
	if l.page == 0 {
		return now
	}
	l.in = max(l.in, now) + l.page
	return l.in
}

// send is when a page that is ready at a time is with the host.
func (l *link) send(now, ready int64) (arrived int64) {
	if l.page == 0 {
		return ready
	}
	return l.out.book(now, ready, l.page, false)
}

// peekSend is when send would end for the last of n pages of which the latest is
// ready at a time, and the first not before now.
func (l *link) peekSend(now, ready, n int64) (arrived int64) {
	if l.page == 0 {
		return ready
	}
	l.out.advance(now / l.page)
	start, _, _ := l.out.start(ready, l.page, false)
	return max(start+l.page, now+n*l.page)
}
