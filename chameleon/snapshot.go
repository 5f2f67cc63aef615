package chameleon

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// snapshotLimit is how long taking a node's image may take.
const snapshotLimit = time.Hour

// snapshotName is what an image may be named.
var snapshotName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Snapshot makes an image of a node's disk by the testbed's own cc-snapshot on
// the node, which takes a login of its own: this one's, handed over by standard
// input, never as an argument or a file. It gives what cc-snapshot printed.
func (p *Provider) Snapshot(ctx context.Context, d *Deployment, node int, name string) (string, error) {
	doing := "take a snapshot of " + d.Name
	switch {
	case !snapshotName.MatchString(name):
		return "", &Error{Doing: doing, Kind: Invalid, Detail: fmt.Sprintf("%q is no name for an image", name), Hint: "use letters, digits, dots, dashes and underscores"}
	case node < 0 || node >= len(d.Nodes):
		return "", &Error{Doing: doing, Kind: Missing, Detail: fmt.Sprintf("there is no node %d", node)}
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotLimit)
	defer cancel()
	m := d.Nodes[node]
	signer, err := d.signer()
	if err != nil {
		return "", fmt.Errorf("key of %s: %w", d.Name, err)
	}
	failed := func(err error, said string) error {
		detail := err.Error()
		if said = strings.TrimSpace(printable(said)); said != "" {
			detail += "\n  " + strings.ReplaceAll(said, "\n", "\n  ")
		}
		return &Error{Doing: doing, Kind: Broken, Detail: scrub(detail, p.Cloud.Credentials.secrets()), Hint: "cc-snapshot is on the testbed's own images (CC-…), and sudo must not ask for a password"}
	}
	key, err := ssh.ParsePublicKey(mustKey(m.HostKey))
	if err != nil {
		return "", failed(err, "")
	}
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	address := net.JoinHostPort(m.Address, strconv.Itoa(m.Port))
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return "", failed(err, "")
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: m.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(key), HostKeyAlgorithms: hostKeyAlgorithms(key.Type()),
	})
	if err != nil {
		return "", failed(err, "")
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", failed(err, "")
	}
	defer session.Close()
	var login bytes.Buffer
	var said together
	variables := p.Cloud.Credentials.variables()
	for _, v := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(&login, "%s='%s'\n", v, strings.ReplaceAll(variables[v], "'", `'\''`))
	}
	session.Stdin, session.Stdout, session.Stderr = &login, &said, &said
	p.say("%s: cc-snapshot %s; this takes a while", m.Name, name)
	if err := session.Run(`sh -c 'set -a; . /dev/stdin; set +a; exec sudo -n -E cc-snapshot -y ` + name + `'`); err != nil {
		return "", failed(err, said.String())
	}
	return scrub(said.String(), p.Cloud.Credentials.secrets()), nil
}

// together keeps what two streams write, in the order it came.
type together struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *together) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(data)
}

func (t *together) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// mustKey is the wire form of a line of known_hosts; nil if it is none.
func mustKey(line string) []byte {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil
	}
	return key.Marshal()
}

// hostKeyAlgorithms are those by which a host proves to have a key.
func hostKeyAlgorithms(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

// variables are the login as an openrc file would set it.
func (c Credentials) variables() map[string]string {
	a := c.auth
	v := map[string]string{
		"OS_AUTH_URL": a.IdentityEndpoint, "OS_REGION_NAME": c.region, "OS_IDENTITY_API_VERSION": "3", "OS_INTERFACE": "public",
	}
	if c.ApplicationCredential() {
		v["OS_AUTH_TYPE"] = "v3applicationcredential"
		v["OS_APPLICATION_CREDENTIAL_ID"], v["OS_APPLICATION_CREDENTIAL_NAME"] = a.ApplicationCredentialID, a.ApplicationCredentialName
		v["OS_APPLICATION_CREDENTIAL_SECRET"], v["OS_USERNAME"] = a.ApplicationCredentialSecret, a.Username
	} else {
		v["OS_USERNAME"], v["OS_PASSWORD"] = a.Username, a.Password
		v["OS_USER_DOMAIN_NAME"], v["OS_USER_DOMAIN_ID"] = a.DomainName, a.DomainID
		if s := a.Scope; s != nil {
			v["OS_PROJECT_ID"], v["OS_PROJECT_NAME"] = s.ProjectID, s.ProjectName
			v["OS_PROJECT_DOMAIN_NAME"], v["OS_PROJECT_DOMAIN_ID"] = s.DomainName, s.DomainID
		}
	}
	maps.DeleteFunc(v, func(_, value string) bool { return value == "" })
	return v
}
