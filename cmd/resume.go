package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/runner"
	"reprise/runner/event"
	"reprise/runner/store"
	"reprise/tui"
)

func (a *app) resumeCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Go on with a run that was killed or interrupted, or in which steps failed",
		Long: `Go on with a run that was killed or interrupted, or in which steps failed: with
the same artifacts, profile, experiments, parameters and machines, from any
folder. RUN is the id of a run or the beginning of one; without it the newest
is resumed that has not been since.

It becomes a run of its own, which says what it goes on with. What had finished
is reused, also of a run with --fresh; the rest is run, and whatever failed is
tried again. Should a manifest, a source or reprise itself have changed since,
it is said which steps that concerns; they are measured anew, as reprise run
would. A run that is still under way in another process is refused. A run whose
log is damaged gets a whole one this way.

The exit codes are those of reprise run.`,
		Example: `  reprise resume                   the newest run with something left to do
  reprise resume --dry-run         what would run, and why
  reprise resume 20261122-2006     the run whose id begins like this`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kept, err := a.openStore(f.store)
			if err != nil {
				return err
			}
			r, err := a.resumption(kept, strings.Join(args, ""), f)
			if r != nil {
				fmt.Fprint(a.stderr, r.findings.String())
			}
			if err != nil {
				return err
			}
			defer r.release()
			s, err := r.prepare(cmd.Context())
			if err != nil {
				return err
			}
			a.note("this goes on with run %s", r.id)
			for _, note := range r.notes {
				a.note("%s", note)
			}
			return a.runSession(cmd.Context(), s, r.names, r.flags)
		},
	}
	f.nodes.lease.consent(c.Flags())
	f.showFlags(c)
	return c
}

// resumption is a recorded run that is about to be gone on with, which no other
// process may do meanwhile.
type resumption struct {
	app       *app
	id        string
	claim     *store.Claim
	manifests []*artifacts.Manifest
	names     []string // of the artifacts, as reprise run takes them
	flags     runFlags
	before    recordedPlan
	findings  bytes.Buffer // of the manifests, as lint prints them
	notes     []string     // on what the run before was and what has changed since
}

func (r *resumption) release() {
	if r.claim != nil {
		_ = r.claim.Close()
	}
}

// unfinished is the newest of the runs that can be gone on with and has not
// been, nor been asked for again, since; nil if there is none.
func unfinished(kept *store.Store, ids []string) *tui.Recorded {
	later := map[string]bool{} // runs that a later one goes on with, and what the later ones were asked
	for _, id := range ids {
		r, err := tui.ReadRecorded(filepath.Join(kept.RunDir(id), store.EventsFile))
		if err != nil {
			continue
		}
		asked := strings.Join(r.Start.Args, "\x00")
		if r.Unfinished() && r.Holder == nil && len(r.Start.Args) > 0 && !later[id] && !later[asked] {
			return r
		}
		later[r.Start.Resumes], later[asked] = true, true
	}
	return nil
}

// resumption takes up the run that ref names, the newest unfinished one if it
// is empty. Of shown, what says how and where it is shown and kept is used.
// With an error, it still has the findings of the manifests.
func (a *app) resumption(kept *store.Store, ref string, shown runFlags) (*resumption, error) {
	if ref == "" {
		ids, err := kept.Runs()
		if err != nil {
			return nil, fail(ExitInfrastructure, err)
		}
		newest := unfinished(kept, ids)
		if newest == nil {
			return nil, fail(ExitUsage, errors.New("no recorded run has anything left to do"), "reprise runs lists them; reprise resume RUN goes on with an older one")
		}
		ref = newest.ID
	}
	id, err := kept.FindRun(ref)
	if err != nil {
		return nil, fail(ExitUsage, err, "reprise runs lists the recorded runs")
	}
	r := &resumption{app: a, id: id}
	if !shown.dryRun {
		if r.claim, err = kept.Claim(id, true); err != nil {
			return nil, fail(ExitInfrastructure, err)
		}
	}
	if err := r.read(kept, shown); err != nil {
		r.release()
		return r, err
	}
	return r, nil
}

func (r *resumption) read(kept *store.Store, shown runFlags) error {
	var err error
	if r.before, err = readPlan(filepath.Join(kept.RunDir(r.id), store.EventsFile)); err != nil {
		return fail(ExitManifest, err, "what it measured is stored: the same reprise run reuses it")
	}
	start := r.before.start
	if r.names, r.flags, err = r.before.asked(); err != nil {
		return err
	}
	if end := r.before.end; r.before.damage == nil && end != nil && end.Outcome == "finished" && end.Steps["failed"]+end.Steps["cancelled"]+end.Steps["skipped"] == 0 {
		return fail(ExitUsage, fmt.Errorf("run %s has finished: there is nothing left to do", r.id), "reprise report "+r.id+" shows it; "+start.Command+" asks for it again")
	}
	if r.before.damage != nil {
		r.notes = append(r.notes, fmt.Sprintf("run %s: %v; from there on it is not known what the run did, but what it measured is stored", r.id, r.before.damage))
	}
	for _, name := range r.names {
		if !filepath.IsAbs(name) {
			continue
		}
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return fail(ExitUsage, fmt.Errorf("the manifest of run %s is gone: %s", r.id, name), "put it back, or name it where it is now: reprise run PATH with the flags of "+start.Command)
		}
	}
	f := &r.flags
	f.dryRun, f.json, f.headless, f.quiet, f.store, f.outputs, f.looks = shown.dryRun, shown.json, shown.headless, shown.quiet, shown.store, shown.outputs, shown.looks
	f.nodes.lease.yes = shown.nodes.lease.yes
	f.resumes = append([]string{r.id}, chain(kept, start.Resumes)...)
	if r.manifests, err = load(r.names, &r.findings); err != nil {
		return err
	}
	return nil
}

