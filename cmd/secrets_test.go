package cmd

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/node/nodetest"
)

// TestSecretsStayOut plants secrets in the environment, in files that steps
// print and in what they fail with, runs every kind of step here and on a host,
// and looks for them in everything that is printed, kept and packed, and in the
// command lines and environments of all children while they run.
func TestSecretsStayOut(t *testing.T) {
	planted := map[string]string{
		"OS_PASSWORD":                      "planted-password-1f",
		"OS_APPLICATION_CREDENTIAL_SECRET": `planted "quoted" <secret> 2e`,
		"SSH_KEY_PASSPHRASE":               "planted-passphrase-3d",
		"SOME_SERVICE_TOKEN":               "planted-token-4c",
		"HF_TOKEN":                         "planted-hf-token-7e",
		"LICENCE_ID":                       "planted-licence-9f",
		"DEPLOY_KEY":                       "-----BEGIN KEY-----\nplanted-key-line-5b\nplanted-key-line-6a\n-----END KEY-----",
	}
	env := []string{"PLAIN=seen by steps"}
	work := t.TempDir()
	gate := filepath.Join(t.TempDir(), "gate") // is there once the environment of a step has been seen
	leak := ""
	for _, name := range slices.Sorted(maps.Keys(planted)) {
		env = append(env, name+"="+planted[name])
		leak = name + " is " + planted[name] + "\n" + leak // SSH_KEY_PASSPHRASE comes first
	}
	require.NoError(t, os.WriteFile(filepath.Join(work, "artifact.yaml"), []byte(`reprise: 1
artifact: leaky
title: t
sources:
  leak: {path: leak.txt}
experiments:
  E1:
    title: a step that prints all it has
    profiles: {kick: {compute: 20s}}
    sources: [leak]
    run:
      - {name: env, sh: "env; echo v=1; i=0; until [ -e '`+gate+`' ] || [ $i = 200 ]; do sleep 0.05; i=$((i+1)); done", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}
      - {name: file, sh: 'cat "$REPRISE_SOURCE_LEAK"; cat "$REPRISE_SOURCE_LEAK" >&2; sleep 0.1'}
      - {name: pieces, sh: 'head -c 30 "$REPRISE_SOURCE_LEAK"; sleep 0.1; tail -c +31 "$REPRISE_SOURCE_LEAK"'}
  E2:
    title: one that fails with them
    profiles: {kick: {compute: 20s}}
    sources: [leak]
    run: [{name: fails, sh: 'cat "$REPRISE_SOURCE_LEAK" >&2; exit 3'}]
  E4:
    title: one that observes them
    profiles: {kick: {compute: 20s}}
    sources: [leak]
    run: [{name: odd, sh: 'echo "v=$(head -1 "$REPRISE_SOURCE_LEAK" | cut -d" " -f3)"', extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}]
  E5:
    title: steps that are handed secrets
    profiles: {kick: {compute: 20s}}
    run:
      - name: fetch
        sh: |
          [ "${#HF_TOKEN} ${#LICENCE_ID}" = "19 18" ]
          echo "HF_TOKEN is $HF_TOKEN"; echo "$LICENCE_ID" >&2
          printf %s "$HF_TOKEN" | head -c 9; sleep 0.2; printf %s "$HF_TOKEN" | tail -c +10
          echo "url=https://me:$HF_TOKEN@host/" >config; chmod 400 config
          echo "v,who"  >t.csv; echo "1,$HF_TOKEN" >>t.csv
          if ps -A -o args | grep -e "$HF_TOKEN" -e "$LICENCE_ID" | grep -v -e grep; then exit 1; fi
        secrets: [HF_TOKEN, LICENCE_ID]
        outputs: [config]
        extract: [{from: t.csv, metric: w, csv: {value: v, labels: [who]}}]
      - {name: not, sh: 'echo "handed on: ${HF_TOKEN-no} ${LICENCE_ID-no}"; cat config'}
  E6:
    title: one that is handed a secret and fails
    profiles: {kick: {compute: 20s}}
    run: [{name: fails, sh: 'echo "$HF_TOKEN" | tee left >&2; exit 3', secrets: [HF_TOKEN]}]
  E3:
    title: a built-in
    profiles: {kick: {compute: 20s}}
    run: demo.value
claims:
  C1:
    statement: s
    source: {where: "here", kind: text}
    experiment: E2
    checks: [{value: {metric: v, expect: {min: 1}}}]
`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(work, "leak.txt"), []byte(leak), 0o600))

	s := nodetest.StartSSHD(t)
	config := sshConfig(t, s)
	for _, on := range [][]string{nil, {"--on", "ssh:host1", "--ssh-config", config}} {
		shown := map[string]string{}
		kept := t.TempDir()
		out := t.TempDir()
		run := exec.Command("reprise", append([]string{"run", work, "--store", kept, "--headless",
			"--html", filepath.Join(out, "r.html"), "--junit", filepath.Join(out, "r.xml"), "--markdown", filepath.Join(out, "r.md")}, on...)...)
		run.Env = append(os.Environ(), env...)
		var said strings.Builder
		run.Stdout, run.Stderr = &said, &said
		require.NoError(t, run.Start())
		stop, watched, read := make(chan struct{}), make(chan string, 1), make(chan string, 1)
		go func() { watched <- watchChildren(run.Process.Pid, gate, stop) }()
		go func() { read <- watchLogs(kept, stop) }()
		_ = run.Wait()
		close(stop)
		require.Equal(t, ExitStepFailed, run.ProcessState.ExitCode(), said.String())
		shown["processes"], shown["run"], shown["logs while it ran"] = <-watched, said.String(), <-read
		require.Contains(t, shown["logs while it ran"], "SSH_KEY_PASSPHRASE is [secret SSH_KEY_PASSPHRASE]")
		if on == nil {
			require.Contains(t, shown["processes"], "PLAIN=seen by steps")
		}

		for name, args := range map[string][]string{
			"json":    {"run", work, "--json", "--param", "v=" + planted["OS_PASSWORD"]}, // refused
			"report":  {"report", "latest"},
			"runs":    {"runs", "--json"},
			"replay":  {"replay", "latest", "--plain", "--speed", "0"},
			"dry run": {"resume", "--dry-run"},
			"pack":    {"pack", "-o", out + "/crate/"},
			"no such": {"run", planted["SOME_SERVICE_TOKEN"]},
		} {
			_, stdout, stderr := reprise(t, env, append(args, "--store", kept)...)
			shown[name] = stdout + stderr
		}
		for _, place := range []string{kept, out} {
			require.NoError(t, filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				data, err := os.ReadFile(path)
				shown[path] = string(data)
				return err
			}))
		}
		require.FileExists(t, filepath.Join(out, "crate", "ro-crate-metadata.json"))
		require.Contains(t, shown["report"], "[secret OS_PASSWORD]", "what is taken out is said")
		require.Contains(t, shown["logs while it ran"], "HF_TOKEN is [secret HF_TOKEN]\n[secret HF_TOKEN]")
		require.Contains(t, shown["logs while it ran"], "handed on: no no\nurl=https://me:*******************@host/\n")
		require.Contains(t, shown["run"], "config held a secret")
		// With another token nothing runs anew but what has failed.
		code, plan, bad := reprise(t, append(env, "HF_TOKEN=another one"), "run", work, "--store", kept, "--dry-run", "--only", "E5")
		require.Zero(t, code, bad)
		require.Contains(t, plan, "2 steps, 0 would run, 2 would be reused")
		for path, text := range shown {
			for _, plain := range []string{"planted-", `"quoted" <secret>`, `\"quoted\"`, "&#34;quoted", "&quot;quoted"} {
				require.NotContains(t, text, plain, path)
			}
		}
	}
}

