package cloudtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Blazar is a reservation service that answers as a real Blazar Zed does; the
// tests hold it to a recording of one. Its state lives in memory and moves on,
// by its clock, whenever it is asked something.
type Blazar struct {
	Hosts []Host
	// Flavors are how many virtual machines of a flavour, by id, can be reserved.
	// The recording has none of these: requests are as Chameleon's dashboard
	// sends them, answers as its clients read them.
	Flavors     map[string]int
	NetworkID   string   // whose floating IPs can be reserved
	FloatingIPs []string // their addresses
	Now         func() time.Time
	// Identify says who a token belongs to.
	Identify func(token string) (Identity, bool)
	// Effects carries out on the cloud what leases mean; nil for none.
	Effects Effects
	// Delay is how long a lease stays PENDING, and then STARTING.
	Delay time.Duration

	mu     sync.Mutex
	leases []*lease
	ids    int
}

// Host is a machine that can be leased.
type Host struct {
	Name       string
	Properties map[string]string
}

// Identity is who makes a request.
type Identity struct {
	User, Project string
	Admin         bool
}

// Effects is what a lease does to the rest of the cloud.
type Effects interface {
	// AddFloatingIP makes a reserved address appear in a project.
	AddFloatingIP(project, address, reservation string) error
	// Release takes back the addresses, and the servers on the hosts.
	Release(project string, addresses, reservations []string) error
}

// NetworkEffects is what a lease with a network does; without it there is no
// reservation of networks.
type NetworkEffects interface {
	AddNetwork(project, name, reservation string) error
	// ReleaseNetworks deletes those that reservations have made.
	ReleaseNetworks(reservations []string) error
}

type lease struct {
	CreatedAt    string         `json:"created_at"`
	UpdatedAt    *string        `json:"updated_at"`
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	UserID       string         `json:"user_id"`
	ProjectID    string         `json:"project_id"`
	StartDate    string         `json:"start_date"`
	EndDate      string         `json:"end_date"`
	TrustID      string         `json:"trust_id"`
	Status       string         `json:"status"`
	Degraded     bool           `json:"degraded"`
	Reservations []*reservation `json:"reservations"`
	Events       []*leaseEvent  `json:"events"`

	created, start, end, moved time.Time
	fail                       bool
}

type reservation struct {
	fields    map[string]any
	hosts     []int
	addresses []string
	flavor    string // of virtual machines
	amount    int
	network   string // its name
}

func (r *reservation) MarshalJSON() ([]byte, error) { return json.Marshal(r.fields) }
func (r *reservation) id() string                   { return r.fields["id"].(string) }

type leaseEvent struct {
	CreatedAt string  `json:"created_at"`
	UpdatedAt *string `json:"updated_at"`
	ID        string  `json:"id"`
	LeaseID   string  `json:"lease_id"`
	EventType string  `json:"event_type"`
	Time      string  `json:"time"`
	Status    string  `json:"status"`
}

const (
	isoFormat   = "2006-01-02T15:04:05.000000"
	stampFormat = "2006-01-02 15:04:05"
	dateFormat  = "2006-01-02 15:04"
)

// refusal is an answer in the shape of Blazar's errors.
type refusal struct {
	code    int
	message string
	name    any
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...), code}
}

var internalError = &refusal{500, "Internal Server Error", "INTERNAL_SERVER_ERROR"}

