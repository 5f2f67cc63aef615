package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/chameleon"
	"reprise/runner/device"
)

func (a *app) chameleonCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "chameleon",
		Short: "Look after what is leased on the Chameleon testbed",
		Long: `Log in to the sites of the Chameleon testbed, and see and release what reprise
has leased there. reprise up leases a platform of a manifest, reprise down gives
it back.

Credentials are read from clouds.yaml or from the OS_ variables of an openrc
file, both from the site's own web page. A file named by REPRISE_SITES adds
sites or changes them, in the form of chameleon/sites.yaml.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.chameleonSitesCommand(), a.chameleonLoginCommand(), a.chameleonLeasesCommand(), a.chameleonCleanupCommand(), a.chameleonSnapshotCommand())
	return c
}

// sites gives the shipped sites and those of $REPRISE_SITES.
func (a *app) sites() ([]chameleon.Site, error) {
	var more io.Reader
	if path := a.getenv("REPRISE_SITES"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fail(ExitUsage, fmt.Errorf("REPRISE_SITES: %w", err))
		}
		defer f.Close()
		more = f
	}
	sites, err := chameleon.Sites(more)
	if err != nil {
		return nil, fail(ExitUsage, err)
	}
	return sites, nil
}

// records is the folder in which deployments are remembered.
func (a *app) records(store string) (chameleon.Records, error) {
	root, err := a.storeDir(store)
	return chameleon.Records{Dir: filepath.Join(root, "chameleon")}, err
}

// testbedFlags are what every verb that talks to a site takes.
type testbedFlags struct{ cloud, store string }

func (f *testbedFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.cloud, "cloud", "", "entry of clouds.yaml (default $OS_CLOUD, or the site's)")
	c.Flags().StringVar(&f.store, "store", "", "folder of runs and results (default $REPRISE_STORE or the user's state folder)")
}

// provider logs in at a site.
func (a *app) provider(ctx context.Context, site chameleon.Site, f testbedFlags) (*chameleon.Provider, error) {
	records, err := a.records(f.store)
	if err != nil {
		return nil, err
	}
	credentials, err := chameleon.FindCredentials(site, f.cloud, a.getenv)
	if err != nil {
		return nil, a.testbedFailed(err)
	}
	cloud, err := chameleon.Login(ctx, site, credentials, chameleon.Connection{})
	if err != nil {
		return nil, a.testbedFailed(err)
	}
	return &chameleon.Provider{
		Cloud: cloud, Records: records, Now: a.now,
		Say: func(message string) { fmt.Fprintln(a.stderr, message) },
	}, nil
}

// testbedFailed gives a failure of the testbed its exit code and hint.
func (a *app) testbedFailed(err error) error {
	var hints []string
	if hint := chameleon.HintOf(err); hint != "" {
		hints = append(hints, hint)
	}
	code := ExitInfrastructure
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errInterrupted):
		code = ExitInterrupted
	case errors.Is(err, chameleon.ErrInUse):
		hints = append(hints, "wait until the other reprise has ended")
	}
	return fail(code, err, hints...)
}

func (a *app) chameleonSitesCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "sites",
		Short: "List the sites, with their login addresses",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			sites, err := a.sites()
			if err != nil {
				return err
			}
			if asJSON {
				for _, s := range sites {
					if err := json.NewEncoder(a.stdout).Encode(map[string]any{"name": s.Name, "auth_url": s.AuthURL, "region": s.Region, "leases": s.Leases}); err != nil {
						return fail(ExitInfrastructure, err)
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SITE\tLEASES\tLOGIN")
			for _, s := range sites {
				fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Leases, s.AuthURL)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a site")
	return c
}

func (a *app) chameleonLoginCommand() *cobra.Command {
	var f testbedFlags
	var site string
	var check bool
	c := &cobra.Command{
		Use:   "login --check",
		Short: "Say what of a login works and what is missing",
		Long: `Look for the credentials of a site, log in with them, and ask each service that
