package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"reprise/chameleon"
)

func (a *app) downCommand() *cobra.Command {
	var f testbedFlags
	c := &cobra.Command{
		Use:   "down ARTIFACT[:PLATFORM]",
		Short: "Give a leased platform back",
		Long: `Delete the nodes, the key pair, the lease and whatever else belongs to a platform
that reprise up has leased, and wait until the site knows of none of it.`,
		Example: `  reprise down heimdall
  reprise down heimdall:storage`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d, p, err := a.leased(c.Context(), args[0], f)
			if err != nil {
				return err
			}
			if err := p.Release(d.Name); err != nil {
				return a.testbedFailed(err)
			}
			fmt.Fprintf(a.stdout, "released %s\n", d.Name)
			return nil
		},
	}
	f.add(c)
	return c
}

// leased finds this machine's record of a leased platform, and signs in where it is.
func (a *app) leased(ctx context.Context, arg string, f testbedFlags) (*chameleon.Deployment, *chameleon.Provider, error) {
	d, err := a.deployment(arg, f.store)
	if err != nil {
		return nil, nil, err
	}
	sites, err := a.sites()
	if err != nil {
		return nil, nil, err
	}
	site, err := chameleon.FindSite(sites, d.Site)
	if err != nil {
		return nil, nil, fail(ExitUsage, err)
	}
	p, err := a.provider(ctx, site, f)
	return d, p, err
}

// deployment finds this machine's record of a leased platform.
func (a *app) deployment(arg, store string) (*chameleon.Deployment, error) {
	m, platform, err := a.platformArgument(arg)
	if err != nil {
		return nil, err
	}
	records, err := a.records(store)
	if err != nil {
		return nil, err
	}
	list, _, err := records.List()
	if err != nil {
		return nil, fail(ExitInfrastructure, err)
	}
	var found *chameleon.Deployment
	for _, d := range list {
		if d.Artifact != m.Artifact || platform != "" && d.Platform != platform {
			continue
		}
		if found != nil {
			return nil, fail(ExitUsage, fmt.Errorf("several platforms of %s are leased: %s and %s", m.Artifact, found.Platform, d.Platform), "name one: "+m.Artifact+":"+d.Platform)
		}
		found = d
	}
	if found == nil {
		return nil, fail(ExitUsage, errors.New(arg+" is not leased, as far as this machine knows"), "reprise up "+arg+" leases it; reprise chameleon leases --site NAME asks the site")
	}
	return found, nil
}
