package cloudtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cloud is a small OpenStack site in this process.
type Cloud struct {
	*Blazar
	URL      string
	User     string // whose password is Password, in project Project
	Password string
	Project  string
	Boot     time.Duration // how long an instance builds
	Vanish   time.Duration // how long its deletion takes
	// Intercept sees every request before it is served and says what goes
	// wrong with it; nil for nothing.
	Intercept func(n int, r *http.Request) Fault
	// Broken is the fault that instances come to; none when empty.
	Broken string
	SSH    *SSH // answers at the floating IPs; nil for nobody

	pending   sync.WaitGroup // requests being served, also those nobody waits for
	mu        sync.Mutex
	server    *httptest.Server
	requests  []string
	made      int // things, to number them
	tokens    map[string]time.Time
	servers   []*instance
	keys      map[string]string
	addresses []*address
	groups    []*securityGroup
	networks  []*isolatedNetwork
	routers   []*router
}

// Fault is what goes wrong with a request.
type Fault struct {
	// Status is answered instead of serving the request; 0 for none.
	Status int
	Header http.Header
	// Cut breaks the connection, after the request was served when Late is
	// set; Half sends half of its answer.
	Cut, Late, Half bool
	// Delay holds the answer back.
	Delay time.Duration
}

type instance struct {
	id, name, key, host, flavor, fault string
	groups                             []string // ids
	network                            string   // id
	made                               time.Time
	gone                               time.Time // when a deletion has been carried out
	metadata                           map[string]string
}

type address struct {
	id, address, reservation, port, description string
}

type isolatedNetwork struct {
	id, name, reservation string
	subnets               []string // ids
}

type router struct {
	id, name string
	subnets  []string // ids
}

type securityGroup struct {
	id, name string
	rules    []map[string]any
}

// The identifiers of what the site offers from the start.
const (
	PublicNetwork = "cb4859b7-e2dd-4b84-adf1-0bae1dd8d913"
	sharedNetwork = "0d3a7c56-58d6-4b36-8c0f-6f0ce1a6b5a1"
	userID        = "8c1d3e0f4b5a49768190a1b2c3d4e5f6"
	projectID     = "053333050d6b4424bb0d7b91410a0461"
	region        = "CHI@Test"
	smallFlavor   = "2"
)

// New starts a site with three hosts, one storage_nvme and two compute_nvme, and
// room for three virtual machines m1.small. Floating IPs are loopback addresses.
func New() *Cloud {
	c := &Cloud{
		User: "alice", Password: "correct horse battery", Project: "CH-000000", Boot: 20 * time.Millisecond, Vanish: 10 * time.Millisecond,
		tokens: map[string]time.Time{}, keys: map[string]string{},
	}
	c.Blazar = &Blazar{
		NetworkID: PublicNetwork, FloatingIPs: []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"},
		Hosts: []Host{
			{"node3", map[string]string{"node_type": "storage_nvme", "uid": "uid-node3"}},
			{"node2", map[string]string{"node_type": "compute_nvme", "uid": "uid-node2"}},
			{"node1", map[string]string{"node_type": "compute_nvme", "uid": "uid-node1"}},
		},
		Flavors: map[string]int{smallFlavor: 3},
		Now:     time.Now, Delay: 5 * time.Millisecond, Effects: effects{c},
		Identify: func(token string) (Identity, bool) {
			return Identity{User: userID, Project: projectID}, c.valid(token)
		},
	}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = c.server.URL
	return c
}

// Close stops the site.
func (c *Cloud) Close() {
	c.server.CloseClientConnections()
	c.server.Close()
	if c.SSH != nil {
		c.SSH.Close()
	}
}

// SitesYAML describes the site in the form of a file of sites, twice: CHI@Test
// leases its hosts and KVM@Test its virtual machines.
func (c *Cloud) SitesYAML() string {
	port := 22
	if c.SSH != nil {
		port = c.SSH.Port
	}
	return fmt.Sprintf(`- name: %s
  auth_url: %s/identity/v3
  leases: hosts
  ssh_port: %d
  boot: 5m
  poll: 20ms
  isolated: reserve
  physical_network: physnet1
  reference: %s/reference/nodes.json
- name: KVM@Test
  auth_url: %s/identity/v3
  region: %s
  leases: flavors
  ssh_port: %d
  boot: 5m
  poll: 20ms
  su_per_flavor: {m1.small: 0.25}
`, region, c.URL, port, c.URL, c.URL, region, port)
}

