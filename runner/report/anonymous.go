package report

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"reprise/checks"
	"reprise/runner/node"
)

// Anonymise replaces whatever tells who made the run and where: names of users
// and machines, folders, addresses and identifiers, in every text that the run
// recorded. Private are further words to replace, such as those of the machine
// that the report is made on. What was measured stays as it is.
//
// A name that many machines share, such as root or ubuntu, tells nothing and
// stays, and so do names of fewer than three letters.
func (r *Run) Anonymise(private ...string) {
	h := r.hide(private)
	r.anonymous = true
	for i := range r.Nodes {
		n := &r.Nodes[i]
		n.Name = h.nodes[n.Name]
		h.machine(&n.Machine)
	}
	for i := range r.Start.Nodes {
		n := &r.Start.Nodes[i]
		n.Name = h.nodes[n.Name]
		h.machine(&n.Machine)
	}
	r.Start.Command, r.Start.Folder = h.text(r.Start.Command), ""
	if r.Start.Records != nil {
		m := h.mount(*r.Start.Records)
		r.Start.Records = &m
	}
	h.all(r.Warnings)
	for _, a := range r.Artifacts {
		for i := range a.Sources {
			a.Sources[i].From = h.value(a.Sources[i].From)
		}
		for _, e := range a.Experiments {
			h.experiment(e)
		}
	}
}

// Names reports whether a text has something that Anonymise would replace. It is
// asked before Anonymise.
func (r *Run) Names(text string, private ...string) bool { return r.hide(private).text(text) != text }

func (h *hider) experiment(e *Experiment) {
	e.Left = h.text(e.Left)
	for k, v := range e.Params {
		e.Params[k] = h.value(v)
	}
	for _, values := range e.Axes {
		for i := range values {
			values[i] = h.value(values[i])
		}
	}
	for i, o := range e.Observations {
		for k, v := range o.Labels {
			e.Observations[i].Labels[k] = h.value(v)
		}
	}
	for _, s := range e.Steps {
		s.ID, s.Log, s.StepFinished.Log, s.Host, s.Step = h.value(s.ID), "", "", "", h.value(s.Step)
		if name, known := h.nodes[s.Node]; known {
			s.Node = name
		}
		s.Reason, s.Error = h.text(s.Reason), h.text(s.Error)
		for i, o := range s.Outputs {
			s.Outputs[i].Name = h.value(o.Name)
		}
		h.all(s.Tail)
		h.all(s.Warnings)
	}
	for _, c := range e.Claims {
		c.Reason = h.text(c.Reason)
		for i := range c.Results {
			h.result(&c.Results[i])
		}
	}
}

func (h *hider) result(r *checks.Result) {
	r.Subject, r.Observed, r.Reason, r.Needs = h.value(r.Subject), h.value(r.Observed), h.text(r.Reason), h.text(r.Needs)
	h.all(r.Warnings)
	h.all(r.Failing)
	for i := range r.Points {
		r.Points[i].Cell, r.Points[i].At = h.value(r.Points[i].Cell), h.value(r.Points[i].At)
	}
}

// hider replaces names. In text that programs and people wrote everything that
// looks like one goes; in values, on which results hang, users' names go only
// where there is a path or an address around them.
type hider struct {
	nodes       map[string]string // names of nodes → how reports call them
	words       map[string]string // word → what stands for it
	every, some *regexp.Regexp
}

// common names tell nothing of who or where.
var common = []string{"root", "user", "admin", "ubuntu", "debian", "centos", "fedora", "vagrant", "docker", "runner", "nobody", "local", "localhost", "localdomain"}