a lease needs one harmless question. Nothing is made or changed, and no secret
is printed.`,
		Example: `  reprise chameleon login --check --site CHI@UC
  reprise chameleon login --check --site CHI@TACC --cloud tacc`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !check {
				return fail(ExitUsage, errors.New("reprise keeps no login of its own"), "reprise chameleon login --check tries the credentials that are there")
			}
			sites, err := a.sites()
			if err != nil {
				return err
			}
			s, err := chameleon.FindSite(sites, site)
			if err != nil {
				return fail(ExitUsage, err)
			}
			credentials, err := chameleon.FindCredentials(s, f.cloud, a.getenv)
			if err != nil {
				return a.testbedFailed(err)
			}
			bad := 0
			for _, finding := range chameleon.Check(c.Context(), s, credentials, chameleon.Connection{}) {
				mark := "ok  "
				if finding.Err != nil {
					mark = "FAIL"
					bad++
				}
				fmt.Fprintf(a.stdout, "%s  %s\n", mark, finding)
				if hint := chameleon.HintOf(finding.Err); hint != "" {
					fmt.Fprintf(a.stdout, "      %s\n", hint)
				}
			}
			if bad > 0 {
				return fail(ExitInfrastructure, fmt.Errorf("%d of the checks failed", bad))
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().StringVar(&site, "site", "CHI@UC", "site to log in to")
	c.Flags().BoolVar(&check, "check", false, "try the credentials")
	return c
}

// eachProvider logs in at the site given, or at all that this machine has
// records of.
func (a *app) eachProvider(ctx context.Context, site string, f testbedFlags, do func(*chameleon.Provider) error) error {
	sites, err := a.sites()
	if err != nil {
		return err
	}
	names := []string{site}
	if site == "" {
		records, err := a.records(f.store)
		if err != nil {
			return err
		}
		list, _, err := records.List()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(ExitInfrastructure, err)
		}
		names = nil
		for _, d := range list {
			names = append(names, d.Site)
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) == 0 {
			fmt.Fprintln(a.stderr, "this machine has no record of anything leased; --site NAME asks a site")
			return nil
		}
	}
	for _, name := range names {
		s, err := chameleon.FindSite(sites, name)
		if err != nil {
			return fail(ExitUsage, err)
		}
		p, err := a.provider(ctx, s, f)
		if err != nil {
			return err
		}
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) chameleonLeasesCommand() *cobra.Command {
	var f testbedFlags
	var site string
	var asJSON bool
	c := &cobra.Command{
		Use:   "leases",
		Short: "List what reprise has leased for you, and what of it is an orphan",
		Long: `List everything on a site that your reprise has made in the project, by what the
site says: also what was made on another machine, and what a reprise that was
killed has left. Without --site the sites are asked that this machine has
records of.`,
		Example: `  reprise chameleon leases
  reprise chameleon leases --site CHI@UC --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.eachProvider(c.Context(), site, f, func(p *chameleon.Provider) error {
				list, err := p.Leftovers(c.Context())
				if err != nil {
					return a.testbedFailed(err)
				}
				if asJSON {
					for _, l := range list {
						if err := json.NewEncoder(a.stdout).Encode(l); err != nil {
							return fail(ExitInfrastructure, err)
						}
					}
					return nil
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintf(w, "%s\tLEASE\tENDS\tTHINGS\tSTATE\n", strings.ToUpper(p.Cloud.Site.Name))
				for _, l := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", l.Name, dash(l.Lease), dash(l.Ends), l.Things, l.Why)
				}
				return w.Flush()
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&site, "site", "", "site to ask")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) chameleonCleanupCommand() *cobra.Command {
	var f testbedFlags
	var site string
	var all bool
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Release what a killed reprise has left on the testbed",
		Long: `Release the orphans: leases, instances, key pairs, networks, routers, security
groups and floating IPs whose reprise has ended without releasing them. What a running reprise uses stays, and so does what
reprise up keeps; --all releases that too, and what was made on other machines.`,
		Example: `  reprise chameleon cleanup
  reprise chameleon cleanup --site CHI@UC --all`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.eachProvider(c.Context(), site, f, func(p *chameleon.Provider) error {
				released, err := p.Cleanup(c.Context(), all)
				for _, name := range released {
					fmt.Fprintf(a.stdout, "released %s\n", name)
				}
				if err != nil {
					return a.testbedFailed(err)
				}
				if len(released) == 0 {
					fmt.Fprintf(a.stderr, "nothing to release at %s\n", p.Cloud.Site.Name)
				}
				return nil
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&site, "site", "", "site to clean up")
	c.Flags().BoolVar(&all, "all", false, "also what is kept, and what was made on other machines")
	return c
}

func (a *app) chameleonSnapshotCommand() *cobra.Command {
	var f testbedFlags
	var node int
	c := &cobra.Command{
		Use:   "snapshot ARTIFACT[:PLATFORM] NAME",
		Short: "Make an image of a leased node's disk",
		Long: `Run the testbed's cc-snapshot on a node that reprise up or run --keep has
leased. The image is the project's and can be named by a platform. cc-snapshot
takes a login: yours is handed to it over SSH, for that time, in its environment
alone. A second image of the same name does not replace the first.`,
		Example: `  reprise chameleon snapshot heimdall heimdall-with-kernel-6.0`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			d, p, err := a.leased(c.Context(), args[0], f)
			if err != nil {
				return err
			}
			said, err := p.Snapshot(c.Context(), d, node, args[1])
			if err != nil {
				return a.testbedFailed(err)
			}
			fmt.Fprintf(a.stdout, "%simage %s\n", said, args[1])
			return nil
		},
	}
	f.add(c)
	c.Flags().IntVar(&node, "node", 0, "number of the node")
	return c
}

