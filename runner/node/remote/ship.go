package remote

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// program is this program on a host.
type program struct {
	platform string // os/arch of the host
	home     string // the host's folder of ours
	path     string
}

// ProgramError says that the program cannot run on a host.
type ProgramError struct {
	Host, Platform string
	Said           string // by the host when the program was started; empty: there is no program for its platform
}

func (e *ProgramError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("%s is %s, and there is no reprise for that here", e.Host, e.Platform)
	}
	return fmt.Sprintf("reprise does not start on %s: %s", e.Host, e.Said)
}

// Hint says how to mend it.
func (e *ProgramError) Hint() string {
	system, arch, _ := strings.Cut(e.Platform, "/")
	return fmt.Sprintf("GOOS=%s GOARCH=%s CGO_ENABLED=0 go build -o reprise-%s-%s . && reprise run … --program reprise-%s-%s", system, arch, system, arch, system, arch)
}

// local is a program on this machine.
type local struct {
	path, digest string
	size         int64
}

var digests sync.Map // path to func() (local, error)

func digested(path string) (local, error) {
	get, _ := digests.LoadOrStore(path, sync.OnceValues(func() (local, error) {
		info, err := os.Stat(path)
		if err != nil {
			return local{}, err
		}
		s, err := sum(os.Open(path))
		return local{path, fmt.Sprintf("%x", s), info.Size()}, err
	}))
	return get.(func() (local, error))()
}

// programFor finds the program built for a platform.
func (o SSH) programFor(platform string) (local, error) {
	for _, path := range o.Programs {
		of, err := programPlatform(path)
		if err != nil {
			return local{}, err
		}
		if of == platform {
			return digested(path)
		}
	}
	if platform == runtime.GOOS+"/"+runtime.GOARCH {
		self, err := os.Executable()
		if err != nil {
			return local{}, err
		}
		return digested(self)
	}
	return local{}, nil
}

// programPlatform reads from a Go program what it was built for.
func programPlatform(path string) (string, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s is no program that Go built: %w", path, err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	return settings["GOOS"] + "/" + settings["GOARCH"], nil
}

// The probe prints marked lines, because a login shell may talk, too.
const probe = `printf "reprise:%s\n" "$(uname -s)" "$(uname -m)" "$HOME"`

// ship brings the program to the host if it is not there.
func (l *sshLink) ship(ctx context.Context, c *connected) (program, error) {
	out, err := c.output(ctx, connectLimit, probe, nil)
	if err != nil {
		return program{}, fmt.Errorf("ask %s what it is: %w", l.hops[len(l.hops)-1], err)
	}
	var said []string
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "reprise:"); ok {
			said = append(said, text)
		}
	}
	host := l.hops[len(l.hops)-1].String()
	if len(said) != 3 || !strings.HasPrefix(said[2], "/") || strings.ContainsAny(said[2], "'\"$`\\") {
		return program{}, permanent{fmt.Errorf("%s does not answer as a POSIX system: %q", host, out)}
	}
	p := program{platform: platformOf(said[0], said[1]), home: said[2] + "/.cache/reprise"}
	ours, err := l.options.programFor(p.platform)
	if err != nil {
		return program{}, permanent{err}
	}
	if ours.path == "" {
		return program{}, permanent{&ProgramError{Host: host, Platform: p.platform}}
	}
	dir := p.home + "/bin/" + ours.digest
	p.path = dir + "/reprise"
	// The size tells a copy that was cut short; SSH itself keeps the content.
	there := fmt.Sprintf(`test -x "%s" && test $(wc -c <"%s") -eq %d && touch "%s"`, p.path, p.path, ours.size, dir)
	if _, err := c.output(ctx, connectLimit, there, nil); err == nil {
		return p, nil
	} else if exit := (*ssh.ExitError)(nil); !errors.As(err, &exit) {
		return program{}, err
	}
	f, err := os.Open(ours.path)
	if err != nil {
		return program{}, permanent{err}
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	temporary := dir + "/." + rand.Text()
	script := fmt.Sprintf(`umask 077 && mkdir -p "%s" && cat >"%s" && test $(wc -c <"%s") -eq %d && chmod 700 "%s" && mv "%s" "%s"`,
		dir, temporary, temporary, ours.size, temporary, temporary, p.path)
	if _, err := c.output(ctx, shipLimit, script, io.TeeReader(f, hash)); err != nil {
		return program{}, fmt.Errorf("copy reprise to %s: %w", host, err)
	}
	if got := fmt.Sprintf("%x", hash.Sum(nil)); got != ours.digest {
		return program{}, permanent{fmt.Errorf("%s has changed since reprise was started; start it again", ours.path)}
	}
	return p, nil
}

// platformOf puts uname's words in Go's.
func platformOf(system, machine string) string {
	arch := map[string]string{
		"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64",
		"i686": "386", "i386": "386", "armv7l": "arm", "armv6l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x",
	}[machine]
	if arch == "" {
		arch = machine
	}
	return strings.ToLower(system) + "/" + arch
}
