//go:build slow

package cmd

import (
	"testing"
	"time"
)

// TestKickRunOfEverything goes from the first screen to the verdicts of all
// artifacts, with nothing but keys.
func TestKickRunOfEverything(t *testing.T) {
	x := newTmux(t)
	x.press("reprise", "Enter")
	x.sees("1 Artifacts", "none yet")
	x.press("a", "Enter")
	x.sees(`\d+ steps: \d+ run, 0 reused`)
	x.press("s")
	x.within(10*time.Minute, "finished", "the run has ended")
	x.press("o")
	x.sees("Report of run", "codesign/C1")
	x.press("q", "q", "q")
	x.sees(`\d+ claims?: .*Records: `)
	x.restored()
}