// chain are the runs that a run goes on with, the newest first.
func chain(kept *store.Store, id string) []string {
	var ids []string
	for id != "" && !slices.Contains(ids, id) {
		ids = append(ids, id)
		r, err := tui.ReadRecorded(filepath.Join(kept.RunDir(id), store.EventsFile))
		if err != nil {
			break // removed since
		}
		id = r.Start.Resumes
	}
	return ids
}

// prepare plans the run, and says what has changed since the one before.
func (r *resumption) prepare(ctx context.Context) (*session, error) {
	s, err := r.app.prepare(ctx, r.manifests, r.flags)
	if err != nil {
		return nil, err
	}
	r.notes = append(r.notes, r.before.changes(s.plan)...)
	return s, nil
}

// recordedPlan is what the log of a run tells of what it was asked and planned.
type recordedPlan struct {
	start   event.RunStarted
	planned event.Planned
	keys    map[string]string // of the steps that began or were reused, by step
	end     *event.RunFinished
	damage  error // the log cannot be read beyond
}

// readPlan reads the log of a run as far as it can be read.
func readPlan(path string) (recordedPlan, error) {
	p := recordedPlan{keys: map[string]string{}}
	f, err := os.Open(path)
	if err != nil {
		return p, err
	}
	defer func() { _ = f.Close() }()
	for e, err := range event.Read(f) {
		if err != nil {
			p.damage = err
			break
		}
		switch v := e.Payload.(type) {
		case event.RunStarted:
			p.start = v
		case event.Planned:
			p.planned = v
		case event.StepStarted:
			p.keys[v.Step] = v.Key
		case event.StepReused:
			p.keys[v.Step] = v.Key
		case event.RunFinished:
			p.end = &v
		}
	}
	if p.start.Folder == "" {
		return p, errors.Join(fmt.Errorf("%s does not say what was run", path), p.damage)
	}
	return p, nil
}

// asked is what the run was asked for: artifacts and flags.
func (p recordedPlan) asked() (names []string, f runFlags, err error) {
	id := filepath.Base(p.start.Folder)
	if len(p.start.Args) == 0 {
		return nil, f, fail(ExitUsage, fmt.Errorf("run %s was recorded by reprise %s, which did not record all that it was asked", id, p.start.Version), "what it measured is reused by "+p.start.Command)
	}
	c := &cobra.Command{}
	f.flags(c)
	if err := c.ParseFlags(p.start.Args); err != nil {
		return nil, f, fail(ExitManifest, fmt.Errorf("run %s was asked for in a way that this reprise does not know: %w", id, err), "ask for it again: "+p.start.Command)
	}
	return c.Flags().Args(), f, nil
}

// changes says how a plan differs from the recorded one.
func (p recordedPlan) changes(now *runner.Plan) []string {
	var out []string
	for _, m := range now.Artifacts {
		for _, was := range p.planned.About {
			if was.Artifact == m.Artifact && was.Manifest != m.Digest {
				out = append(out, fmt.Sprintf("the manifest of %s has changed since (sha256 %.12s → %.12s)", m.Artifact, was.Manifest, m.Digest))
			}
		}
	}
	var changed, added, gone []string
	listed, there := map[string]bool{}, map[string]bool{}
	for _, e := range p.planned.Experiments {
		for _, id := range e.Steps {
			listed[id] = true
		}
	}
	for _, s := range now.Steps {
		there[s.ID] = true
		if key, began := p.keys[s.ID]; began && key != s.Key {
			changed = append(changed, s.ID)
		}
		if len(listed) > 0 && !listed[s.ID] {
			added = append(added, s.ID)
		}
	}
	for _, e := range p.planned.Experiments {
		for _, id := range e.Steps {
			if !there[id] {
				gone = append(gone, id)
			}
		}
	}
	say := func(steps []string, is, are string) {
		const most = 3
		switch n := len(steps); {
		case n == 1:
			out = append(out, steps[0]+" "+is)
		case n > most:
			out = append(out, fmt.Sprintf("%d steps %s: %s, …", n, are, strings.Join(steps[:most], ", ")))
		case n > 1:
			out = append(out, fmt.Sprintf("%d steps %s: %s", n, are, strings.Join(steps, ", ")))
		}
	}
	say(changed, "has changed since it began, and is not taken from that run", "have changed since they began, and are not taken from that run")
	say(added, "is new", "are new")
	say(gone, "is no longer planned", "are no longer planned")
	return out
}
