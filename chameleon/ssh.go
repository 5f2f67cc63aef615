package chameleon

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// publicKey gives the deployment's public key in the form of authorized_keys.
// The private key is made here at the first call and never leaves the machine.
func (d *Deployment) publicKey() (string, error) {
	signer, err := d.signer()
	if errors.Is(err, fs.ErrNotExist) {
		signer, err = d.newKey()
	}
	if err != nil {
		return "", fmt.Errorf("key of %s: %w", d.Name, err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " " + d.Name, nil
}

func (d *Deployment) signer() (ssh.Signer, error) {
	data, err := os.ReadFile(d.KeyFile())
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(data)
}

func (d *Deployment) newKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, d.Name)
	if err != nil {
		return nil, err
	}
	if err := writeFile(d.dir, "id_ed25519", pem.EncodeToMemory(block)); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

// sameKey compares two lines of authorized_keys, comments left out.
func sameKey(a, b string) bool {
	x, _, _, _, errX := ssh.ParseAuthorizedKey([]byte(a))
	y, _, _, _, errY := ssh.ParseAuthorizedKey([]byte(b))
	return errX == nil && errY == nil && bytes.Equal(x.Marshal(), y.Marshal())
}

// consoleKey reads the node's host key from its console log, where cloud-init
// prints it; "" where it cannot be read.
func (p *Provider) consoleKey(ctx context.Context, server string) string {
	return hostKeyIn(p.console(ctx, server, 0))
}

// hostKeyIn finds the host keys that cloud-init prints between two marks, and
// prefers ed25519.
func hostKeyIn(console string) string {
	_, block, ok := strings.Cut(console, "-----BEGIN SSH HOST KEY KEYS-----")
	if !ok {
		return ""
	}
	block, _, ok = strings.Cut(block, "-----END SSH HOST KEY KEYS-----")
	if !ok {
		return ""
	}
	var keys []string
	for line := range strings.Lines(block) {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err == nil {
			keys = append(keys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
		}
	}
	if i := slices.IndexFunc(keys, func(k string) bool { return strings.HasPrefix(k, ssh.KeyAlgoED25519) }); i >= 0 {
		return keys[i]
	}
	if len(keys) > 0 {
		return keys[0]
	}
	return ""
}

// answer waits until a node lets us in with the deployment's key. Its host key
// must be the known one; where none is known the first answer's is taken, as
// floating IPs change hands and old entries of known_hosts mean nothing.
func (p *Provider) answer(ctx context.Context, d *Deployment, m Machine) (Machine, error) {
	signer, err := d.signer()
	if err != nil {
		return m, fmt.Errorf("key of %s: %w", d.Name, err)
	}
	doing := "reach " + m.Name + " at " + m.Address
	p.say("waiting for %s to answer", m.Name)
	var last error
	err = p.wait(ctx, p.sshLimit(), func(ctx context.Context) (bool, error) {
		var key string
		key, last = p.handshake(ctx, m, signer)
		if last == nil {
			m.HostKey = key
		}
		return last == nil, nil
	})
	var changed *hostKeyError
	switch {
	case err == nil:
		p.say("%s answers", m.Name)
	case errors.Is(err, errWaited) && errors.As(last, &changed):
		err = &Error{Doing: doing, Kind: Broken, Detail: changed.Error(), Hint: "another machine answers at this address, or the node was installed anew"}
	case errors.Is(err, errWaited):
		err = &Error{Doing: doing, Kind: TimedOut, Err: last, Detail: fmt.Sprintf("no SSH after %s: %v%s", p.sshLimit(), last, p.consoleTail(ctx, m.Server))}
	}
	return m, err
}

type hostKeyError struct{ want, got string }

func (e *hostKeyError) Error() string {
	return fmt.Sprintf("its host key is %s, not %s", e.got, e.want)
}

// handshake logs in once and gives the host key seen.
func (p *Provider) handshake(ctx context.Context, m Machine, signer ssh.Signer) (string, error) {
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	address := net.JoinHostPort(m.Address, strconv.Itoa(m.Port))
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var seen string
	config := &ssh.ClientConfig{
		User: m.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: patience,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
			if m.HostKey != "" && seen != m.HostKey {
				return &hostKeyError{want: m.HostKey, got: seen}
			}
			return nil
		},
	}
	if algorithm, _, ok := strings.Cut(m.HostKey, " "); ok {
		config.HostKeyAlgorithms = hostKeyAlgorithms(algorithm)
	}
	client, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		return "", err
	}
	return seen, ssh.NewClient(client, channels, requests).Close()
}

// writeConfig writes the nodes' host keys, and a configuration for ssh in which
// every node has its name and the short one of its number: node0, node1, ….
func (d *Deployment) writeConfig() error {
	var keys, config strings.Builder
	fmt.Fprintf(&config, "# ssh -F %s node0\n", d.ConfigFile())
	for i, m := range d.Nodes {
		fmt.Fprintf(&keys, "%s %s\n", knownhosts.Normalize(net.JoinHostPort(m.Address, strconv.Itoa(m.Port))), m.HostKey)
		fmt.Fprintf(&config, "Host node%d %s\n  HostName %s\n  Port %d\n  User %s\n  IdentityFile %q\n  IdentitiesOnly yes\n  UserKnownHostsFile %q\n  StrictHostKeyChecking yes\n",
			i, m.Name, m.Address, m.Port, m.User, d.KeyFile(), d.KnownHostsFile())
	}
	return errors.Join(writeFile(d.dir, "known_hosts", []byte(keys.String())), writeFile(d.dir, "ssh_config", []byte(config.String())))
}
