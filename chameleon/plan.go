package chameleon

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/chameleon/leases"
)

// Plan is what a platform of a manifest comes to: what is leased, for how
// long, and what that costs. It is made without network.
type Plan struct {
	Artifact, Platform string
	Site               Site
	NodeType           string
	Nodes              []string // uids of the nodes to lease; any of NodeType when empty
	Flavor             string   // of virtual machines, instead of nodes
	// Devices are those that the nodes have to have; which nodes have them is
	// found out before the lease is made.
	Devices  map[string]artifacts.Device
	UserData string // for cloud-init
	Isolated bool   // on a network made for it
	Image    string
	Count    int
	Lease    time.Duration
	Estimate []Line // what Lease is made of
	Warnings []string
}

// Line is one line of an estimate.
type Line struct {
	Hours float64 `json:"hours"`
	What  string  `json:"what"`
}

// Request is what a Plan is made from beside the manifest.
type Request struct {
	Platform string   // may be empty where only one platform is Chameleon's
	Profile  string   // whose budgets the lease is sized by; none when empty
	Only     []string // the experiments that will run; all when empty
	Whole    bool     // every experiment of the profile runs on the platform, whatever its own
	Hours    float64  // length of the lease; estimated when 0
	Site     string   // instead of the platform's
	Nodes    []string // uids of the nodes, instead of any of the type
}

// margin is what a lease is longer than its estimate: copying the program and
// the sources there and the results back, and what a budget does not see.
const margin = 0.25

// NewPlan sizes the lease of a platform.
func NewPlan(m *artifacts.Manifest, sites []Site, r Request) (Plan, error) {
	name, platform, err := choosePlatform(m, r.Platform)
	if err != nil {
		return Plan{}, err
	}
	if r.Site == "" {
		r.Site = platform.Site
	}
	if r.Site == "" {
		return Plan{}, fmt.Errorf("platform %s of %s names no site", name, m.Artifact)
	}
	site, err := FindSite(sites, r.Site)
	if err != nil {
		return Plan{}, fmt.Errorf("platform %s of %s: %w", name, m.Artifact, err)
	}
	p := Plan{
		Artifact: m.Artifact, Platform: name, Site: site, NodeType: platform.NodeType, Nodes: r.Nodes, Flavor: platform.Flavor,
		Image: platform.Image, Count: platform.Machines(), UserData: platform.UserData, Isolated: platform.Network == "isolated",
	}
	switch {
	case site.Leases == "none":
		return Plan{}, fmt.Errorf("%s leases neither whole hosts nor virtual machines, which is all that reprise asks for", site.Name)
	case p.Flavor != "" && site.Leases != "flavors":
		return Plan{}, fmt.Errorf("%s leases whole hosts, and platform %s of %s asks for virtual machines of flavor %s", site.Name, name, m.Artifact, p.Flavor)
	case p.Flavor == "" && site.Leases != "hosts":
		return Plan{}, fmt.Errorf("%s leases virtual machines: platform %s of %s has to name a flavor", site.Name, name, m.Artifact)
	case p.Flavor != "" && len(p.Nodes) > 0:
		return Plan{}, fmt.Errorf("--node names whole hosts, and platform %s of %s is of virtual machines", name, m.Artifact)
	case p.Flavor == "" && p.NodeType == "" && len(p.Nodes) == 0:
		return Plan{}, fmt.Errorf("platform %s of %s names no node_type", name, m.Artifact)
	case p.Image == "":
		return Plan{}, fmt.Errorf("platform %s of %s names no image", name, m.Artifact)
	case len(p.Nodes) > 0 && len(p.Nodes) < p.Count:
		return Plan{}, fmt.Errorf("platform %s of %s needs %d nodes, and %d are named", name, m.Artifact, p.Count, len(p.Nodes))
	case r.Hours < 0 || math.IsNaN(r.Hours) || math.IsInf(r.Hours, 0):
		return Plan{}, fmt.Errorf("a lease of %g hours", r.Hours)
	}
	if err := p.size(m, platform, r); err != nil {
		return Plan{}, err
	}
	if _, known := site.SUPerFlavor[p.Flavor]; p.Flavor != "" && !known {
		p.Warnings = append(p.Warnings, fmt.Sprintf("what flavor %s costs is not known here: %g SU an hour is assumed; https://discover.chameleoncloud.org says it, su_per_flavor in $REPRISE_SITES sets it", p.Flavor, site.SUPerHour))
	}
	if len(p.Devices) > 0 && len(p.Nodes) == 0 && site.Reference == "" {
		return Plan{}, fmt.Errorf("platform %s of %s asks for devices, and %s has no reference API that says which nodes have them: name nodes with --node", name, m.Artifact, site.Name)
	}
	return p, nil
}

