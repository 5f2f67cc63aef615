package cmd

// The artifacts' built-in experiments register themselves.
import (
	_ "reprise/artifacts/codesign"
	_ "reprise/artifacts/glogue"
	_ "reprise/artifacts/heimdall"
	_ "reprise/artifacts/jobprofile"
	_ "reprise/artifacts/mlworkload"
	_ "reprise/artifacts/wearlevel"
)