// ServeHTTP implements http.Handler.
func (b *Blazar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	w.Header().Set("OpenStack-API-Version", "reservation 1.0")
	if r.URL.Path == "/" {
		reply(w, 300, map[string]any{"versions": []any{
			map[string]any{"id": "v1.0", "status": "CURRENT", "links": []any{map[string]any{"href": "http://" + r.Host + "/v1", "rel": "self"}}, "min_version": "1.0", "max_version": "1.0"},
			map[string]any{"id": "v2.0", "status": "DEPRECATED", "links": []any{map[string]any{"href": "http://" + r.Host + "/v2", "rel": "self"}}},
		}})
		return
	}
	who, ok := b.Identify(r.Header.Get("X-Auth-Token"))
	if !ok {
		unauthorized(w)
		return
	}
	if r.Header.Get("Accept") == "" {
		b.refuse(w, refuse(500, "Content type '' isn't supported"))
		return
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(path) < 2 || path[0] != "v1" {
		http.NotFound(w, r)
		return
	}
	var err *refusal
	switch {
	case path[1] == "leases" && len(path) == 2 && r.Method == http.MethodGet:
		list := []*lease{}
		for _, l := range b.leases {
			if l.ProjectID == who.Project {
				list = append(list, l)
			}
		}
		reply(w, 200, map[string]any{"leases": list})
	case path[1] == "leases" && len(path) == 2 && r.Method == http.MethodPost:
		var l *lease
		if l, err = b.create(r, who); err == nil {
			reply(w, 201, map[string]any{"lease": l})
		}
	case path[1] == "leases" && len(path) == 3:
		i := slices.IndexFunc(b.leases, func(l *lease) bool {
			return l.ID == path[2] && (who.Admin || l.ProjectID == who.Project)
		})
		if i < 0 {
			err = refuse(404, "Object with {'lease_id': '%s'} not found", path[2])
			break
		}
		l := b.leases[i]
		switch r.Method {
		case http.MethodGet:
			reply(w, 200, map[string]any{"lease": l})
		case http.MethodPut:
			if err = b.update(r, l); err == nil {
				reply(w, 200, map[string]any{"lease": l})
			}
		case http.MethodDelete:
			if fault := b.release(l); fault != nil {
				err = internalError
				break
			}
			b.leases = slices.Delete(b.leases, i, i+1)
			w.WriteHeader(204)
		default:
			w.WriteHeader(405)
		}
	case path[1] == "os-hosts" && len(path) == 2:
		if err = adminOnly(who, "oshosts:get"); err == nil {
			list := []any{}
			for i, h := range b.Hosts {
				m := map[string]any{"id": fmt.Sprint(i + 1), "hypervisor_hostname": h.Name, "service_name": h.Name, "reservable": true}
				for k, v := range h.Properties {
					m[k] = v
				}
				list = append(list, m)
			}
			reply(w, 200, map[string]any{"hosts": list})
		}
	case path[1] == "os-hosts" && len(path) == 3 && path[2] == "allocations":
		if err = adminOnly(who, "oshosts:get_allocations"); err == nil {
			reply(w, 200, map[string]any{"allocations": b.allocations()})
		}
	case path[1] == "os-hosts" && len(path) == 3 && path[2] == "properties":
		err = adminOnly(who, "oshosts:get_resource_properties")
	case path[1] == "floatingips":
		if err = adminOnly(who, "floatingips:get"); err == nil {
			list := []any{}
			for _, a := range b.FloatingIPs {
				list = append(list, map[string]any{"floating_ip_address": a, "floating_network_id": b.NetworkID, "reservable": true})
			}
			reply(w, 200, map[string]any{"floatingips": list})
		}
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		b.refuse(w, err)
	}
}

func adminOnly(who Identity, rule string) *refusal {
	if who.Admin {
		return nil
	}
	return refuse(403, "Policy doesn't allow blazar:%s to be performed", rule)
}

func (b *Blazar) refuse(w http.ResponseWriter, r *refusal) {
	reply(w, r.code, map[string]any{"error_code": r.code, "error_message": r.message, "error_name": r.name})
}

func (b *Blazar) newID() string {
	b.ids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", b.ids)
}

// create makes a lease, its checks in the real service's order.
func (b *Blazar) create(r *http.Request, who Identity) (*lease, *refusal) {
	var body struct {
		Name         string           `json:"name"`
		StartDate    string           `json:"start_date"`
		EndDate      string           `json:"end_date"`
		BeforeEnd    string           `json:"before_end_date"`
		Reservations []map[string]any `json:"reservations"`
	}
	dec := json.NewDecoder(r.Body)
	dec.UseNumber()
	if dec.Decode(&body) != nil {
		return nil, internalError
	}
	now := b.Now().UTC()
	start := now.Truncate(time.Minute)
	var refused *refusal
	if body.StartDate != "now" {
		if start, refused = parseDate(body.StartDate); refused != nil {
			return nil, refused
		}
		if start.Before(now.Truncate(time.Minute)) {
			return nil, refuse(400, "Start date must be later than current date")
		}
	}
	end, refused := parseDate(body.EndDate)
	switch {
	case refused != nil:
		return nil, refused
	case !end.After(start):
		return nil, refuse(400, "End date must be later than start date.")
	case len(body.Name) > 80:
		return nil, internalError
	}
	l := &lease{
		CreatedAt: now.Format(stampFormat), ID: b.newID(), Name: body.Name, UserID: who.User, ProjectID: who.Project,
		TrustID: b.newID(), Status: "PENDING", created: now, moved: now, start: start, end: end,
	}
	l.StartDate, l.EndDate = start.Format(isoFormat), end.Format(isoFormat)
	event := func(kind string, at time.Time) {
		l.Events = append(l.Events, &leaseEvent{CreatedAt: l.CreatedAt, ID: b.newID(), LeaseID: l.ID, EventType: kind, Time: at.Format(isoFormat), Status: "UNDONE"})
	}
	event("end_lease", end)
	event("start_lease", start)
	if body.BeforeEnd != "" {
		at, refused := parseDate(body.BeforeEnd)
		if refused != nil {
			return nil, refused
		}
		event("before_end_lease", at)
	}
	for _, want := range body.Reservations {
		res, refused := b.reserve(l, want)
		if refused != nil {
			return nil, refused
		}
		l.Reservations = append(l.Reservations, res)
	}
	b.leases = append(b.leases, l)
	return l, nil
}

func parseDate(s string) (time.Time, *refusal) {
	t, err := time.Parse(dateFormat, s)
	if err != nil {
		return t, refuse(400, "%s is an invalid date. Required format: %%Y-%%m-%%d %%H:%%M", s)
	}
	return t, nil
}

func (b *Blazar) reserve(l *lease, want map[string]any) (*reservation, *refusal) {
	res := &reservation{fields: map[string]any{
		"created_at": l.CreatedAt, "updated_at": nil, "id": b.newID(), "lease_id": l.ID, "resource_id": b.newID(),
		"resource_type": want["resource_type"], "status": "pending", "missing_resources": false, "resources_changed": false,
	}}
	switch want["resource_type"] {
	case "physical:host":
		return res, b.reserveHosts(l, res, want)
	case "virtual:floatingip":
		return res, b.reserveAddresses(l, res, want)
	case "network":
		if _, can := b.Effects.(NetworkEffects); can {
			for _, key := range []string{"network_name", "network_description", "resource_properties"} {
				value, has := want[key]
				if !has {
					return nil, refuse(400, "Missing parameter %s", key)
				}
				res.fields[key] = value
			}
			res.network = fmt.Sprint(want["network_name"])
			return res, nil
		}
	case "flavor:instance":
		if b.Flavors != nil {
			return res, b.reserveFlavor(l, res, want)
		}
	}
	return nil, refuse(500, "The %v resource type is not supported", want["resource_type"])
}

func (b *Blazar) reserveHosts(l *lease, res *reservation, want map[string]any) *refusal {
	for _, key := range []string{"min", "max", "hypervisor_properties", "resource_properties"} {
		value, has := want[key]
		if !has {
			return refuse(400, "Missing parameter %s", key)
		}
		res.fields[key] = value
	}
	res.fields["before_end"] = "default"
	if v, has := want["before_end"]; has {
		if v != "default" && v != "" {
			return refuse(400, "Malformed parameter before_end")
		}
	}
	lo, okLo := asInt(want["min"])
	hi, okHi := asInt(want["max"])
	switch {
	case !okLo || !okHi:
		return internalError
	case lo < 1 || hi < 1:
		return refuse(400, "Malformed parameter min and max (must be greater than or equal to 1)")
	case lo > hi:
		return refuse(400, "Invalid values for min/max of hosts (max must be equal to or greater than min)")
	}
	var fitting []int
	text, isText := want["resource_properties"].(string)
	if !isText { // it is read as an expression all the same, and fails when stored
		raw, _ := json.Marshal(want["resource_properties"])
		text = string(raw)
	}
	for i, h := range b.Hosts {
		ok, refused := fits(text, h, b.Hosts)
		if refused != nil {
			return refused
		}
		if ok && !b.taken(l, l, usesHost(i)) && !slices.ContainsFunc(l.Reservations, usesHost(i)) {
			fitting = append(fitting, i)
		}
	}
	if len(fitting) < lo {
		return refuse(500, "Not enough hosts available")
	}
	if !isText {
		return internalError
	}
	res.hosts = fitting[:min(hi, len(fitting))]
	return nil
}

func (b *Blazar) reserveFlavor(l *lease, res *reservation, want map[string]any) *refusal {
	for _, key := range []string{"flavor_id", "amount"} {
		value, has := want[key]
		if !has {
			return refuse(400, "Missing parameter %s", key)
		}
		res.fields[key] = value
	}
	res.fields["affinity"], res.fields["resource_properties"] = want["affinity"], ""
	amount, ok := asInt(want["amount"])
	if !ok || amount < 1 {
		return refuse(400, "Malformed parameter amount")
	}
	res.flavor, res.amount = fmt.Sprint(want["flavor_id"]), amount
	left := b.Flavors[res.flavor]
	for _, other := range b.leases {
		for _, r := range other.Reservations {
			if r.flavor == res.flavor && !other.over() && overlap(other, l) {
				left -= r.amount
			}
		}
	}
	if amount > left {
		return refuse(500, "Not enough hosts available")
	}
	return nil
}

// reserved gives the active reservations of virtual machines of a project, how
// many each is of, by id.
func (b *Blazar) reserved(project string) map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	found := map[string]int{}
	for _, l := range b.leases {
		for _, r := range l.Reservations {
			if r.flavor != "" && l.ProjectID == project && r.fields["status"] == "active" {
				found[r.id()] = r.amount
			}
		}
	}
	return found
}

