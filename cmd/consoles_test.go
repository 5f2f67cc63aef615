package cmd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"reprise/chameleon/cloudtest"
)

// notRun are the commands of the documents that are only parsed here, each with
// the reason why.
var notRun = map[string]string{
	"reprise resume ":                     "needs a run with something left to do; testdata/script/resume.txtar",
	"go run . run":                        "the main job of .ci/run",
	"go test ./...":                       "this",
	"reprise run":                         "minutes; the main job of .ci/run",
	"reprise":                             "asks for a terminal; TestTerminal runs it",
	"reprise run --headless":              "minutes; the main job of .ci/run",
	"reprise trace fetch":                 "asks the internet; trace-fetch.txtar has a server",
	"reprise ssd serve":                   "serves until it is stopped; ssd_serve.txtar",
	"bash .ci/release":                    "a step of .ci/run",
	"bash chameleon/cloudtest":            "installs packages; a step of .ci/run",
	"REPRISE_OPENSTACK=1":                 "raises an OpenStack; a step of .ci/run",
	"reprise query latest 'read_requests": "needs a run of codesign; testdata/script/query.txtar",
	"reprise chameleon snapshot":          "needs a real image; snapshot_test.go",
}

// needsMore are commands that ask for more than every machine has.
var needsMore = regexp.MustCompile(`--on (ssh:|slurm|chameleon --(max-su|yes))|--profile (local|paper)\b|reprise (up|ssh|down|status) heimdall`)

// A console is a command that a document shows, with what it prints.
type console struct {
	file    string
	line    int
	command string
	output  []string // empty where the document leaves it out
}

// consoles reads the ```console blocks of a document; a command's lines begin
// with "$ " and go on after a backslash.
func consoles(t *testing.T, file string) (found []console) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	fence := ""
	for i, line := range strings.Split(string(data), "\n") {
		if mark, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if fence != "" {
				fence = ""
			} else if fence = mark; fence == "" {
				fence = "text"
			}
			continue
		}
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case fence == "":
		case isCommand && fence != "console":
			t.Errorf("%s:%d: a command outside a console block, so that nothing checks it", file, i+1)
		case isCommand:
			found = append(found, console{file, i + 1, command, nil})
		case fence == "console" && len(found) > 0:
			last := &found[len(found)-1]
			if len(last.output) == 0 && strings.HasSuffix(last.command, `\`) {
				last.command += "\n" + line
			} else {
				last.output = append(last.output, line)
			}
		}
	}
	return found
}

func documents(t *testing.T) []string {
	found, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	more, err := filepath.Glob("../docs/artifacts/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, more)
	ofArtifacts, err := filepath.Glob("../artifacts/*/README.md")
	require.NoError(t, err)
	return slices.Concat(found, more, ofArtifacts, []string{"../README.md", "../CONTRIBUTING.md", "../artifacts/starter.md"})
}

// invocation prints the arguments of every reprise in a command line, as bash
// takes them apart, and runs nothing else.
const invocation = `reprise() { printf '%s\0' "$@"; printf '\n'; }; jq() { :; }; benchstat() { :; }; `

// TestDocumentsSayWhatThereIs parses every command that a document shows, in a
// console or in the text: the verbs and flags exist, and take so many arguments.
func TestDocumentsSayWhatThereIs(t *testing.T) {
	inText := regexp.MustCompile("`(reprise [^`]+)`")
	for _, file := range documents(t) {
		all := consoles(t, file)
		inConsoles := len(all)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for i, line := range strings.Split(string(data), "\n") {
			for _, m := range inText.FindAllStringSubmatch(line, -1) {
				all = append(all, console{file, i + 1, strings.ReplaceAll(m[1], "…", ""), nil})
			}
		}
		for i, c := range all {
			shown := i < inConsoles // the text leaves arguments out
			if !strings.Contains(c.command, "reprise") || strings.HasPrefix(c.command, "bash") {
				continue
			}
			command := regexp.MustCompile(`(>|\| )[^|>]*$`).ReplaceAllString(c.command, "")
			out, err := exec.Command("bash", "-c", invocation+command).Output()
			require.NoError(t, err, "%s:%d: %s", c.file, c.line, c.command)
			for call := range strings.Lines(string(out)) {
				args := strings.Split(strings.TrimSuffix(strings.TrimSuffix(call, "\n"), "\x00"), "\x00")
				if args[0] == "" {
					args = nil
				}
				verb, rest, err := newApp().rootCommand().Find(args)
				require.NoError(t, err, "%s:%d: %s", c.file, c.line, c.command)
				err = verb.ParseFlags(rest)
				if errors.Is(err, pflag.ErrHelp) {
					continue
				}
				require.NoError(t, err, "%s:%d: %s", c.file, c.line, c.command)
				if shown {
					require.NoError(t, verb.ValidateArgs(verb.Flags().Args()), "%s:%d: %s", c.file, c.line, c.command)
				}
			}
		}
	}
}

// TestConsoles runs the commands of each document in order, in a folder of the
// document's own, and compares what they print with what the document shows. An
// ellipsis in it stands for anything, alone on a line for any lines. Commands
// that other tests run, or that need other machines, are left out.
func TestConsoles(t *testing.T) {
	for _, file := range documents(t) {
		all := consoles(t, file)
		if len(all) == 0 {
			continue
		}
		t.Run(strings.Trim(file, "./"), func(t *testing.T) {
			dir := t.TempDir()
			env := append(os.Environ(), "REPRISE_STORE="+filepath.Join(dir, ".store"), "NO_COLOR=1", "COLUMNS=100")
			fixtures(t, dir, env)
			if strings.HasSuffix(file, "chameleon.md") {
				site := cloudtest.New()
				t.Cleanup(site.Close)
				// It plays the site that the page speaks of.
				sites := strings.ReplaceAll(site.SitesYAML(), "- name: CHI@Test\n", "- name: CHI@UC\n  region: CHI@Test\n")
				require.NoError(t, os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte(site.CloudsYAML()), 0o600))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "sites.yaml"), []byte(sites), 0o600))
				env = append(env, "REPRISE_SITES="+filepath.Join(dir, "sites.yaml"))
			}
			ran := 0
			for _, c := range all {
				if why := leftOut(c.command); why != "" {
					t.Logf("%s:%d: not run: %s: %s", c.file, c.line, c.command, why)
					continue
				}
				ran++
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				run := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", c.command)
				run.Dir, run.Env = dir, env
				var out bytes.Buffer
				run.Stdout, run.Stderr = &out, &out
				err := run.Run()
				cancel()
				var exit *exec.ExitError
				code := 0
				if errors.As(err, &exit) {
					code = exit.ExitCode()
				} else {
					require.NoError(t, err)
				}
				// What a run or a lint found out is not the document's matter.
				found := code == 0 || strings.Contains(c.command, "--badges") && code == ExitManifest
				if regexp.MustCompile(`reprise (run|kick) `).MatchString(c.command) {
					found = found || code == ExitNotReproduced || code == ExitInconclusive
				}
				if !found {
					require.Zero(t, code, "%s:%d: %s\n%s", c.file, c.line, c.command, out.String())
				}
				if want := strings.TrimSpace(strings.Join(c.output, "\n")); want != "" {
					require.Regexp(t, elided(want), strings.TrimSpace(out.String()), "%s:%d: %s", c.file, c.line, c.command)
				}
			}
			if ran == 0 {
				t.Skip("nothing of it can be run everywhere")
			}
		})
	}
}

