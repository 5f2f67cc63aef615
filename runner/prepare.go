package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"reprise/artifacts"
	"reprise/runner/node"
)

// Preparer makes nodes ready for the steps of a platform.
type Preparer struct {
	Manifest *artifacts.Manifest
	Platform string
	// Fetch brings a source to this machine, as Engine.Fetch does.
	Fetch func(ctx context.Context, m *artifacts.Manifest, name string, s artifacts.Source) (string, error)
	Say   func(message string)
}

// preparationLimit is the time limit of a preparation that gives none.
const preparationLimit = 30 * time.Minute

// Prepare runs the preparations that a node has not had yet, in order, on all
// nodes at once. A node remembers each by what it and those before it are, so
// that a changed one is done again with all that follow.
func (p *Preparer) Prepare(ctx context.Context, nodes []node.Node) error {
	if len(p.Manifest.Platforms[p.Platform].Prepare) == 0 {
		return nil
	}
	errs := make([]error, len(nodes))
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() { errs[i] = p.node(ctx, n) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (p *Preparer) node(ctx context.Context, n node.Node) error {
	if _, here := n.(*node.Local); here {
		return fmt.Errorf("platform %s of %s prepares its machines (%s), and the machine that reprise runs on is left as it is: name another, --on ssh:HOST", p.Platform, p.Manifest.Artifact, strings.Join(p.names(), ", "))
	}
	done := sha256.New()
	for _, step := range p.Manifest.Platforms[p.Platform].Prepare {
		definition, err := json.Marshal(struct {
			Step    artifacts.Preparation
			Sources []artifacts.Source
		}{step, p.sources(step)})
		if err != nil {
			return err
		}
		done.Write(definition)
		if err := p.step(ctx, n, step, hex.EncodeToString(done.Sum(nil)[:8])); err != nil {
			return fmt.Errorf("prepare %s, %s: %w", n.Name(), step.Name, err)
		}
	}
	return nil
}

func (p *Preparer) names() []string {
	var names []string
	for _, s := range p.Manifest.Platforms[p.Platform].Prepare {
		names = append(names, s.Name)
	}
	return names
}

func (p *Preparer) sources(step artifacts.Preparation) []artifacts.Source {
	var list []artifacts.Source
	for _, name := range step.Sources {
		list = append(list, p.Manifest.Sources[name])
	}
	return list
}

// marker is where a node remembers a preparation.
const marker = `"${XDG_STATE_HOME:-$HOME/.local/state}/reprise/prepared/$REPRISE_PREPARED"`

func (p *Preparer) step(ctx context.Context, n node.Node, step artifacts.Preparation, key string) error {
	if step.Reboot != "" {
		return p.restart(ctx, n, step)
	}
	there, _, err := p.sh(ctx, n, step, key, `[ -e `+marker+` ] && echo yes || echo no`)
	if err != nil {
		return err
	}
	if strings.TrimSpace(there) == "yes" {
		p.say("%s: %s was done before", n.Name(), step.Name)
		return nil
	}
	p.say("%s: %s", n.Name(), step.Name)
	if _, stderr, err := p.sh(ctx, n, step, key, Script(step)); err != nil {
		if text := lastLines(stderr, 5); text != "" {
			err = fmt.Errorf("%w\n  %s", err, strings.ReplaceAll(text, "\n", "\n  "))
		}
		return err
	}
	_, _, err = p.sh(ctx, n, step, key, `mkdir -p "$(dirname `+marker+`)"; : >`+marker)
	return err
}

// Script is what a preparation that is no restart runs.
func Script(step artifacts.Preparation) string {
	if len(step.Packages) == 0 {
		return step.Sh
	}
	names := "'" + strings.Join(step.Packages, "' '") + "'"
	return `root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
if command -v apt-get >/dev/null; then
  root apt-get update -q
  root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --allow-downgrades ` + names + `
elif command -v dnf >/dev/null; then
  root dnf install -y -q ` + strings.ReplaceAll(names, "=", "-") + `
else
  echo "this distribution has neither apt-get nor dnf" >&2; exit 1
fi`
}

// sh runs a script on a node, in an empty folder.
func (p *Preparer) sh(ctx context.Context, n node.Node, step artifacts.Preparation, key, script string) (stdout, stderr string, err error) {
	dir, err := os.MkdirTemp("", "reprise-prepare-")
	if err != nil {
		return "", "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	limit := time.Duration(step.Timeout)
	if limit == 0 {
		limit = preparationLimit
	}
	var out, bad bytes.Buffer
	c := node.Command{
		Argv: []string{"sh", "-eu", "-c", script}, Dir: dir, Env: []string{"REPRISE_PREPARED=" + key}, Files: map[string]string{},
		Limit: limit, Stdout: &out, Stderr: &bad, Note: func(text string) { p.say("%s: %s", n.Name(), text) },
	}
	for _, name := range step.Sources {
		path, err := p.Fetch(ctx, p.Manifest, name, p.Manifest.Sources[name])
		if err != nil {
			return "", "", fmt.Errorf("source %s: %w", name, err)
		}
		c.Files[SourceVariable(name)] = path
	}
	r, err := n.Run(ctx, c)
	switch {
	case err != nil:
	case r.End == node.Stopped:
		err = context.Cause(ctx)
	case r.End != node.Exited || r.ExitCode != 0:
		err = failure(r, &Step{Limit: limit})
	}
	return out.String(), bad.String(), err
}

// restart restarts a node whose kernel is not the one that is asked for, and
// checks that it is then.
func (p *Preparer) restart(ctx context.Context, n node.Node, step artifacts.Preparation) error {
	kernel := n.Machine().Kernel
	if matches(step.Reboot, kernel) {
		p.say("%s: runs kernel %s already", n.Name(), kernel)
		return nil
	}
	can, ok := n.(node.Restarter)
	if !ok {
		return fmt.Errorf("%s runs kernel %s, not %s, and cannot be restarted from here", n.Name(), kernel, step.Reboot)
	}
	limit := time.Duration(step.Timeout)
	if limit == 0 {
		limit = preparationLimit
	}
	p.say("%s: restarts; it may be away for up to %v", n.Name(), artifacts.Duration(limit))
	began := time.Now()
	if err := can.Restart(ctx, limit); err != nil {
		return err
	}
	if kernel = n.Machine().Kernel; !matches(step.Reboot, kernel) {
		return fmt.Errorf("after its restart %s runs kernel %s, not %s: is the new one the boot loader's choice?", n.Name(), kernel, step.Reboot)
	}
	p.say("%s: back after %v, kernel %s", n.Name(), time.Since(began).Round(time.Second), kernel)
	return nil
}

func matches(pattern, kernel string) bool {
	ok, err := path.Match(pattern, kernel)
	return ok && err == nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(slices.Clip(lines[max(0, len(lines)-n):]), "\n")
}

func (p *Preparer) say(format string, args ...any) {
	if p.Say != nil {
		p.Say(fmt.Sprintf(format, args...))
	}
}