// planFlags choose a platform of a manifest and size its lease.
type planFlags struct {
	testbedFlags
	profile, site string
	hours         float64
	nodes         []string
}

func (f *planFlags) add(c *cobra.Command) {
	f.testbedFlags.add(c)
	c.Flags().StringVar(&f.profile, "profile", "", "size the lease by the budgets of this profile's experiments")
	among(c.Flags(), "profile", artifacts.ProfileNames...)
	c.Flags().Float64Var(&f.hours, "hours", 0, "length of the lease in hours")
	c.Flags().StringVar(&f.site, "site", "", "site, instead of the manifest's")
	c.Flags().StringSliceVar(&f.nodes, "node", nil, "lease these nodes, by uid, instead of any of the node type")
}

// plan makes the plan of ARTIFACT or ARTIFACT/PLATFORM.
func (a *app) testbedPlan(arg string, f planFlags) (chameleon.Plan, error) {
	none := chameleon.Plan{}
	sites, err := a.sites()
	if err != nil {
		return none, err
	}
	m, platform, err := a.platformArgument(arg)
	if err != nil {
		return none, err
	}
	plan, err := chameleon.NewPlan(m, sites, chameleon.Request{Platform: platform, Profile: f.profile, Hours: f.hours, Site: f.site, Nodes: f.nodes})
	if err != nil {
		return none, fail(ExitUsage, err)
	}
	return plan, nil
}

// platformArgument splits ARTIFACT[:PLATFORM] and loads the manifest.
func (a *app) platformArgument(arg string) (*artifacts.Manifest, string, error) {
	name, platform := arg, ""
	if i := strings.LastIndexByte(arg, ':'); i >= 0 {
		name, platform = arg[:i], arg[i+1:]
	}
	list, err := a.loadAll([]string{name})
	if err != nil {
		return nil, "", err
	}
	return list[0], platform, nil
}

// printTestbedPlan shows what would be leased, why so long, and the cost.
func (a *app) printTestbedPlan(w io.Writer, p chameleon.Plan) {
	fmt.Fprintf(w, "%s, platform %s: %d × %s at %s, image %s\n", p.Artifact, p.Platform, p.Count, p.Hardware(), p.Site.Name, p.Image)
	if p.Isolated {
		fmt.Fprintln(w, "network: one made for it, with a router to the public one")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Devices)) {
		fmt.Fprintf(w, "device %s: %s; nodes that have them are found through %s, and what has come is checked before every step\n", name, device.Describe(p.Devices[name]), p.Site.Reference)
	}
	rate := float64(p.Count) * p.Rate()
	for _, l := range p.Estimate {
		fmt.Fprintf(w, "  %7.2f h  %7.2f SU  %s\n", l.Hours, l.Hours*rate, l.What)
	}
	fmt.Fprintf(w, "  %7.2f h  %7.2f SU  lease\n", p.Lease.Hours(), p.SU())
	fmt.Fprintf(w, "cost: %d node(s) × %.2f h × %g SU/h = %.2f SU\n", p.Count, p.Lease.Hours(), p.Rate(), p.SU())
	for _, warning := range p.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
}
