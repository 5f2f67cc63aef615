package cloudtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SSH answers for instances: it lets in the user cc with the key of the
// instance behind an address, and runs commands on this machine.
type SSH struct {
	Port      int
	Home      string // $HOME of the commands; programs in its bin come first
	keyAt     func(address string) (authorizedKey string, up bool)
	signer    ssh.Signer
	listeners []net.Listener
}

// ServeSSH has the site's instances answer SSH at their floating IPs.
func (c *Cloud) ServeSSH() (err error) {
	c.SSH, err = NewSSH(c.FloatingIPs, c.keyAt)
	return err
}

// NewSSH answers at loopback addresses, at the same port of each.
func NewSSH(addresses []string, keyAt func(string) (string, bool)) (*SSH, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "cloudtest")
	if err != nil {
		return nil, err
	}
	s := &SSH{Home: home, keyAt: keyAt, signer: signer}
	for _, a := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(a, strconv.Itoa(s.Port)))
		if err != nil {
			s.Close()
			return nil, err
		}
		s.Port = l.Addr().(*net.TCPAddr).Port
		s.listeners = append(s.listeners, l)
		go s.accept(l, a)
	}
	return s, nil
}

// HostKey is the public host key, a line.
func (s *SSH) HostKey() string { return string(ssh.MarshalAuthorizedKey(s.signer.PublicKey())) }

// Close stops answering.
func (s *SSH) Close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	_ = os.RemoveAll(s.Home)
}

func (s *SSH) accept(l net.Listener, address string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(conn, address)
	}
}

func (s *SSH) serve(conn net.Conn, address string) {
	defer conn.Close()
	authorized, up := s.keyAt(address)
	if !up {
		return
	}
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(authorized))
	if err != nil {
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if meta.User() == "cc" && string(key.Marshal()) == string(want.Marshal()) {
			return nil, nil
		}
		return nil, errors.New("not this key")
	}}
	config.AddHostKey(s.signer)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go s.session(channel, requests)
	}
}

func (s *SSH) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var command struct{ Line string }
		if ssh.Unmarshal(r.Payload, &command) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		cmd := exec.Command("sh", "-c", strings.TrimSpace(command.Line))
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		cmd.Env = append(os.Environ(), "HOME="+s.Home, "PATH="+filepath.Join(s.Home, "bin")+":"+os.Getenv("PATH"))
		// The command may end without having read its input to the end.
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			go func() {
				_, _ = io.Copy(in, channel)
				_ = in.Close()
			}()
			err = cmd.Wait()
		}
		code := uint32(0)
		if err != nil {
			code = 255
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = uint32(exit.ExitCode())
			}
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		return
	}
}