func choosePlatform(m *artifacts.Manifest, name string) (string, artifacts.Platform, error) {
	var names []string
	for n, p := range m.Platforms {
		if p.Provider == "chameleon" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	// Who names none wants machines as they come, if one platform is of these.
	plain := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return len(m.Platforms[n].Prepare) > 0 })
	switch {
	case name == "" && len(names) > 1 && len(plain) == 1:
		name = plain[0]
	case len(names) == 0:
		return "", artifacts.Platform{}, fmt.Errorf("%s has no platform of the provider chameleon", m.Artifact)
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		return "", artifacts.Platform{}, fmt.Errorf("%s has several platforms on Chameleon: choose one of %s", m.Artifact, strings.Join(names, ", "))
	case !slices.Contains(names, name):
		return "", artifacts.Platform{}, fmt.Errorf("%s has no platform %q on Chameleon; it has %s", m.Artifact, name, strings.Join(names, ", "))
	}
	return name, m.Platforms[name], nil
}

// size sets the lease's length: what was asked for, or else the budgets of the
// experiments that run on the platform with a margin, or else the manifest's.
func (p *Plan) size(m *artifacts.Manifest, platform artifacts.Platform, r Request) error {
	var budgets []Line
	named := false // by one of the experiments: the manifest's hours are for these
	for _, id := range m.ExperimentIDs() {
		profile, has := m.Experiments[id].Profiles[r.Profile]
		if has && (r.Whole || profile.Platform == p.Platform) && (len(r.Only) == 0 || slices.Contains(r.Only, id)) {
			if profile.Platform == p.Platform {
				p.Devices, named = platform.Devices, true
			}
			budgets = append(budgets, Line{time.Duration(profile.Compute).Hours(), fmt.Sprintf("%s: compute budget of its %s profile, %s", id, r.Profile, profile.Compute)})
		}
	}
	hours := 0.0
	switch {
	case r.Hours > 0:
		hours = r.Hours
		p.Estimate = []Line{{hours, "asked for"}}
	case len(budgets) > 0:
		p.Estimate = []Line{{p.Site.Boot.Hours(), "boot"}}
		for _, step := range platform.Prepare {
			if limit := time.Duration(step.Timeout).Hours(); named && limit > 0 {
				p.Estimate = append(p.Estimate, Line{limit, fmt.Sprintf("%s: time limit of the preparation, %s", step.Name, step.Timeout)})
			}
		}
		p.Estimate = append(p.Estimate, budgets...)
		for _, l := range p.Estimate {
			hours += l.Hours
		}
		p.Estimate = append(p.Estimate, Line{hours * margin, fmt.Sprintf("margin of %.0f %%", margin*100)})
		hours += hours * margin
		up := math.Ceil(hours*2-1e-9)/2 - hours
		if up > 1e-9 {
			p.Estimate = append(p.Estimate, Line{up, "rounded up to half an hour"})
			hours += up
		}
		if named && platform.Hours > 0 && (hours > platform.Hours || hours < platform.Hours/2) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("the manifest says %g hours; its budgets come to %g", platform.Hours, hours))
		}
	case platform.Hours > 0:
		hours = platform.Hours
		p.Estimate = []Line{{hours, "hours of the platform in the manifest"}}
	default:
		return fmt.Errorf("how long platform %s of %s is needed is not known: give --hours, or a profile that uses it", p.Platform, p.Artifact)
	}
	if limit := p.Site.MaxLease.Hours(); hours > limit {
		if r.Hours > 0 {
			return fmt.Errorf("%s leases for at most %g hours; %g were asked for", p.Site.Name, limit, hours)
		}
		p.Warnings = append(p.Warnings, fmt.Sprintf("a lease is at most %g hours long; it is prolonged while it is in use, in its last %g hours", limit, p.Site.ExtendWithin.Hours()))
		p.Estimate = append(p.Estimate, Line{limit - hours, "longest lease of " + p.Site.Name})
		hours = limit
	}
	// Leases are counted in minutes.
	p.Lease = time.Duration(math.Ceil(hours*60-1e-6)) * time.Minute
	return nil
}

// SU is what the lease costs in service units.
func (p Plan) SU() float64 { return p.cost(p.Lease) }

func (p Plan) cost(d time.Duration) float64 {
	return float64(p.Count) * d.Hours() * p.Rate()
}

// Rate is what one node costs an hour, in service units.
func (p Plan) Rate() float64 { return p.Site.Rate(p.Flavor) }

// Buys is how long the plan's hosts can be leased for so many service units.
func (p Plan) Buys(su float64) time.Duration {
	return time.Duration(su / p.cost(time.Hour) * float64(time.Hour)).Truncate(time.Minute)
}

// properties is the expression that chooses the hosts.
func (p Plan) properties() string {
	if len(p.Nodes) == 0 {
		return leases.Equal("node_type", p.NodeType)
	}
	uids := make([]string, len(p.Nodes))
	for i, uid := range p.Nodes {
		uids[i] = leases.Equal("uid", uid)
	}
	return leases.Or(uids...)
}

// prefix begins the name of everything that reprise makes on a cloud.
const prefix = "reprise-"

