package cmd

import (
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"reprise/chameleon/cloudtest"
)

// testbeds are the sites that scripts have started, by working folder.
var testbeds sync.Map

func scriptTestbed(ts *testscript.TestScript, neg bool, args []string) {
	work := ts.Getenv("WORK")
	switch {
	case neg:
		ts.Fatalf("usage: testbed [empty | only THING… | lease NAME]")
	case len(args) > 0:
		running, ok := testbeds.Load(work)
		if !ok {
			ts.Fatalf("no testbed has been started")
		}
		site := running.(*cloudtest.Cloud)
		switch args[0] {
		case "empty", "only":
			left := site.Left()
			slices.Sort(left)
			if !slices.Equal(left, slices.Sorted(slices.Values(args[1:]))) {
				ts.Fatalf("left on the testbed: %s", strings.Join(left, ", "))
			}
		case "lease":
			ts.Check(site.Lease(args[1]))
		case "end":
			site.EndLeases()
		default:
			ts.Fatalf("unknown: testbed %s", args[0])
		}
	default:
		site := cloudtest.New()
		ts.Defer(site.Close)
		ts.Check(site.ServeSSH())
		testbeds.Store(work, site)
		ts.Check(os.WriteFile(ts.MkAbs("sites.yaml"), []byte(site.SitesYAML()), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs("clouds.yaml"), []byte(site.CloudsYAML()), 0o600))
		ts.Setenv("REPRISE_SITES", ts.MkAbs("sites.yaml"))
		ts.Setenv("OS_CLIENT_CONFIG_FILE", ts.MkAbs("clouds.yaml"))
	}
}