// CloudsYAML is the login to the site.
func (c *Cloud) CloudsYAML() string {
	return fmt.Sprintf("clouds:\n  test:\n    region_name: %s\n    auth: {auth_url: %q, username: %s, password: %q, project_name: %s, user_domain_name: Default, project_domain_name: Default}\n",
		region, c.URL+"/identity/v3", c.User, c.Password, c.Project)
}

// Requests lists what was asked for: method and path, identifiers as *.
func (c *Cloud) Requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Expire makes every token invalid.
func (c *Cloud) Expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// Left lists everything that users have made and that is still there, once all
// requests have been served, those too whose caller has given up.
func (c *Cloud) Left() []string {
	c.pending.Wait()
	var left []string
	for _, name := range c.Leases() {
		left = append(left, "lease "+name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move()
	for _, s := range c.servers {
		left = append(left, "instance "+s.name)
	}
	for name := range c.keys {
		left = append(left, "key pair "+name)
	}
	for _, a := range c.addresses {
		left = append(left, "floating IP "+a.address)
	}
	for _, g := range c.groups {
		left = append(left, "security group "+g.name)
	}
	for _, n := range c.networks {
		left = append(left, "network "+n.name)
	}
	for _, r := range c.routers {
		left = append(left, "router "+r.name)
	}
	return left
}

func (c *Cloud) valid(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.tokens[token]
	return ok
}

var identifiers = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|reprise-[a-z0-9-]+`)

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	c.pending.Add(1)
	defer c.pending.Done()
	c.mu.Lock()
	n := len(c.requests)
	c.requests = append(c.requests, r.Method+" "+identifiers.ReplaceAllString(r.URL.Path, "*"))
	intercept := c.Intercept
	c.mu.Unlock()
	var f Fault
	if intercept != nil {
		f = intercept(n, r)
	}
	if f.Delay > 0 {
		time.Sleep(f.Delay) // also when the caller has given up
	}
	switch {
	case f.Status != 0:
		for key, values := range f.Header {
			w.Header()[key] = values
		}
		reply(w, f.Status, map[string]any{"error_code": f.Status, "error_message": http.StatusText(f.Status), "error_name": f.Status})
	case f.Cut && !f.Late:
		panic(http.ErrAbortHandler)
	case f.Cut:
		c.route(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case f.Half:
		rec := httptest.NewRecorder()
		c.route(rec, r)
		for key, values := range rec.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	default:
		c.route(w, r)
	}
}

func (c *Cloud) route(w http.ResponseWriter, r *http.Request) {
	service, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if service == "reservation" {
		http.StripPrefix("/reservation", c.Blazar).ServeHTTP(w, r)
		return
	}
	if service == "identity" {
		c.identity(w, r, path)
		return
	}
	if service == "reference" {
		reply(w, 200, map[string]any{"total": len(referenceNodes), "items": referenceNodes})
		return
	}
	if !c.valid(r.Header.Get("X-Auth-Token")) {
		unauthorized(w)
		return
	}
	parts := strings.Split(path, "/")
	if path == "" {
		version := map[string]string{"image": "v2.16", "network": "v2.0"}[service]
		reply(w, 200, map[string]any{"versions": []any{map[string]any{"id": version, "status": "CURRENT", "links": []any{map[string]any{"rel": "self", "href": c.URL + r.URL.Path + version + "/"}}}}})
		return
	}
	switch service {
	case "compute":
		c.compute(w, r, parts[1:])
	case "image":
		images := []any{}
		if r.URL.Query().Get("name") == "CC-Ubuntu22.04" {
			for i, date := range []string{"2026-01-05T00:00:00Z", "2026-05-05T00:00:00Z", "2025-05-05T00:00:00Z"} {
				images = append(images, map[string]any{"id": fmt.Sprintf("image-%d", i), "name": "CC-Ubuntu22.04", "status": "active", "created_at": date, "updated_at": date})
			}
		}
		reply(w, 200, map[string]any{"images": images})
	case "network":
		c.network(w, r, parts[1:])
	default:
		http.NotFound(w, r)
	}
}

// referenceNodes is what the reference API tells of the hosts: of the two of one
// type only one has a pair of drives.
var referenceNodes = []any{
	map[string]any{"uid": "uid-node1", "node_name": "P3-CPU-001", "node_type": "compute_nvme", "storage_devices": []any{
		map[string]any{"device": "sda", "interface": "SATA", "media_type": "SSD", "model": "DELLBOSS VD", "size": 240057409536},
	}},
	map[string]any{"uid": "uid-node2", "node_name": "P3-CPU-002", "node_type": "compute_nvme", "storage_devices": []any{
		map[string]any{"device": "nvme0n1", "interface": "PCIe", "media_type": "SSD", "model": "MZWLJ1T9HBJR", "size": 1920383410176},
		map[string]any{"device": "nvme1n1", "interface": "PCIe", "media_type": "SSD", "model": "MZWLJ1T9HBJR", "size": "1920383410176"},
	}},
	map[string]any{"uid": "uid-node3", "node_name": "P3-SSD-001", "node_type": "storage_nvme", "storage_devices": []any{}},
}

func (c *Cloud) identity(w http.ResponseWriter, r *http.Request, path string) {
	if path != "v3/auth/tokens" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	var body struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct{ Name, Password string }
				}
			}
			Scope struct{ Project struct{ Name string } }
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	user := body.Auth.Identity.Password.User
	if user.Name != c.User || user.Password != c.Password || body.Auth.Scope.Project.Name != c.Project {
		unauthorized(w)
		return
	}
	c.mu.Lock()
	token := fmt.Sprintf("token-%d-%d", len(c.requests), time.Now().UnixNano())
	c.tokens[token] = time.Now()
	c.mu.Unlock()
	var catalog []any
	for _, s := range [][3]string{{"identity", "identity", "/v3"}, {"compute", "compute", "/v2.1"}, {"image", "image", ""}, {"network", "network", ""}, {"reservation", "reservation", "/v1"}} {
		catalog = append(catalog, map[string]any{"type": s[0], "name": s[0], "id": s[0], "endpoints": []any{
			map[string]any{"id": s[0], "interface": "public", "region": region, "region_id": region, "url": c.URL + "/" + s[1] + s[2]},
		}})
	}
	w.Header().Set("X-Subject-Token", token)
	domain := map[string]any{"id": "default", "name": "Default"}
	reply(w, 201, map[string]any{"token": map[string]any{
		"methods": []string{"password"}, "expires_at": time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"),
		"user": map[string]any{"id": userID, "name": c.User, "domain": domain}, "project": map[string]any{"id": projectID, "name": c.Project, "domain": domain},
		"roles": []any{map[string]any{"id": "1", "name": "member"}, map[string]any{"id": "2", "name": "reader"}}, "catalog": catalog,
	}})
}

// move does what is due: deletions.
func (c *Cloud) move() {
	now := time.Now()
	c.servers = slices.DeleteFunc(c.servers, func(s *instance) bool {
		if s.gone.IsZero() || now.Before(s.gone) {
			return false
		}
		c.detach(s)
		return true
	})
}

func (c *Cloud) detach(s *instance) {
	for _, a := range c.addresses {
		if a.port == port(s.id) {
			a.port = ""
		}
	}
}

func port(server string) string { return "aaaaaaaa" + server[8:] }

func (s *instance) status(boot time.Duration) string {
	switch {
	case s.fault != "":
		return "ERROR"
	case time.Since(s.made) < boot:
		return "BUILD"
	}
	return "ACTIVE"
}

func (c *Cloud) show(s *instance) map[string]any {
	m := map[string]any{
		"id": s.id, "name": s.name, "status": s.status(c.Boot), "user_id": userID, "tenant_id": projectID, "key_name": s.key,
		"metadata": s.metadata, "created": s.made.UTC().Format(time.RFC3339), "updated": s.made.UTC().Format(time.RFC3339), "addresses": map[string]any{}, "flavor": map[string]any{}, "image": map[string]any{},
	}
	if s.fault != "" {
		m["fault"] = map[string]any{"code": 500, "message": s.fault, "created": s.made.UTC().Format(time.RFC3339)}
	}
	return m
}

func (c *Cloud) compute(w http.ResponseWriter, r *http.Request, path []string) {
	// Blazar's lock is taken before the site's, never after it.
	var hosts []string
	reserved := c.reserved(projectID)
	var create struct {
		Server struct {
			Name     string                  `json:"name"`
			Flavor   string                  `json:"flavorRef"`
			Networks []struct{ UUID string } `json:"networks"`
			Groups   []struct{ Name string } `json:"security_groups"`
			Key      string                  `json:"key_name"`
			Metadata map[string]string       `json:"metadata"`
		} `json:"server"`
		Hints struct {
			Reservation string `json:"reservation"`
		} `json:"os:scheduler_hints"`
	}
	making := path[0] == "servers" && len(path) == 1 && r.Method == http.MethodPost
	if making {
		_ = json.NewDecoder(r.Body).Decode(&create)
		hosts = c.place(projectID, create.Hints.Reservation)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move()
	missing := func(what string) {
		reply(w, 404, map[string]any{"itemNotFound": map[string]any{"code": 404, "message": what + " could not be found."}})
	}
	find := func() *instance {
		i := slices.IndexFunc(c.servers, func(s *instance) bool { return len(path) > 1 && s.id == path[1] })
		if i < 0 {
			missing("Instance")
			return nil
		}
		return c.servers[i]
	}
	switch {
	case path[0] == "flavors":
		list := []any{}
		add := func(id, name string) {
			list = append(list, map[string]any{"id": id, "name": name, "ram": 1024, "disk": 10, "vcpus": 64, "swap": 0})
		}
		add("baremetal", "baremetal")
		add(smallFlavor, "m1.small")
		for id := range reserved {
			add(id, "reservation:"+id)
		}
		reply(w, 200, map[string]any{"flavors": list})
	case path[0] == "os-keypairs" && r.Method == http.MethodPost:
		var body struct {
			Keypair struct {
				Name      string `json:"name"`
				PublicKey string `json:"public_key"`
			} `json:"keypair"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		if _, there := c.keys[body.Keypair.Name]; there {
			reply(w, 409, map[string]any{"conflictingRequest": map[string]any{"code": 409, "message": "Key pair '" + body.Keypair.Name + "' already exists."}})
			return
		}
		c.keys[body.Keypair.Name] = body.Keypair.PublicKey
		reply(w, 200, map[string]any{"keypair": map[string]any{"name": body.Keypair.Name, "public_key": body.Keypair.PublicKey}})
	case path[0] == "os-keypairs" && len(path) == 1:
		list := []any{}
		for name, key := range c.keys {
			list = append(list, map[string]any{"keypair": map[string]any{"name": name, "public_key": key}})
		}
		reply(w, 200, map[string]any{"keypairs": list})
	case path[0] == "os-keypairs":
		key, there := c.keys[path[1]]
		if !there {
			missing("Keypair")
			return
		}
		if r.Method == http.MethodDelete {
			delete(c.keys, path[1])
			w.WriteHeader(202)
			return
		}
		reply(w, 200, map[string]any{"keypair": map[string]any{"name": path[1], "public_key": key}})
	case making:
		s := &instance{id: c.id(), name: create.Server.Name, key: create.Server.Key, flavor: create.Server.Flavor, made: time.Now(), metadata: create.Server.Metadata, fault: c.Broken}
		for _, n := range create.Server.Networks {
			if s.network = n.UUID; n.UUID != sharedNetwork && c.networkOf(n.UUID) == nil {
				reply(w, 400, map[string]any{"badRequest": map[string]any{"code": 400, "message": "Network " + n.UUID + " could not be found."}})
				return
			}
		}
		for _, g := range create.Server.Groups {
			if !slices.ContainsFunc(c.groups, func(o *securityGroup) bool { return o.id == g.Name || o.name == g.Name }) {
				reply(w, 400, map[string]any{"badRequest": map[string]any{"code": 400, "message": "Unable to find security_group with name or id '" + g.Name + "'"}})
				return
			}
			s.groups = append(s.groups, g.Name)
		}
		if room := reserved[s.flavor]; room > 0 {
			for _, o := range c.servers {
				if o.flavor == s.flavor {
					room--
				}
			}
			if room > 0 {
				s.host = "hypervisor of " + s.id
			}
		}
		for _, h := range hosts {
			if s.host == "" && !slices.ContainsFunc(c.servers, func(o *instance) bool { return o.host == h }) {
				s.host = h
			}
		}
		if s.host == "" {
			s.fault = "No valid host was found. There are not enough hosts available."
		}
		c.servers = append(c.servers, s)
		reply(w, 202, map[string]any{"server": map[string]any{"id": s.id, "adminPass": "unused", "links": []any{}}})
	case path[0] == "servers" && path[1] == "detail":
		list := []any{}
		pattern := regexp.MustCompile(r.URL.Query().Get("name"))
		for _, s := range c.servers {
			if pattern.MatchString(s.name) {
				list = append(list, c.show(s))
			}
		}
		reply(w, 200, map[string]any{"servers": list})
	case path[0] == "servers" && len(path) == 3 && path[2] == "action":
		if s := find(); s != nil {
			reply(w, 200, map[string]any{"output": c.console(s)})
		}
	case path[0] == "servers" && r.Method == http.MethodGet:
		if s := find(); s != nil {
			reply(w, 200, map[string]any{"server": c.show(s)})
		}
	case path[0] == "servers" && r.Method == http.MethodDelete:
		if s := find(); s != nil {
			if s.gone.IsZero() {
				s.gone = time.Now().Add(c.Vanish)
			}
			w.WriteHeader(204)
		}
	default:
		http.NotFound(w, r)
	}
}

