package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"reprise/traces/public"
)

// traceFetch is what the flags of the command say.
type traceFetch struct {
	dir, catalogue string
	all, json      bool
}

func (a *app) traceFetchCommand() *cobra.Command {
	var o traceFetch
	c := &cobra.Command{
		Use:   "fetch [NAME...]",
		Short: "Download public traces by digest, resuming what broke off",
		Long: `Fetch downloads public traces into a folder; without a name it lists them, with
the terms they come under. The folder is --dir, else $REPRISE_TRACES, else
./traces: tests and artifacts find the traces there by that variable.

A connection that breaks is made again and goes on where it broke off; so does
the command when it is run again. A file comes to its name only if its size and
SHA-256 are those listed. Where no digest is published, the first download's is
written to fetched.lock in the folder, with a warning, and later downloads are
held to it. A file that is there already is checked, and never replaced.

--catalogue reads another list, in YAML, with name, file, url, size, sha256,
about, licence and source of each trace.`,
		Example: `  reprise trace fetch
  reprise trace fetch cloudphysics-sample arc-oltp --dir ~/traces
  reprise trace fetch --all --dir ~/traces --json`,
		RunE: func(c *cobra.Command, names []string) error {
			return a.fetchTraces(c.Context(), o, names)
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "`folder` to download to (default: $REPRISE_TRACES, else traces)")
	f.StringVar(&o.catalogue, "catalogue", "", "`file` that lists the traces, instead of the list built in")
	f.BoolVar(&o.all, "all", false, "download every trace listed")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	return c
}

func (o traceFetch) sets() ([]public.Set, error) {
	if o.catalogue == "" {
		return public.Sets()
	}
	f, err := os.Open(o.catalogue)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sets, err := public.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.catalogue, err)
	}
	return sets, nil
}

func (a *app) fetchTraces(ctx context.Context, o traceFetch, names []string) error {
	sets, err := o.sets()
	if err != nil {
		return fail(ExitManifest, err)
	}
	if o.dir == "" {
		o.dir = a.getenv("REPRISE_TRACES")
	}
	if o.dir == "" {
		o.dir = "traces"
	}
	var wanted []public.Set
	for _, name := range names {
		i := slices.IndexFunc(sets, func(s public.Set) bool { return s.Name == name })
		if i < 0 {
			return fail(ExitUsage, fmt.Errorf("no trace is called %q", name), "reprise trace fetch lists them")
		}
		wanted = append(wanted, sets[i])
	}
	switch {
	case o.all && len(names) > 0:
		return fail(ExitUsage, errors.New("--all and names exclude each other"))
	case o.all:
		wanted = sets
	case len(names) == 0:
		return a.listPublicTraces(o, sets)
	}
	// One that fails does not keep the others from coming.
	var failures []error
	for _, s := range wanted {
		if err := a.fetchTrace(ctx, o, s); err != nil {
			if ctx.Err() != nil {
				return fail(ExitInterrupted, context.Cause(ctx), "the same command goes on from what has come")
			}
			failures = append(failures, err)
		}
	}
	if len(failures) > 0 {
		return fail(ExitInfrastructure, errors.Join(failures...))
	}
	return nil
}

func (a *app) listPublicTraces(o traceFetch, sets []public.Set) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	for _, s := range sets {
		_, err := os.Stat(filepath.Join(o.dir, filepath.FromSlash(s.File)))
		present := err == nil
		if o.json {
			if err := enc.Encode(struct {
				public.Set
				Present bool `json:"present"`
			}{s, present}); err != nil {
				return err
			}
			continue
		}
		size, state := "size unknown", ""
		if s.Size > 0 {
			size = mebibytes(s.Size)
		}
		if s.SHA256 == "" {
			state = ", no digest published"
		}
		if present {
			state += ", downloaded"
		}
		fmt.Fprintf(a.stdout, "%s  %s%s\n  %s\n  terms: %s\n  from %s\n", s.Name, size, state, s.About, s.Licence, s.Source)
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func (a *app) fetchTrace(ctx context.Context, o traceFetch, s public.Set) error {
	fmt.Fprintf(a.stderr, "%s: terms: %s (%s)\n", s.Name, s.Licence, s.Source)
	var done, total atomic.Int64
	begun, first := a.now(), int64(-1)
	client := public.Client{
		HTTP: &http.Client{Transport: fetchTransport()}, Dir: o.dir, Tries: 6,
		Wait: func(ctx context.Context, d time.Duration) error {
			fmt.Fprintf(a.stderr, "%s: the connection broke; again in %s\n", s.Name, d)
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(d):
				return nil
			}
		},
		Progress: func(n, of int64) {
			done.Store(n)
			total.Store(of)
		},
	}
	stop := a.progress(func() string {
		n := done.Load()
		if first < 0 {
			first = n
		}
		text := fmt.Sprintf("%s: %s", s.Name, mebibytes(n))
		if of := total.Load(); of > 0 {
			text += fmt.Sprintf(" of %s", mebibytes(of))
		}
		return text + pace(n-first, total.Load()-n, a.now().Sub(begun), func(rate float64) string { return mebibytes(int64(rate)) + "/s" })
	})
	outcome, err := client.Fetch(ctx, s)
	stop()
	if err != nil {
		return err
	}
	if outcome.Trusted {
		fmt.Fprintf(a.stderr, "%s: WARNING: nobody has published a digest of this file. What came is trusted, and later downloads are held to it:\n"+
			"%s: WARNING: SHA-256 %s is now in %s\n", s.Name, s.Name, outcome.SHA256, filepath.Join(o.dir, public.LockName))
	}
	if o.json {
		enc := json.NewEncoder(a.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(map[string]any{
			"name": s.Name, "path": outcome.Path, "sha256": outcome.SHA256, "size": outcome.Size,
			"present": outcome.Present, "resumed": outcome.Resumed, "trusted_on_first_use": outcome.Trusted,
		})
	}
	how := "downloaded"
	switch {
	case outcome.Present:
		how = "was there, and is right"
	case outcome.Resumed > 0:
		how = fmt.Sprintf("downloaded, %s of it earlier", mebibytes(outcome.Resumed))
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s, %s, %s\n", s.Name, outcome.Path, mebibytes(outcome.Size), how)
	return err
}

// fetchTransport gives up on a server that does not answer, but not on one that
// takes long to send.
func fetchTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = time.Minute
	return t
}

// pace tells how fast something goes and how long it will take, once that can
// be said; left is not positive where it is unknown.
func pace(done, left int64, took time.Duration, rate func(perSecond float64) string) string {
	if done <= 0 || took < time.Second {
		return ""
	}
	perSecond := float64(done) / took.Seconds()
	var b strings.Builder
	fmt.Fprintf(&b, ", %s", rate(perSecond))
	if left > 0 {
		fmt.Fprintf(&b, ", %s left", time.Duration(float64(left)/perSecond*float64(time.Second)).Round(time.Second))
	}
	return b.String()
}
