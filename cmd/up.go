package cmd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/chameleon"
)

func (a *app) upCommand() *cobra.Command {
	var f planFlags
	var dryRun, yes, asJSON bool
	var maxSU float64
	var waitFor string
	c := &cobra.Command{
		Use:   "up ARTIFACT[:PLATFORM]",
		Short: "Lease a platform of a manifest and wait until its nodes answer",
		Long: `Lease the hosts of a platform, boot its image on them, give each a floating IP
and wait until every node lets you in over SSH. What of it is there already is
used. The nodes stay until reprise down, or until the lease ends.

The cost is shown, and has to be agreed to, before anything is made. When
something fails, or on Ctrl-C, everything made so far is released.`,
		Example: `  reprise up heimdall --dry-run               the plan, the calls and the cost
  reprise up heimdall:storage --hours 3 --yes
  reprise up heimdall --wait-for-hardware 3d --max-su 10 --yes
  reprise ssh heimdall
  reprise down heimdall`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			wait, err := parseDays(waitFor)
			if err != nil {
				return fail(ExitUsage, fmt.Errorf("--wait-for-hardware %s: %w", waitFor, err), "write a number of days, 3d, or hours, 12h")
			}
			plan, err := a.testbedPlan(args[0], f)
			if err != nil {
				return err
			}
			if dryRun {
				return a.dryRunUp(plan, asJSON)
			}
			a.printTestbedPlan(a.stderr, plan)
			if maxSU > 0 && plan.SU() > maxSU {
				return fail(ExitUsage, fmt.Errorf("the lease costs %.2f SU, more than --max-su %g", plan.SU(), maxSU), "shorten it with --hours")
			}
			if err := a.agree(yes, fmt.Sprintf("Spend %.2f SU?", plan.SU())); err != nil {
				return err
			}
			p, err := a.provider(c.Context(), plan.Site, f.testbedFlags)
			if err != nil {
				return err
			}
			d, err := p.Up(c.Context(), plan, chameleon.UpOptions{Keep: true, Wait: wait})
			if err != nil {
				return a.testbedFailed(err)
			}
			if err := a.printDeployment(d, asJSON); err != nil {
				return err
			}
			if err := d.Leave(); err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print the plan, every call that changes something, and the cost; use no network")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "agree to the cost")
	c.Flags().Float64Var(&maxSU, "max-su", 0, "refuse a lease that costs more service units")
	c.Flags().StringVar(&waitFor, "wait-for-hardware", "0s", "how long to wait for hosts that are booked: 3d, 12h")
	c.Flags().BoolVar(&asJSON, "json", false, "print the nodes, or with --dry-run the plan, as JSON")
	return c
}

// parseDays reads a duration that may be given in days.
func parseDays(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n <= 365) {
			return 0, errors.New("not a number of days up to 365")
		}
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	return time.ParseDuration(text)
}

func (a *app) dryRunUp(plan chameleon.Plan, asJSON bool) error {
	up, down := plan.Calls()
	if asJSON {
		if err := json.NewEncoder(a.stdout).Encode(map[string]any{
			"artifact": plan.Artifact, "platform": plan.Platform, "site": plan.Site.Name, "node_type": plan.NodeType, "flavor": plan.Flavor, "nodes": plan.Nodes, "count": plan.Count,
			"image": plan.Image, "hours": plan.Lease.Hours(), "su": plan.SU(), "estimate": plan.Estimate, "warnings": plan.Warnings, "calls": slices.Concat(up, down),
		}); err != nil {
			return fail(ExitInfrastructure, err)
		}
		return nil
	}
	a.printTestbedPlan(a.stdout, plan)
	fmt.Fprintln(a.stdout, "calls, up and down:")
	return printCalls(a.stdout, slices.Concat(up, down))
}

// printCalls lists requests to a site.
func printCalls(out io.Writer, calls []chameleon.Call) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, call := range calls {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", call.Method, call.Service, call.Path, call.What)
	}
	return w.Flush()
}

// agree asks on a terminal; elsewhere only --yes agrees.
func (a *app) agree(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.terminal {
		return fail(ExitUsage, errors.New("nobody has agreed to the cost"), "agree with --yes; --dry-run shows it")
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fail(ExitUsage, errors.New("not agreed; nothing was leased"))
	}
	return nil
}

// printDeployment lists a deployment's nodes on standard output.
func (a *app) printDeployment(d *chameleon.Deployment, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(a.stdout).Encode(d); err != nil {
			return fail(ExitInfrastructure, err)
		}
		return nil
	}
	state := "not ready"
	if d.Ready {
		state = "ready"
	}
	fmt.Fprintf(a.stdout, "%s:%s at %s, %s, lease until %s\n", d.Artifact, d.Platform, d.Site, state, d.Ends.UTC().Format("2006-01-02 15:04 UTC"))
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for i, m := range d.Nodes {
		key := "host key from the first answer"
		if m.Pinned {
			key = "host key from the console"
		}
		fmt.Fprintf(w, "  %d\t%s\t%s@%s:%d\t%s\n", i, m.Name, m.User, m.Address, m.Port, key)
	}
	if err := w.Flush(); err != nil || !d.Ready {
		return err
	}
	fmt.Fprintf(a.stdout, "ssh configuration: %s\n", d.ConfigFile())
	return nil
}
