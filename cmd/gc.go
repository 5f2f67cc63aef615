package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/runner/store"
)

type gcFlags struct {
	olderThan string
	maxSize   string
	dryRun    bool
	json      bool
	store     string
}

func (a *app) gcCommand() *cobra.Command {
	var f gcFlags
	c := &cobra.Command{
		Use:   "gc --older-than AGE | --max-size SIZE",
		Short: "Remove old runs, and results that no other run uses",
		Long: `Remove runs by age, or the oldest until what is left fits in a size, and with
them the results that no run that stays has made or reused. What is removed has
to be measured again should it be asked for. Sources that were fetched stay.`,
		Example: `  reprise gc --older-than 30d --dry-run   what would go, and how much that is
  reprise gc --older-than 30d
  reprise gc --max-size 10GiB`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.gc(f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.olderThan, "older-than", "", "remove runs older than this: 30d, 2w, 12h")
	flags.StringVar(&f.maxSize, "max-size", "", "remove the oldest runs until the rest is at most this: 10GiB")
	flags.BoolVar(&f.dryRun, "dry-run", false, "remove nothing, print what would be removed")
	flags.BoolVar(&f.json, "json", false, "print one JSON object a removed run")
	storeFlag(c, &f.store)
	return c
}

func (a *app) gc(f gcFlags) error {
	var keep store.Keep
	if f.olderThan != "" {
		age, err := parseAge(f.olderThan)
		if err != nil {
			return fail(ExitUsage, fmt.Errorf("--older-than %w", err), "write 30d, 2w or 12h")
		}
		keep.Age = age
	}
	if f.maxSize != "" {
		var size artifacts.Size
		if err := size.UnmarshalText([]byte(f.maxSize)); err != nil {
			return fail(ExitUsage, fmt.Errorf("--max-size %w", err), "write 500MB or 10GiB")
		}
		keep.Size = int64(size)
	}
	if keep == (store.Keep{}) {
		return fail(ExitUsage, errors.New("nothing says what is to go"), "name an age, --older-than 30d, or a size, --max-size 10GiB; --dry-run shows what would go")
	}
	kept, err := a.openStore(f.store)
	if err != nil {
		return err
	}
	done, err := kept.Collect(keep, a.now(), f.dryRun)
	removed := "removed"
	if f.dryRun {
		removed = "would remove"
	}
	for _, r := range done.Removed {
		if f.json {
			line, err := json.Marshal(r)
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			fmt.Fprintf(a.stdout, "%s\n", line)
			continue
		}
		what := "run " + r.Run
		if r.Run == "" {
			what = "result of " + r.Step + ", which no recorded run uses"
		}
		fmt.Fprintf(a.stdout, "%s %s: %d results, %s\n", removed, what, r.Results, inBytes(r.Bytes))
	}
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	if !f.json {
		fmt.Fprintf(a.stdout, "%s %s; %s stay in %s\n", removed, inBytes(done.Bytes), inBytes(done.Kept), kept.Root())
	}
	return nil
}

// parseAge reads 30d, 2w and what Go reads as a duration.
func parseAge(text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			if n, err := strconv.ParseFloat(number, 64); err == nil && n > 0 && n < 1e5 {
				return time.Duration(n * float64(unit)), nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no age", text)
	}
	return d, nil
}

// inBytes puts a number of bytes in a person's words.
func inBytes(n int64) string {
	const units = "KMGTP"
	f, i := float64(n), -1
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i < 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
