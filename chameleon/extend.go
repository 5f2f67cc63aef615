package chameleon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/reservation/v1/hosts"

	"reprise/chameleon/leases"
)

// Extend moves the end of a held deployment's lease. The site's rules hold: a
// lease is prolonged only near its end, and then by its greatest length at
// most; a second lease that follows on the first is against the testbed's
// policy and never made.
func (p *Provider) Extend(ctx context.Context, d *Deployment, until time.Time) error {
	site, now := p.Cloud.Site, p.Now()
	limit := func(format string, args ...any) error {
		return &Error{Doing: "prolong the lease", Kind: Limit, Detail: fmt.Sprintf(format, args...)}
	}
	until = until.Truncate(time.Minute)
	switch {
	case !until.After(d.Ends):
		return limit("it lasts until %s already", clock(d.Ends))
	case d.Ends.Sub(now) > site.ExtendWithin:
		return limit("%s prolongs a lease only in its last %s", site.Name, hoursText(site.ExtendWithin))
	case until.Sub(now) > site.MaxLease:
		return limit("%s prolongs a lease by at most %s", site.Name, hoursText(site.MaxLease))
	}
	l, err := leases.Update(ctx, p.Cloud.reservation, d.Lease, leases.UpdateOpts{EndDate: until}).Extract()
	if err != nil {
		return p.Cloud.explain("prolong the lease", err)
	}
	d.Ends = l.EndDate
	p.say("lease %s prolonged until %s", d.Name, clock(d.Ends))
	return d.save()
}

// Attend looks after the lease of a held deployment while it is in use: it
// prolongs the lease by step whenever less than half a step is left, not beyond
// limit and never a borrowed one, and says so when it cannot. It returns nil
// when ctx is done, and an error as soon as the site says that the lease has
// ended, whoever ended it.
func (p *Provider) Attend(ctx context.Context, d *Deployment, step time.Duration, limit time.Time) error {
	said := ""
	once := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != said && ctx.Err() == nil {
			said = text
			p.say("%s", text)
		}
	}
	limit = limit.Truncate(time.Minute)
	for {
		switch due := d.Ends.Sub(p.Now()) < step/2; {
		case due && d.Borrowed:
			once("lease %s ends at %s, and is not ours to prolong", d.Lease, clock(d.Ends))
		case due && !d.Ends.Before(limit):
			once("lease %s ends at %s, and will not be prolonged further", d.Name, clock(d.Ends))
		case due:
			until := d.Ends.Add(step)
			if until.After(limit) {
				until = limit
			}
			if err := p.Extend(ctx, d, until); err != nil {
				once("%v", err)
			}
		}
		if sleep(ctx, 15*p.poll()) != nil {
			return nil
		}
		l, err := leases.Get(ctx, p.Cloud.reservation, d.Lease).Extract()
		err = p.Cloud.explain("look at the lease", err)
		switch {
		case KindOf(err) == Missing:
			return &Error{Doing: "use the lease " + d.Name, Kind: Broken, Detail: "it is gone: somebody has deleted it"}
		case err != nil: // a service in trouble says nothing about the lease
		case !alive(*l):
			return &Error{Doing: "use the lease " + d.Name, Kind: Broken, Detail: fmt.Sprintf("it is %s: %s", l.Status, eventsText(*l)), Hint: "ask for longer with --hours or --max-su; what has finished is kept"}
		}
	}
}

// earliest finds from the site's calendar when the plan's hosts are free for
// the whole of its lease; zero when that cannot be known, as not every site
// shows its calendar to everybody. It is an error when the site has too few.
func (p *Provider) earliest(ctx context.Context, plan Plan) (time.Time, error) {
	pages, err := hosts.List(p.Cloud.reservation, nil).AllPages(ctx)
	if err != nil {
		return time.Time{}, nil
	}
	all, err := hosts.ExtractHosts(pages)
	if err != nil {
		return time.Time{}, nil
	}
	busy := map[string][]span{}
	for _, h := range all {
		uid, _ := h.ExtraCapabilities["uid"].(string)
		if h.Reservable && (len(plan.Nodes) > 0 && slices.Contains(plan.Nodes, uid) || len(plan.Nodes) == 0 && h.ExtraCapabilities["node_type"] == plan.NodeType) {
			busy[h.ID] = nil
		}
	}
	var calendar struct {
		Allocations []struct {
			Host         string `json:"resource_id"`
			Reservations []struct {
				Start string `json:"start_date"`
				End   string `json:"end_date"`
			} `json:"reservations"`
		} `json:"allocations"`
	}
	resp, err := p.Cloud.reservation.Get(ctx, p.Cloud.reservation.ServiceURL("os-hosts", "allocations"), &calendar, nil)
	if err != nil {
		return time.Time{}, nil
	}
	_ = resp.Body.Close()
	for _, a := range calendar.Allocations {
		if _, ours := busy[a.Host]; !ours {
			continue
		}
		for _, r := range a.Reservations {
			s, errS := time.Parse(calendarFormat, r.Start)
			e, errE := time.Parse(calendarFormat, r.End)
			if errS != nil || errE != nil {
				return time.Time{}, nil
			}
			busy[a.Host] = append(busy[a.Host], span{s, e})
		}
	}
	if len(busy) < plan.Count {
		return time.Time{}, &Error{Doing: "wait for hardware", Kind: NoHosts, Detail: fmt.Sprintf("%s has %d of %s, and %d are needed", plan.Site.Name, len(busy), plan.Hardware(), plan.Count)}
	}
	return earliest(p.Now(), busy, plan.Count, plan.Lease), nil
}

// calendarFormat is how Blazar writes dates.
const calendarFormat = "2006-01-02T15:04:05.999999"

type span struct{ start, end time.Time }

// earliest is the first whole minute from now on at which count hosts are free
// for a length of time. It can only be now or where a reservation ends.
func earliest(now time.Time, busy map[string][]span, count int, length time.Duration) time.Time {
	starts := []time.Time{now}
	for _, spans := range busy {
		for _, s := range spans {
			if s.end.After(now) {
				starts = append(starts, s.end)
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	for _, at := range starts {
		if whole := at.Truncate(time.Minute); !whole.Equal(at) && !at.Equal(now) {
			at = whole.Add(time.Minute)
		}
		free := 0
		for _, spans := range busy {
			if !slices.ContainsFunc(spans, func(s span) bool { return s.start.Before(at.Add(length)) && at.Before(s.end) }) {
				free++
			}
		}
		if free >= count {
			return at
		}
	}
	return starts[len(starts)-1] // not reached: after the last end all are free
}