// leftOut says why a command is not run, and nothing for one that is.
func leftOut(command string) string {
	for prefix, why := range notRun {
		rest, ok := strings.CutPrefix(command, prefix)
		// The shorter ones stand for themselves alone.
		alone := prefix == "reprise" || prefix == "reprise run" || strings.HasPrefix(prefix, "go ")
		if ok && (!alone || strings.TrimSpace(rest) == "" || strings.HasPrefix(strings.TrimSpace(rest), "#")) {
			return why
		}
	}
	if !strings.Contains(command, "--dry-run") && needsMore.MatchString(command) {
		return "needs other machines, or minutes"
	}
	return ""
}

// elided is the pattern of an output with ellipses.
func elided(want string) string {
	var pattern strings.Builder
	pattern.WriteString(`(?s)\A`)
	for i, line := range strings.Split(want, "\n") {
		switch {
		case strings.TrimSpace(line) == "…":
			pattern.WriteString(`.*?`)
			continue
		case i > 0:
			pattern.WriteString(`\n?`)
		}
		parts := strings.Split(strings.TrimRight(line, " "), "…")
		for i, part := range parts {
			parts[i] = regexp.MustCompile(` +`).ReplaceAllString(regexp.QuoteMeta(part), ` +`)
		}
		pattern.WriteString(strings.Join(parts, `[^\n]*`) + ` *`)
	}
	return pattern.String() + `\z`
}

// fixtures are the files that the documents take for granted.
func fixtures(t *testing.T, dir string, env []string) {
	for _, args := range [][]string{
		{"trace", "gen", "zipf?objects=2000&n=20000&reads=0.7", "my.trace.zst"},
		{"init", "."},
		{"run", "."}, // a run before the document's own
	} {
		made := exec.Command("reprise", args...)
		made.Dir, made.Env = dir, env
		out, err := made.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	log := ""
	for i := range 40 {
		latency := "100"
		if i%10 > 6 {
			latency = "900"
		}
		log += "0." + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "," + latency + ",1,4096,0,0.1,4096\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "my-latency.log"), []byte(log), 0o600))
}

// TestWorkflowAsPasted runs the steps of docs/ci.md's workflow in a copy of the
// tree, as its runner would: bash -e, one step after the other.
func TestWorkflowAsPasted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	page, err := os.ReadFile("../docs/ci.md")
	require.NoError(t, err)
	_, text, _ := strings.Cut(string(page), "<!-- workflow -->\n```yaml\n")
	text, _, ok := strings.Cut(text, "\n```\n")
	require.True(t, ok)
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Name, Run, Uses string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &workflow))
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	// Everything but the program's own outputs is there by links.
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		require.NoError(t, os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())))
	}
	ran := 0
	for _, step := range workflow.Jobs["claims"].Steps {
		if step.Run == "" {
			require.Regexp(t, `^actions/[a-z-]+@v\d+$`, step.Uses)
			continue
		}
		run := exec.CommandContext(t.Context(), "bash", "-e", "-c", step.Run)
		run.Dir = dir
		run.Env = append(os.Environ(), "REPRISE_STORE="+filepath.Join(dir, ".reprise"), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary.md"))
		out, err := run.CombinedOutput()
		require.NoError(t, err, "%s:\n%s", step.Name, out)
		ran++
	}
	require.Equal(t, 2, ran)
	for _, file := range []string{"report.html", "junit.xml", "summary.md"} {
		require.FileExists(t, filepath.Join(dir, file))
	}
}