// Name is the name, on the cloud, of everything that is made for the platform
// by a user in a project. It is the same every time, so that what is there
// already is found, by whatever machine asks.
func (p Plan) Name(userID, projectID string) string {
	middle := strings.Map(func(r rune) rune {
		if r == '_' {
			return '-'
		}
		return r
	}, strings.ToLower(p.Artifact+"-"+p.Platform))
	if len(middle) > 60 { // a lease's name has at most 80 characters
		middle = middle[:51] + "-" + digest(middle)
	}
	return prefix + middle + "-" + owner(userID, projectID)
}

// owner ends those names: two people may share a project, and not everything
// on a cloud says whose it is.
func owner(userID, projectID string) string { return digest(userID + "\n" + projectID) }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// Call is one request to the cloud that changes something.
type Call struct {
	Method  string `json:"method"`
	Service string `json:"service"`
	Path    string `json:"path"` // * stands for an id that is not known yet
	What    string `json:"what"`
}

// Calls lists what Up does to an empty project and then Down, in order.
func (p Plan) Calls() (up, down []Call) {
	flavor, on := p.Site.Flavor, "on the reserved hosts"
	addresses := ""
	if p.Flavor == "" {
		addresses = fmt.Sprintf(", with %d floating IP(s) of %s", p.Count, p.Site.PublicNetwork)
	}
	if p.reservesNetwork() {
		addresses += " and a network of its own"
	}
	up = []Call{{"POST", "identity", "/v3/auth/tokens", "log in"}}
	if p.resolves() {
		up = append(up, Call{"GET", "reference", p.Site.Reference, "which nodes of type " + p.NodeType + " have the devices; these are leased by uid"})
	}
	up = append(up,
		Call{"POST", "reservation", "/v1/leases", fmt.Sprintf("lease %d × %s, %s%s", p.Count, p.Hardware(), hoursText(p.Lease), addresses)},
		Call{"POST", "compute", "/os-keypairs", "the public half of a key pair made for this"})
	private := p.Site.Network
	if p.Isolated {
		private = "made for this"
		if !p.reservesNetwork() {
			up = append(up, Call{"POST", "network", "/v2.0/networks", "a network made for this"})
		}
		up = append(up,
			Call{"POST", "network", "/v2.0/subnets", "its subnet " + isolatedRange},
			Call{"POST", "network", "/v2.0/routers", "a router to " + p.Site.PublicNetwork},
			Call{"PUT", "network", "/v2.0/routers/*/add_router_interface", "the subnet on the router"})
	}
	if p.Flavor != "" {
		up = append(up, Call{"POST", "network", "/v2.0/security-groups", "a security group made for this"})
		for _, r := range p.rules("") {
			up = append(up, Call{"POST", "network", "/v2.0/security-group-rules", "it lets in " + r.Description})
		}
		flavor, on = p.Flavor, "of the reservation"
	}
	data := ""
	if p.UserData != "" {
		data = ", with user data"
	}
	for i := range p.Count {
		up = append(up, Call{"POST", "compute", "/servers", fmt.Sprintf("node %d: flavor %s, image %s, network %s, %s%s", i, flavor, p.Image, private, on, data)})
	}
	for i := range p.Count {
		if p.Flavor != "" {
			up = append(up, Call{"POST", "network", "/v2.0/floatingips", fmt.Sprintf("an address of %s for node %d", p.Site.PublicNetwork, i)})
			continue
		}
		up = append(up, Call{"PUT", "network", "/v2.0/floatingips/*", fmt.Sprintf("a reserved address for node %d", i)})
	}
	for i := range p.Count {
		down = append(down, Call{"DELETE", "compute", "/servers/*", fmt.Sprintf("node %d", i)})
	}
	var withIt []string
	if p.Flavor == "" {
		withIt = append(withIt, "the floating IPs")
	} else {
		for i := range p.Count {
			down = append(down, Call{"DELETE", "network", "/v2.0/floatingips/*", fmt.Sprintf("the address of node %d", i)})
		}
	}
	if p.Isolated {
		down = append(down,
			Call{"PUT", "network", "/v2.0/routers/*/remove_router_interface", "the subnet off the router"},
			Call{"DELETE", "network", "/v2.0/routers/*", "the router"},
			Call{"DELETE", "network", "/v2.0/subnets/*", "the subnet"})
		if p.reservesNetwork() {
			withIt = append(withIt, "the network")
		} else {
			down = append(down, Call{"DELETE", "network", "/v2.0/networks/*", "the network"})
		}
	}
	if p.Flavor != "" {
		down = append(down, Call{"DELETE", "network", "/v2.0/security-groups/*", "the security group"})
	}
	lease := "the lease"
	if len(withIt) > 0 {
		lease += ", and with it " + strings.Join(withIt, " and ")
	}
	return up, append(down,
		Call{"DELETE", "compute", "/os-keypairs/*", "the key pair"},
		Call{"DELETE", "reservation", "/v1/leases/*", lease})
}

// Hardware says what is leased: nodes, a node type, or a flavour.
func (p Plan) Hardware() string {
	if len(p.Nodes) > 0 {
		return strings.Join(p.Nodes, " or ")
	}
	return cmp.Or(p.NodeType, p.Flavor)
}

func hoursText(d time.Duration) string { return fmt.Sprintf("%g h", math.Round(d.Hours()*100)/100) }