func (r *Run) hide(private []string) *hider {
	h := &hider{nodes: map[string]string{"local": "local"}, words: map[string]string{}}
	users := map[string]bool{} // and other words that may mean something else
	add := func(word, by string) {
		if word = strings.TrimRight(word, "/"); len(word) > 2 && !slices.Contains(common, strings.ToLower(word)) && word != "/root" && h.words[word] == "" {
			h.words[word] = by
		}
	}
	user := func(name string) {
		add(name, "user")
		users[name] = true
	}
	host := func(name, by string) {
		if _, err := netip.ParseAddr(name); err == nil {
			add(name, by)
			return
		}
		// The first part of a full name is the machine's own, the rest its domain.
		add(name, by)
		if short, domain, full := strings.Cut(name, "."); full {
			add(short, by)
			add(domain, "domain")
		}
	}
	if f := r.Start.Folder; f != "" {
		add(f, "RUN")
		add(filepath.Dir(filepath.Dir(f)), "STORE")
	}
	for i, n := range r.Nodes {
		by := "local"
		if n.Name != "local" {
			by = fmt.Sprintf("node%d", i+1)
			h.nodes[n.Name] = by
			add(n.Name, by)
			name := n.Name
			if _, measured, earlier := strings.Cut(name, "/"); earlier {
				name = measured // that of an earlier run
			}
			if _, rest, ok := strings.Cut(name, ":"); ok {
				name, _, _ = strings.Cut(rest, ":") // its kind before, a port behind
			}
			if who, where, has := strings.Cut(name, "@"); has {
				user(who)
				name = where
			}
			host(name, by)
		}
		if id := n.Identity; id != nil {
			add(id.Home, "~")
			user(id.User)
			host(id.Host, by)
		}
	}
	for _, word := range private {
		add(word, "PRIVATE")
		users[word] = true
	}
	h.every = words(h.words, func(string) bool { return true })
	h.some = words(h.words, func(w string) bool { return !users[w] })
	return h
}

