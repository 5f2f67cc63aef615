package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// SSH is how to reach hosts. There are no passwords: a key file without a
// passphrase, or the agent, lets in.
type SSH struct {
	// User for whom no other is named.
	User string
	// Config is a file in ssh_config(5)'s format; it may be missing. Of it
	// HostName, User, Port, IdentityFile, IdentitiesOnly, ProxyJump and
	// UserKnownHostsFile are used.
	Config string
	// KnownHosts are the files that host keys are checked against. A key that
	// is not in them is refused.
	KnownHosts []string
	// Identities are the key files tried where Config names none.
	Identities []string
	// Agent is the socket of a key agent; empty: none.
	Agent string
	// Home stands for ~ in file names.
	Home string
	// Alive is the time between questions to a connection's other side whether
	// it is there, 5 s by default; three without an answer end the connection.
	Alive time.Duration
	// Programs are further builds of this program, for hosts of another
	// platform.
	Programs []string
}

// hop is one host on the way.
type hop struct {
	user, host, port string
	identities       []string
	named            bool // the configuration names identities
	only             bool // use no others
	knownHosts       []string
}

func (h hop) address() string { return net.JoinHostPort(h.host, h.port) }

func (h hop) String() string {
	if h.port == "22" {
		return h.user + "@" + h.host
	}
	return h.user + "@" + h.address()
}

// route gives the hosts on the way to a target: its jump hosts, and itself.
func (o SSH) route(target string) ([]hop, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	return o.through(config, target, nil)
}

func (o SSH) config() (*ssh_config.Config, error) {
	if o.Config == "" {
		return &ssh_config.Config{}, nil
	}
	data, err := os.ReadFile(o.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return &ssh_config.Config{}, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := ssh_config.DecodeBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Config, err)
	}
	return config, nil
}

func (o SSH) through(config *ssh_config.Config, target string, seen []string) ([]hop, error) {
	if slices.Contains(seen, target) {
		return nil, fmt.Errorf("%s: the jump hosts go round in a circle: %s", o.Config, strings.Join(append(seen, target), ", "))
	}
	user, alias, port, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	get := func(key string) string {
		value, bad := config.Get(alias, key)
		err = errors.Join(err, bad)
		return value
	}
	or := func(values ...string) string {
		i := slices.IndexFunc(values, func(v string) bool { return v != "" })
		return values[max(i, 0)]
	}
	h := hop{
		user: or(user, get("User"), o.User), port: or(port, get("Port"), "22"),
		host: strings.ReplaceAll(or(get("HostName"), alias), "%h", alias),
		only: strings.EqualFold(get("IdentitiesOnly"), "yes"), knownHosts: o.KnownHosts, identities: o.Identities,
	}
	if files, bad := config.GetAll(alias, "IdentityFile"); bad == nil && len(files) > 0 {
		h.identities, h.named = nil, true
		for _, file := range files {
			h.identities = append(h.identities, o.file(file))
		}
	}
	if files := strings.Fields(get("UserKnownHostsFile")); len(files) > 0 {
		h.knownHosts = nil
		for _, file := range files {
			h.knownHosts = append(h.knownHosts, o.file(file))
		}
	}
	if command := get("ProxyCommand"); command != "" && !strings.EqualFold(command, "none") {
		err = errors.Join(err, fmt.Errorf("%s: ProxyCommand of %s is not supported; name the jump host with ProxyJump", o.Config, alias))
	}
	jumps := get("ProxyJump")
	if err != nil {
		return nil, err
	}
	var hops []hop
	if jumps != "" && !strings.EqualFold(jumps, "none") {
		// Only the first is reached the way its own entry says; the next are
		// reached through the one before.
		for i, jump := range strings.Split(jumps, ",") {
			before, err := o.through(config, strings.TrimSpace(jump), append(seen, target))
			if err != nil {
				return nil, err
			}
			if i > 0 {
				before = before[len(before)-1:]
			}
			hops = append(hops, before...)
		}
	}
	return append(hops, h), nil
}

func (o SSH) file(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(o.Home, rest)
	}
	if rest, ok := strings.CutPrefix(name, "%d/"); ok {
		return filepath.Join(o.Home, rest)
	}
	return name
}