func (c *Cloud) console(s *instance) string {
	text := "[    0.000000] Linux version 5.15.0\n"
	if s.status(c.Boot) == "ACTIVE" && c.SSH != nil {
		text += "ci-info: no authorized SSH keys fingerprints found for user cc.\n-----BEGIN SSH HOST KEY KEYS-----\n" + c.SSH.HostKey() + "-----END SSH HOST KEY KEYS-----\n"
	}
	return text + s.name + " login: "
}

func (c *Cloud) id() string {
	c.made++
	return fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", c.made)
}

func (c *Cloud) network(w http.ResponseWriter, r *http.Request, path []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move()
	q := r.URL.Query()
	switch {
	case path[0] == "networks" || path[0] == "subnets" || path[0] == "routers":
		c.isolate(w, r, path)
	case path[0] == "ports":
		list := []any{}
		for _, r := range c.routers {
			for _, subnet := range r.subnets {
				if r.id == q.Get("device_id") {
					list = append(list, map[string]any{"id": port(subnet), "device_id": r.id, "device_owner": "network:router_interface", "fixed_ips": []any{map[string]any{"subnet_id": subnet, "ip_address": "192.168.144.1"}}})
				}
			}
		}
		for _, s := range c.servers {
			if s.id == q.Get("device_id") {
				list = append(list, map[string]any{"id": port(s.id), "device_id": s.id, "device_owner": "compute:nova", "network_id": s.network, "fixed_ips": []any{map[string]any{"subnet_id": s.network, "ip_address": "10.140.82." + s.id[len(s.id)-2:]}}})
			}
		}
		reply(w, 200, map[string]any{"ports": list})
	case path[0] == "security-groups" || path[0] == "security-group-rules":
		c.security(w, r, path)
	case path[0] == "floatingips" && r.Method == http.MethodPost:
		var body struct {
			FloatingIP struct {
				Network     string `json:"floating_network_id"`
				Port        string `json:"port_id"`
				Description string `json:"description"`
			} `json:"floatingip"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		for _, free := range c.FloatingIPs {
			if body.FloatingIP.Network == PublicNetwork && !slices.ContainsFunc(c.addresses, func(a *address) bool { return a.address == free }) {
				c.made++
				a := &address{id: fmt.Sprintf("cccccccc-0000-4000-8000-%012d", c.made), address: free, port: body.FloatingIP.Port, description: body.FloatingIP.Description}
				c.addresses = append(c.addresses, a)
				reply(w, 201, map[string]any{"floatingip": a.show()})
				return
			}
		}
		reply(w, 409, map[string]any{"NeutronError": map[string]any{"type": "IpAddressGenerationFailure", "message": "No more IP addresses available on network " + PublicNetwork + ".", "detail": ""}})
	case path[0] == "floatingips" && r.Method == http.MethodDelete:
		before := len(c.addresses)
		c.addresses = slices.DeleteFunc(c.addresses, func(a *address) bool { return a.id == path[1] })
		if len(c.addresses) == before {
			reply(w, 404, map[string]any{"NeutronError": map[string]any{"type": "FloatingIPNotFound", "message": "Floating IP could not be found", "detail": ""}})
			return
		}
		w.WriteHeader(204)
	case path[0] == "floatingips" && r.Method == http.MethodPut:
		var body struct {
			FloatingIP struct {
				Port string `json:"port_id"`
			} `json:"floatingip"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		for _, a := range c.addresses {
			if a.id == path[1] {
				a.port = body.FloatingIP.Port
				reply(w, 200, map[string]any{"floatingip": a.show()})
				return
			}
		}
		reply(w, 404, map[string]any{"NeutronError": map[string]any{"type": "FloatingIPNotFound", "message": "Floating IP could not be found", "detail": ""}})
	case path[0] == "floatingips":
		list := []any{}
		for _, a := range c.addresses {
			if q.Get("tags") == "" || "reservation:"+a.reservation == q.Get("tags") {
				list = append(list, a.show())
			}
		}
		reply(w, 200, map[string]any{"floatingips": list})
	default:
		http.NotFound(w, r)
	}
}

func (c *Cloud) networkOf(id string) *isolatedNetwork {
	i := slices.IndexFunc(c.networks, func(n *isolatedNetwork) bool { return n.id == id || slices.Contains(n.subnets, id) })
	if i < 0 {
		return nil
	}
	return c.networks[i]
}

// isolate serves networks, subnets and routers.
func (c *Cloud) isolate(w http.ResponseWriter, r *http.Request, path []string) {
	failed := func(code int, kind string) {
		reply(w, code, map[string]any{"NeutronError": map[string]any{"type": kind, "message": kind + ": " + r.URL.Path, "detail": ""}})
	}
	q := r.URL.Query()
	var body struct {
		Network, Router struct{ Name string }
		Subnet          struct {
			Network string `json:"network_id"`
		}
		SubnetID string `json:"subnet_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	var n *isolatedNetwork
	var route *router
	if len(path) > 1 {
		n = c.networkOf(path[1])
		if i := slices.IndexFunc(c.routers, func(r *router) bool { return r.id == path[1] }); i >= 0 {
			route = c.routers[i]
		}
		if n == nil && path[0] != "routers" || route == nil && path[0] == "routers" {
			failed(404, "NotFound")
			return
		}
	}
	// used says that an instance is on the network.
	used := func(n *isolatedNetwork) bool {
		return slices.ContainsFunc(c.servers, func(s *instance) bool { return s.network == n.id })
	}
	switch what := r.Method + " " + path[0]; {
	case what == "GET networks":
		list := []any{}
		add := func(id, name, project string) {
			if wanted := q.Get("name"); wanted == "" || wanted == name {
				list = append(list, map[string]any{"id": id, "name": name, "status": "ACTIVE", "project_id": project})
			}
		}
		if q.Get("project_id") == "" {
			add(PublicNetwork, "public", "admin")
			add(sharedNetwork, "sharednet1", "admin")
		}
		for _, n := range c.networks {
			add(n.id, n.name, projectID)
		}
		reply(w, 200, map[string]any{"networks": list})
	case what == "POST networks":
		n := &isolatedNetwork{id: c.id(), name: body.Network.Name}
		c.networks = append(c.networks, n)
		reply(w, 201, map[string]any{"network": map[string]any{"id": n.id, "name": n.name}})
	case what == "DELETE networks" && (used(n) || slices.ContainsFunc(c.routers, func(r *router) bool {
		return slices.ContainsFunc(r.subnets, func(s string) bool { return slices.Contains(n.subnets, s) })
	})):
		failed(409, "NetworkInUse")
	case what == "DELETE networks":
		c.networks = slices.DeleteFunc(c.networks, func(o *isolatedNetwork) bool { return o == n })
		w.WriteHeader(204)
	case what == "GET subnets":
		list := []any{}
		for _, n := range c.networks {
			for _, id := range n.subnets {
				if q.Get("network_id") == n.id {
					list = append(list, map[string]any{"id": id, "network_id": n.id})
				}
			}
		}
		reply(w, 200, map[string]any{"subnets": list})
	case what == "POST subnets":
		n := c.networkOf(body.Subnet.Network)
		switch {
		case n == nil:
			failed(404, "NetworkNotFound")
		case len(n.subnets) > 0:
			failed(400, "InvalidInput") // its range overlaps
		default:
			n.subnets = append(n.subnets, c.id())
			reply(w, 201, map[string]any{"subnet": map[string]any{"id": n.subnets[0], "network_id": n.id}})
		}
	case what == "DELETE subnets" && (used(n) || slices.ContainsFunc(c.routers, func(r *router) bool { return slices.Contains(r.subnets, path[1]) })):
		failed(409, "SubnetInUse")
	case what == "DELETE subnets":
		n.subnets = slices.DeleteFunc(n.subnets, func(id string) bool { return id == path[1] })
		w.WriteHeader(204)
	case what == "GET routers":
		list := []any{}
		for _, r := range c.routers {
			list = append(list, map[string]any{"id": r.id, "name": r.name, "project_id": projectID})
		}
		reply(w, 200, map[string]any{"routers": list})
	case what == "POST routers":
		route := &router{id: c.id(), name: body.Router.Name}
		c.routers = append(c.routers, route)
		reply(w, 201, map[string]any{"router": map[string]any{"id": route.id, "name": route.name}})
	case what == "DELETE routers" && len(route.subnets) > 0:
		failed(409, "RouterInUse")
	case what == "DELETE routers":
		c.routers = slices.DeleteFunc(c.routers, func(o *router) bool { return o == route })
		w.WriteHeader(204)
	case what == "PUT routers" && path[2] == "add_router_interface":
		if slices.Contains(route.subnets, body.SubnetID) {
			failed(400, "BadRequest") // it has a port there already
			return
		}
		route.subnets = append(route.subnets, body.SubnetID)
		reply(w, 200, map[string]any{"id": route.id, "subnet_id": body.SubnetID, "port_id": port(body.SubnetID)})
	case what == "PUT routers" && path[2] == "remove_router_interface":
		n := c.networkOf(body.SubnetID)
		switch {
		case n == nil || !slices.Contains(route.subnets, body.SubnetID):
			failed(404, "RouterInterfaceNotFoundForSubnet")
		case slices.ContainsFunc(c.addresses, func(a *address) bool {
			return slices.ContainsFunc(c.servers, func(s *instance) bool { return s.network == n.id && a.port == port(s.id) })
		}):
			failed(409, "RouterInterfaceInUseByFloatingIP")
		default:
			route.subnets = nil
			reply(w, 200, map[string]any{"id": route.id, "subnet_id": body.SubnetID, "port_id": port(body.SubnetID)})
		}
	default:
		http.NotFound(w, r)
	}
}

// security serves security groups and their rules.
func (c *Cloud) security(w http.ResponseWriter, r *http.Request, path []string) {
	failed := func(code int, kind, message string) {
		reply(w, code, map[string]any{"NeutronError": map[string]any{"type": kind, "message": message, "detail": ""}})
	}
	show := func(g *securityGroup) map[string]any {
		return map[string]any{"id": g.id, "name": g.name, "project_id": projectID, "tenant_id": projectID, "security_group_rules": g.rules}
	}
	switch {
	case path[0] == "security-groups" && r.Method == http.MethodGet:
		list := []any{}
		for _, g := range c.groups {
			list = append(list, show(g))
		}
		reply(w, 200, map[string]any{"security_groups": list})
	case path[0] == "security-groups" && r.Method == http.MethodPost:
		var body struct {
			Group struct{ Name string } `json:"security_group"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		g := &securityGroup{id: c.id(), name: body.Group.Name, rules: []map[string]any{{"id": c.id(), "direction": "egress", "ethertype": "IPv4"}}}
		c.groups = append(c.groups, g)
		reply(w, 201, map[string]any{"security_group": show(g)})
	case path[0] == "security-group-rules" && r.Method == http.MethodPost:
		var body struct {
			Rule map[string]any `json:"security_group_rule"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		i := slices.IndexFunc(c.groups, func(g *securityGroup) bool { return g.id == body.Rule["security_group_id"] })
		if i < 0 {
			failed(404, "SecurityGroupNotFound", "Security group does not exist")
			return
		}
		body.Rule["id"] = c.id()
		c.groups[i].rules = append(c.groups[i].rules, body.Rule)
		reply(w, 201, map[string]any{"security_group_rule": body.Rule})
	case path[0] == "security-groups" && r.Method == http.MethodDelete:
		i := slices.IndexFunc(c.groups, func(g *securityGroup) bool { return g.id == path[1] })
		switch {
		case i < 0:
			failed(404, "SecurityGroupNotFound", "Security group does not exist")
		case slices.ContainsFunc(c.servers, func(s *instance) bool { return slices.Contains(s.groups, path[1]) }):
			failed(409, "SecurityGroupInUse", "Security Group "+path[1]+" in use.")
		default:
			c.groups = slices.Delete(c.groups, i, i+1)
			w.WriteHeader(204)
		}
	default:
		http.NotFound(w, r)
	}
}

// opens says that an instance can be reached: a whole host always can, a virtual
// machine where a security group of it lets SSH in.
func (c *Cloud) opens(s *instance) bool {
	if _, virtual := strings.CutPrefix(s.host, "hypervisor of "); !virtual {
		return true
	}
	return slices.ContainsFunc(c.groups, func(g *securityGroup) bool {
		return slices.Contains(s.groups, g.id) && slices.ContainsFunc(g.rules, func(rule map[string]any) bool {
			return rule["direction"] == "ingress" && rule["protocol"] == "tcp" && rule["port_range_min"] == float64(c.SSH.Port)
		})
	})
}

func (a *address) show() map[string]any {
	m := map[string]any{"description": a.description, "id": a.id, "floating_ip_address": a.address, "floating_network_id": PublicNetwork, "tenant_id": projectID, "tags": []string{"blazar", "reservation:" + a.reservation}}
	if a.port != "" {
		m["port_id"] = a.port
	}
	return m
}

// effects carries out on the site what leases mean.
type effects struct{ *Cloud }

func (c effects) AddFloatingIP(_, a, reservation string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	c.addresses = append(c.addresses, &address{id: fmt.Sprintf("cccccccc-0000-4000-8000-%012d", c.made), address: a, reservation: reservation})
	return nil
}

func (c effects) Release(_ string, addresses, reservations []string) error {
	hosts := map[string]bool{}
	for _, l := range c.leases { // Blazar's lock is held by whoever calls
		for _, r := range l.Reservations {
			if slices.Contains(reservations, r.id()) {
				for _, h := range r.hosts {
					hosts[c.Hosts[h].Name] = true
				}
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = slices.DeleteFunc(c.servers, func(s *instance) bool {
		gone := hosts[s.host] || slices.Contains(reservations, s.flavor)
		if gone {
			c.detach(s)
		}
		return gone
	})
	c.addresses = slices.DeleteFunc(c.addresses, func(a *address) bool { return slices.Contains(addresses, a.address) })
	return nil
}

func (c effects) AddNetwork(_, name, reservation string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.networks = append(c.networks, &isolatedNetwork{id: c.id(), name: name, reservation: reservation})
	return nil
}

// ReleaseNetworks fails, as the network's deletion would, where somebody has left
// something on it.
func (c effects) ReleaseNetworks(reservations []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.networks {
		if slices.Contains(reservations, n.reservation) && len(n.subnets) > 0 {
			return fmt.Errorf("network %s has a subnet", n.name)
		}
	}
	c.networks = slices.DeleteFunc(c.networks, func(n *isolatedNetwork) bool {
		return n.reservation != "" && slices.Contains(reservations, n.reservation)
	})
	return nil
}

// keyAt gives the public key of the active instance behind a floating IP.
func (c *Cloud) keyAt(floating string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move()
	for _, a := range c.addresses {
		for _, s := range c.servers {
			if a.address == floating && a.port == port(s.id) && s.status(c.Boot) == "ACTIVE" && c.opens(s) {
				key, ok := c.keys[s.key]
				return key, ok
			}
		}
	}
	return "", false
}