// words matches any of the words that are wanted, longer ones first, where no
// letter or digit joins them.
func words(all map[string]string, want func(string) bool) *regexp.Regexp {
	list := sortedKeys(all)
	slices.SortStableFunc(list, func(a, b string) int { return len(b) - len(a) })
	var parts []string
	for _, w := range list {
		if !want(w) {
			continue
		}
		part := regexp.QuoteMeta(w)
		if isWord(w[0]) {
			part = `\b` + part
		}
		if isWord(w[len(w)-1]) {
			part += `\b`
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return nil
	}
	return regexp.MustCompile(strings.Join(parts, "|"))
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (h *hider) replace(re *regexp.Regexp, text string) string {
	if re == nil {
		return text
	}
	return re.ReplaceAllStringFunc(text, func(w string) string { return h.words[w] })
}

var (
	homes     = regexp.MustCompile(`/(?:home|Users)/[^/\s"':;,]+`)
	mailbox   = regexp.MustCompile(`[A-Za-z0-9._+-]+@[A-Za-z][A-Za-z0-9.-]*[A-Za-z0-9]`)
	testbeds  = regexp.MustCompile(`^(?:CHI|KVM)@[A-Z][A-Za-z]*$`) // are sites of Chameleon, not mailboxes
	uuid      = regexp.MustCompile(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`)
	mac       = regexp.MustCompile(`\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b`)
	addresses = regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*`)
)

// text hides names in what programs and people wrote.
func (h *hider) text(s string) string {
	s = h.replace(h.every, s)
	s = homes.ReplaceAllString(s, "~")
	s = uuid.ReplaceAllString(s, "UUID")
	s = mac.ReplaceAllString(s, "MAC")
	s = addresses.ReplaceAllStringFunc(s, hideAddress)
	return mailbox.ReplaceAllStringFunc(s, func(m string) string {
		if testbeds.MatchString(m) {
			return m
		}
		return "user@host"
	})
}

// hideAddress replaces an address of the network, unless it is every machine's.
func hideAddress(s string) string {
	bare := strings.TrimRight(s, ":.")
	a, err := netip.ParseAddr(bare)
	if err != nil || a.IsLoopback() || a.IsUnspecified() || !strings.ContainsAny(bare, "0123456789") {
		return s
	}
	return "ADDRESS" + s[len(bare):]
}

// value hides names in a parameter, label or place.
func (h *hider) value(s string) string {
	if strings.ContainsAny(s, "/@") {
		s = homes.ReplaceAllString(h.replace(h.every, s), "~")
	} else {
		s = h.replace(h.some, s)
	}
	return addresses.ReplaceAllStringFunc(uuid.ReplaceAllString(s, "UUID"), hideAddress)
}

func (h *hider) all(list []string) {
	for i := range list {
		list[i] = h.text(list[i])
	}
}

func (h *hider) machine(m *node.Machine) {
	m.Identity = nil
	m.CommandLine = h.text(commandLine(m.CommandLine))
	m.Kernel = h.text(m.Kernel)
	m.Mounts = slices.Clone(m.Mounts)
	for i, f := range m.Mounts {
		m.Mounts[i] = h.mount(f)
	}
	shown := map[string]string{}
	for name, value := range m.Environment {
		shown[name] = h.text(value)
	}
	m.Environment = shown
}

// kept are kernel parameters that change what is measured. The values of others
// may say where the machine boots from, what it is called, how it is reached.
var kept = regexp.MustCompile(`^(?:mitigations|spectre_v2|spec_store_bypass_disable|l1tf|mds|tsx|tsx_async_abort|retbleed|nosmt|preempt|` +
	`isolcpus|nohz_full|rcu_nocbs|irqaffinity|cpuidle\..*|intel_idle\..*|processor\..*|intel_pstate|amd_pstate|idle|` +
	`transparent_hugepage|hugepages|hugepagesz|default_hugepagesz|numa_balancing|numa|mem|memmap|` +
	`iommu|intel_iommu|amd_iommu|pci|pcie_aspm|nvme\..*|nvme_core\..*|scsi_mod\..*|elevator|blk_mq\..*|` +
	`clocksource|tsc|console|selinux|apparmor|audit|cgroup.*|init_on_alloc|init_on_free|page_poison|slub_debug|rootfstype|swiotlb)$`)

var plainNumber = regexp.MustCompile(`^[0-9][0-9,-]*[kKmMgG]?$`)

// commandLine keeps of a kernel's command line the parameters that change what
// is measured, flags, and plain numbers; of others only the name.
func commandLine(line string) string {
	fields := strings.Fields(line)
	for i, f := range fields {
		if name, value, has := strings.Cut(f, "="); has && !kept.MatchString(name) && !plainNumber.MatchString(value) {
			fields[i] = name + "=…"
		}
	}
	return strings.Join(fields, " ")
}

// mount keeps of a mount what changes measurements: its type, a local device's
// name, and options that are flags or numbers.
func (h *hider) mount(m node.Mount) node.Mount {
	switch {
	case m.Source == "" || m.Source == m.Type || strings.HasPrefix(m.Source, "/dev/") && strings.Count(m.Source, "/") == 2:
	case strings.HasPrefix(m.Source, "/dev/mapper/"):
		m.Source = "/dev/mapper/…" // often named after the machine
	case strings.HasPrefix(m.Source, "/"):
		m.Source = "…"
	case strings.ContainsAny(m.Source, ":/@"):
		m.Source = "a server"
	default:
		m.Source = "…"
	}
	options := strings.Split(m.Options, ",")
	for i, o := range options {
		if name, value, has := strings.Cut(o, "="); has && !plainNumber.MatchString(value) && !plainOption.MatchString(value) {
			options[i] = name + "=…"
		}
	}
	m.Options = strings.Join(options, ",")
	return m
}

// plainOption is a value of a mount's option that many machines share.
var plainOption = regexp.MustCompile(`^(?:continue|remount-ro|ordered|writeback|journal|hard|soft|tcp|tcp6|rdma|sys|krb5|krb5i|krb5p|none|all|noquota|on|off|zstd(?::[0-9]+)?|lzo|zlib|v2|[0-9.]{1,3})$`)