// parseTarget takes [user@]host[:port] apart; an IPv6 address with a port
// stands in brackets.
func parseTarget(target string) (user, host, port string, err error) {
	rest := strings.TrimPrefix(target, "ssh://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	host = strings.Trim(rest, "[]")
	if strings.HasPrefix(rest, "[") && strings.Contains(rest, "]:") || strings.Count(rest, ":") == 1 {
		host, port, err = net.SplitHostPort(rest)
	}
	if strings.Contains(host, ":") {
		_, err = netip.ParseAddr(host)
	}
	if err != nil || host == "" || strings.ContainsAny(target, " \t\n'\"") {
		return "", "", "", fmt.Errorf("%q is no host; write [user@]host[:port]", target)
	}
	return user, host, port, nil
}

// clientConfig is how to shake hands with a host. done is to be called when
// that is over.
func (o SSH) clientConfig(h hop) (config *ssh.ClientConfig, done func(), err error) {
	db, err := o.known(h)
	if err != nil {
		return nil, nil, err
	}
	signers, done := o.signers(h)
	// The known kind of key is asked for first, so that a host with several
	// shows the one that can be compared.
	algorithms := db.HostKeyAlgorithms(h.address())
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	check := db.HostKeyCallback()
	return &ssh.ClientConfig{
		User: h.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyCallback: func(address string, at net.Addr, key ssh.PublicKey) error {
			err := check(address, at, key)
			var bad *xknownhosts.KeyError
			if !errors.As(err, &bad) {
				return err
			}
			e := &HostKeyError{Host: h.String(), Address: address, Fingerprint: key.Type() + " " + ssh.FingerprintSHA256(key), File: h.knownHosts[0]}
			for _, want := range bad.Want {
				e.Known = append(e.Known, fmt.Sprintf("%s:%d", want.Filename, want.Line))
			}
			return e
		},
		HostKeyAlgorithms: algorithms,
	}, done, nil
}

func (o SSH) known(h hop) (*knownhosts.HostKeyDB, error) {
	var files []string
	for _, file := range h.knownHosts {
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	return db, nil
}

// signers are the keys to try: first the files that the configuration names,
// then the agent's, then the usual files; a server counts every try. The
// agent's can be used until done is called.
func (o SSH) signers(h hop) (all []ssh.Signer, done func()) {
	var files, held []ssh.Signer
	for _, file := range h.identities {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if s, err := ssh.ParsePrivateKey(data); err == nil {
			files = append(files, s)
		}
	}
	done = func() {}
	if o.Agent != "" {
		if conn, err := net.Dial("unix", o.Agent); err == nil {
			done = func() { _ = conn.Close() }
			held, _ = agent.NewClient(conn).Signers()
		}
	}
	if h.only {
		held = slices.DeleteFunc(held, func(s ssh.Signer) bool { return !h.names(s.PublicKey()) })
	}
	if h.named {
		return append(files, held...), done
	}
	return append(held, files...), done
}

// locked lists the key files that a passphrase keeps from being used.
func (h hop) locked() []string {
	var files []string
	for _, file := range h.identities {
		if data, err := os.ReadFile(file); err == nil {
			_, err := ssh.ParsePrivateKey(data)
			if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
				files = append(files, file)
			}
		}
	}
	return files
}

// names says that one of the host's identity files is of a public key.
func (h hop) names(key ssh.PublicKey) bool {
	return slices.ContainsFunc(h.identities, func(file string) bool {
		data, err := os.ReadFile(strings.TrimSuffix(file, ".pub") + ".pub")
		if err != nil {
			return false
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey(data)
		return err == nil && bytes.Equal(public.Marshal(), key.Marshal())
	})
}

// HostKeyError says that a host's key is not the known one.
type HostKeyError struct {
	Host, Address string
	Fingerprint   string   // of the key that the host showed
	Known         []string // where another key is known, "file:line"; empty: no key is known
	File          string   // the user's file of known hosts
}

func (e *HostKeyError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("the key of %s, %s, is not in %s", e.Host, e.Fingerprint, e.File)
	}
	return fmt.Sprintf("the key of %s has changed: it shows %s, another one is in %s; somebody may be in between", e.Host, e.Fingerprint, strings.Join(e.Known, ", "))
}

// Hint says how to mend it.
func (e *HostKeyError) Hint() string {
	host, port, _ := net.SplitHostPort(e.Address)
	if len(e.Known) == 0 {
		return fmt.Sprintf("compare the fingerprint with the host's own, then: ssh-keyscan -p %s %s >>%s", port, host, e.File)
	}
	return fmt.Sprintf("if the host was installed anew: ssh-keygen -f %s -R '%s'", e.File, knownhosts.Normalize(e.Address))
}

// AuthError says that a host accepted none of the keys.
type AuthError struct {
	Host   string
	Locked []string // key files with a passphrase, which were not tried
	err    error
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("%s accepts none of our keys: %v", e.Host, e.err)
}

// Hint says how to mend it.
func (e *AuthError) Hint() string {
	if len(e.Locked) > 0 {
		return "a key with a passphrase is used through the agent: ssh-add " + strings.Join(e.Locked, " ")
	}
	return "ssh-copy-id " + e.Host + " brings a key there; ssh-add -l lists the agent's"
}

// explain finds in a failed handshake what a person has to mend; another try
// would not.
func explain(h hop, err error) error {
	var key *HostKeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case errors.As(err, &key):
		return permanent{key}
	case errors.As(err, &revoked):
		return permanent{fmt.Errorf("the key of %s is revoked in %s:%d", h, revoked.Revoked.Filename, revoked.Revoked.Line)}
	case strings.Contains(err.Error(), "unable to authenticate"): // x/crypto has no type for it
		return permanent{&AuthError{Host: h.String(), Locked: h.locked(), err: err}}
	}
	return fmt.Errorf("connect to %s: %w", h, err)
}
