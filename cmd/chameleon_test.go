package cmd

import (
	"os"
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
	case neg || len(args) > 1:
		ts.Fatalf("usage: testbed [empty]")
	case len(args) == 1 && args[0] == "empty":
		site, ok := testbeds.Load(work)
		if !ok {
			ts.Fatalf("no testbed has been started")
		}
		if left := site.(*cloudtest.Cloud).Left(); len(left) > 0 {
			ts.Fatalf("left on the testbed: %s", strings.Join(left, ", "))
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