func asInt(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}

// fits evaluates an expression such as ["and", ["=", "$node_type", "x"], …].
func fits(text string, h Host, all []Host) (bool, *refusal) {
	if text == "" {
		return true, nil
	}
	var expr any
	if json.Unmarshal([]byte(text), &expr) != nil {
		return false, refuse(400, "Malformed requirements %s", text)
	}
	return evaluate(expr, h, all)
}

func evaluate(expr any, h Host, all []Host) (bool, *refusal) {
	malformed := refuse(400, "Malformed requirements %s", pythonic(expr))
	list, ok := expr.([]any)
	if !ok || len(list) < 2 {
		return false, malformed
	}
	switch op := list[0]; op {
	case "and", "or":
		result := op == "and"
		for _, e := range list[1:] {
			one, refused := evaluate(e, h, all)
			if refused != nil {
				return false, refused
			}
			if op == "and" {
				result = result && one
			} else {
				result = result || one
			}
		}
		return result, nil
	case "=", "==", "!=", "<", ">", "<=", ">=":
		if len(list) != 3 {
			return false, malformed
		}
		key, okKey := list[1].(string)
		value := fmt.Sprint(list[2])
		if !okKey || !strings.HasPrefix(key, "$") {
			return false, malformed
		}
		key = key[1:]
		if !slices.ContainsFunc(all, func(h Host) bool { _, has := h.Properties[key]; return has }) {
			return false, refuse(500, "BlazarDBNotFound: A database error occurred")
		}
		have, has := h.Properties[key]
		if !has {
			return false, nil
		}
		c := strings.Compare(have, value) // as strings, numbers too
		switch op {
		case "=", "==":
			return c == 0, nil
		case "!=":
			return c != 0, nil
		case "<":
			return c < 0, nil
		case ">":
			return c > 0, nil
		case "<=":
			return c <= 0, nil
		}
		return c >= 0, nil
	}
	return false, malformed
}