// watchLogs gathers what the logs below a folder hold, as whoever follows them
// sees it, until stop is closed.
func watchLogs(dir string, stop <-chan struct{}) string {
	seen := map[string]bool{}
	for over := false; ; {
		select {
		case <-stop:
			over = true // but for what was written since the last look
		default:
		}
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".log" {
				data, _ := os.ReadFile(path)
				seen[string(data)] = true
			}
			return nil
		})
		if over {
			return strings.Join(slices.Collect(maps.Keys(seen)), "\n")
		}
	}
}

// handed finds what steps are handed. Of a process that ends, no more than the
// beginning of its environment may be read.
var handed = regexp.MustCompile(`\b(HF_TOKEN|LICENCE_ID)=`)

// watchChildren gathers the command lines of all processes below one, and the
// environments of those that it has started and handed no secrets, until stop is
// closed. It makes the file gate when it has seen one.
func watchChildren(pid int, gate string, stop <-chan struct{}) string {
	seen := map[string]bool{}
	own := ""
	for {
		select {
		case <-stop:
			var all []string
			for line := range seen {
				all = append(all, line)
			}
			slices.Sort(all)
			return strings.Join(all, "\n")
		default:
		}
		below := []int{pid}
		for i := 0; i < len(below); i++ {
			below = append(below, nodetest.Children(below[i])...)
			look := func(file string) string {
				data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(below[i]), file))
				return strings.ReplaceAll(string(data), "\x00", " ")
			}
			command := look("cmdline")
			seen[command] = true
			if i == 0 {
				own = command // its environment has them
			} else if environ := look("environ"); command != own && !handed.MatchString(environ) { // else it is about to become the command
				seen[environ] = true
				if strings.Contains(environ, "PLAIN=seen by steps") {
					_ = os.WriteFile(gate, nil, 0o600)
				}
			}
		}
	}
}
