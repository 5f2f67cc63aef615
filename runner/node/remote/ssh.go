package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Times of a connection.
const (
	connectLimit   = 20 * time.Second // to connect, shake hands and start a session
	aliveEvery     = 5 * time.Second  // what SSH.Alive is by default
	aliveUnheard   = 3                // questions without an answer that end a connection
	shipLimit      = 10 * time.Minute // to copy the program
	errorTextLimit = 4 << 10          // bytes kept of what a session says on its standard error
)

// OpenSSH gives the node for a host, "[user@]host[:port]", having connected to
// it and brought the program there.
func OpenSSH(ctx context.Context, target string, o SSH) (*Node, error) {
	hops, err := o.route(target)
	if err != nil {
		return nil, err
	}
	return newNode(ctx, target, &sshLink{options: o, hops: hops})
}

// sshLink reaches a host over SSH.
type sshLink struct {
	options SSH
	hops    []hop // the last is the host, those before it are jump hosts

	mu      sync.Mutex
	program program // known once connected
}

func (l *sshLink) address() string { return l.hops[len(l.hops)-1].host }

func (l *sshLink) self() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.program.path
}

// connect implements link.
func (l *sshLink) connect(ctx context.Context) (io.ReadWriteCloser, error) {
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	p, err := l.ship(ctx, c)
	if err != nil {
		c.close()
		return nil, err
	}
	l.mu.Lock()
	l.program = p
	l.mu.Unlock()
	s, err := l.serve(ctx, c, p)
	if err != nil {
		c.close()
		return nil, err
	}
	return s, nil
}

// connected is an SSH connection through all hops.
type connected struct {
	*ssh.Client
	clients []*ssh.Client // of every hop
	done    chan struct{}
	once    sync.Once
}

func (c *connected) close() {
	c.once.Do(func() {
		close(c.done)
		for i := len(c.clients) - 1; i >= 0; i-- {
			_ = c.clients[i].Close()
		}
	})
}

func (l *sshLink) dial(ctx context.Context) (*connected, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectLimit, fmt.Errorf("no answer within %v", connectLimit))
	defer cancel()
	c := &connected{done: make(chan struct{})}
	for _, h := range l.hops {
		config, done, err := l.options.clientConfig(h)
		if err != nil {
			c.close()
			return nil, permanent{err}
		}
		dial := (&net.Dialer{}).DialContext
		if c.Client != nil {
			dial = c.DialContext
		}
		client, err := handshake(ctx, dial, h.address(), config)
		done()
		if err != nil {
			c.close()
			return nil, explain(h, err)
		}
		c.Client = client
		c.clients = append(c.clients, client)
	}
	go c.keepAlive(cmp.Or(l.options.Alive, aliveEvery))
	return c, nil
}

func handshake(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, withCause(ctx, err)
	}
	// Connections through a jump host know no deadline, but they can be closed.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	shaken, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, withCause(ctx, err)
	}
	return ssh.NewClient(shaken, channels, requests), nil
}

// withCause prefers the reason for which ctx ended to what broke by it.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// keepAlive ends a connection whose other side has stopped answering, which a
// cut link does not tell by itself.
func (c *connected) keepAlive(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	answered := make(chan error, 1)
	unheard := 0
	for {
		select {
		case <-c.done:
			return
		case err := <-answered:
			if err != nil {
				c.close()
				return
			}
			unheard = 0
		case <-tick.C:
			if unheard == 0 {
				go func() {
					_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
					answered <- err
				}()
			}
			if unheard++; unheard > aliveUnheard {
				c.close()
				return
			}
		}
	}
}

// session is a running `reprise supervise serve`.
type session struct {
	io.Reader
	io.WriteCloser
	connection *connected
}

func (s session) Close() error {
	s.connection.close()
	return nil
}

// serve starts the program on the host and waits for its greeting.
func (l *sshLink) serve(ctx context.Context, c *connected, p program) (io.ReadWriteCloser, error) {
	s, err := c.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said limited
	s.Stderr = &said
	if err := s.Start(shell(fmt.Sprintf(`exec "%s" supervise serve "%s"`, p.path, p.home))); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectLimit, fmt.Errorf("no greeting within %v", connectLimit))
	defer cancel()
	stop := context.AfterFunc(ctx, c.close)
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if strings.HasSuffix(line, greeting) {
			break
		}
		if err == nil {
			continue // a login shell's chatter
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		var exit *ssh.ExitError
		if errors.As(s.Wait(), &exit) {
			return nil, permanent{&ProgramError{Host: l.hops[len(l.hops)-1].String(), Platform: p.platform, Said: strings.TrimSpace(said.String())}}
		}
		return nil, err // the connection broke
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return session{reader, in, c}, nil
}

// shell puts a script, without single quotes, in the hands of sh whatever the
// user's login shell is.
func shell(script string) string { return "sh -c '" + script + "'" }

// output runs a script on the host.
func (c *connected) output(ctx context.Context, limit time.Duration, script string, in io.Reader) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no end within %v", limit))
	defer cancel()
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	defer context.AfterFunc(ctx, c.close)()
	var said limited
	s.Stdin, s.Stderr = in, &said
	out, err := s.Output(shell(script))
	if err != nil {
		err = withCause(ctx, err)
		if text := strings.TrimSpace(said.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return string(out), err
}

// limited keeps the beginning of what is written to it.
type limited struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p[:min(len(p), errorTextLimit-l.b.Len())])
	return len(p), nil
}

func (l *limited) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