// pythonic prints a value as Blazar's messages do.
func pythonic(v any) string {
	switch v := v.(type) {
	case string:
		return "'" + v + "'"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = pythonic(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v)
}

func (b *Blazar) reserveAddresses(l *lease, res *reservation, want map[string]any) *refusal {
	for _, key := range []string{"network_id", "amount"} {
		value, has := want[key]
		if !has {
			return refuse(400, "Missing parameter %s", key)
		}
		res.fields[key] = value
	}
	amount, ok := asInt(want["amount"])
	if !ok || amount < 1 {
		return refuse(400, "Malformed parameter amount")
	}
	required := []string{}
	if list, ok := want["required_floatingips"].([]any); ok {
		for _, a := range list {
			required = append(required, fmt.Sprint(a))
		}
	}
	res.fields["required_floatingips"] = required
	if want["network_id"] == b.NetworkID {
		for _, a := range slices.Concat(required, b.FloatingIPs) {
			if len(res.addresses) < amount && slices.Contains(b.FloatingIPs, a) && !slices.Contains(res.addresses, a) && !b.taken(l, l, usesAddress(a)) {
				res.addresses = append(res.addresses, a)
			}
		}
	}
	for _, a := range required {
		if !slices.Contains(res.addresses, a) {
			return refuse(400, "Not enough floating IPs available")
		}
	}
	if len(res.addresses) < amount {
		return refuse(400, "Not enough floating IPs available")
	}
	return nil
}

func (l *lease) over() bool { return l.Status == "TERMINATED" }

func overlap(a, b *lease) bool { return a.start.Before(b.end) && b.start.Before(a.end) }

// taken says that another lease than l uses something in the time of span.
func (b *Blazar) taken(l, span *lease, uses func(*reservation) bool) bool {
	return slices.ContainsFunc(b.leases, func(other *lease) bool {
		return other != l && !other.over() && overlap(other, span) && slices.ContainsFunc(other.Reservations, uses)
	})
}

func usesHost(host int) func(*reservation) bool {
	return func(r *reservation) bool { return slices.Contains(r.hosts, host) }
}

func usesAddress(address string) func(*reservation) bool {
	return func(r *reservation) bool { return slices.Contains(r.addresses, address) }
}

func (b *Blazar) update(r *http.Request, l *lease) *refusal {
	var body struct {
		Name    string `json:"name"`
		EndDate string `json:"end_date"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		return internalError
	}
	now := b.Now().UTC()
	if body.EndDate != "" {
		end, refused := parseDate(body.EndDate)
		if refused != nil {
			return refused
		}
		if !end.After(now) || !end.After(l.start) {
			return refuse(400, "End date must be later than current and start date")
		}
		longer := *l
		longer.end = end
		for _, res := range l.Reservations {
			for _, h := range res.hosts {
				if b.taken(l, &longer, usesHost(h)) {
					return refuse(500, "Not enough hosts available")
				}
			}
		}
		l.end, l.EndDate = end, end.Format(isoFormat)
		for _, e := range l.Events {
			if e.EventType == "end_lease" {
				e.Time = l.EndDate
			}
		}
	}
	if body.Name != "" {
		l.Name = body.Name
	}
	stamp := now.Format(stampFormat)
	l.UpdatedAt = &stamp
	if l.Status == "ACTIVE" || l.Status == "UPDATING" {
		l.Status, l.moved = "UPDATING", now
	}
	return nil
}

// advance does what is due by the clock.
func (b *Blazar) advance() {
	now := b.Now().UTC()
	for _, l := range b.leases {
		due := !now.Before(l.moved.Add(b.Delay))
		switch {
		case l.Status == "TERMINATED" || l.Status == "ERROR":
		case l.Status == "TERMINATING":
			if b.release(l) == nil {
				l.Status = "TERMINATED"
				l.set("deleted", "end_lease", "DONE")
			}
		case !now.Before(l.end):
			l.Status = "TERMINATING"
			l.set("", "end_lease", "IN_PROGRESS")
		case l.Status == "PENDING" && due && !now.Before(l.start):
			l.Status, l.moved = "STARTING", now
			l.set("", "start_lease", "IN_PROGRESS")
		case l.Status == "STARTING" && due:
			if l.fail || b.begin(l) != nil {
				l.Status = "ERROR"
				l.set("error", "start_lease", "ERROR")
				break
			}
			l.Status = "ACTIVE"
			l.set("active", "start_lease", "DONE")
		case l.Status == "UPDATING" && due:
			l.Status = "ACTIVE"
		}
	}
}

// set gives the reservations and one event a status.
func (l *lease) set(reservations, event, status string) {
	for _, r := range l.Reservations {
		if reservations != "" {
			r.fields["status"] = reservations
		}
	}
	for _, e := range l.Events {
		if e.EventType == event {
			e.Status = status
		}
	}
}

func (b *Blazar) begin(l *lease) error {
	if b.Effects == nil {
		return nil
	}
	for _, r := range l.Reservations {
		if r.network != "" {
			if err := b.Effects.(NetworkEffects).AddNetwork(l.ProjectID, r.network, r.id()); err != nil {
				return err
			}
		}
		for _, a := range r.addresses {
			if err := b.Effects.AddFloatingIP(l.ProjectID, a, r.id()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Blazar) release(l *lease) error {
	if b.Effects == nil || l.Status == "TERMINATED" {
		return nil
	}
	var addresses, reservations []string
	for _, r := range l.Reservations {
		addresses = append(addresses, r.addresses...)
		reservations = append(reservations, r.id())
	}
	if err := b.Effects.Release(l.ProjectID, addresses, reservations); err != nil {
		return err
	}
	if n, can := b.Effects.(NetworkEffects); can {
		return n.ReleaseNetworks(reservations)
	}
	return nil
}

func (b *Blazar) allocations() []any {
	list := []any{}
	for i := range b.Hosts {
		entries := []any{}
		for _, l := range b.leases {
			for _, r := range l.Reservations {
				if slices.Contains(r.hosts, i) && !l.over() {
					entries = append(entries, map[string]any{"id": r.id(), "lease_id": l.ID, "start_date": l.StartDate, "end_date": l.EndDate})
				}
			}
		}
		list = append(list, map[string]any{"resource_id": fmt.Sprint(i + 1), "reservations": entries})
	}
	return list
}

// place gives the hosts of an active reservation of the project.
func (b *Blazar) place(project, reservation string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	var names []string
	for _, l := range b.leases {
		for _, r := range l.Reservations {
			if r.id() == reservation && l.ProjectID == project && r.fields["status"] == "active" {
				for _, h := range r.hosts {
					names = append(names, b.Hosts[h].Name)
				}
			}
		}
	}
	return names
}

// Fail makes the leases that have not started end in ERROR.
func (b *Blazar) Fail() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.leases {
		l.fail = l.Status == "PENDING" || l.Status == "STARTING"
	}
}

// Lease makes a lease of two compute_nvme hosts and a floating IP, as a person
// would by hand.
func (c *Cloud) Lease(name string) error {
	now := c.Now().UTC()
	body := fmt.Sprintf(`{"name": %q, "start_date": "now", "end_date": %q, "events": [], "reservations": [
		{"resource_type": "physical:host", "min": 2, "max": 2, "hypervisor_properties": "", "resource_properties": "[\"=\",\"$node_type\",\"compute_nvme\"]"},
		{"resource_type": "virtual:floatingip", "network_id": %q, "amount": 1}]}`, name, now.Add(3*time.Hour).Format(dateFormat), c.NetworkID)
	r := httptest.NewRequest(http.MethodPost, "/v1/leases", strings.NewReader(body))
	c.Blazar.mu.Lock()
	defer c.Blazar.mu.Unlock()
	if _, refused := c.create(r, Identity{User: "somebody else", Project: projectID}); refused != nil {
		return fmt.Errorf("lease %s: %s", name, refused.message)
	}
	return nil
}

// EndLeases ends all leases now.
func (b *Blazar) EndLeases() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.leases {
		l.end = b.Now().UTC()
	}
}

// Leases names the leases that are there, ended ones left out.
func (b *Blazar) Leases() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	var names []string
	for _, l := range b.leases {
		if !l.over() {
			names = append(names, l.Name)
		}
	}
	return names
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func unauthorized(w http.ResponseWriter) {
	reply(w, 401, map[string]any{"error": map[string]any{"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}})
}
