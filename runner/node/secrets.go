package node

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"slices"
	"strings"
)

// secretWords are what the words of a variable's name end in that holds a
// secret: OS_PASSWORD, API_TOKEN, APIKEY, but not TOKENIZERS_PARALLELISM.
var secretWords = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "KEY", "CREDENTIAL"}

// IsSecret says that the value of an environment variable is a secret, going by
// its name.
func IsSecret(name string) bool {
	for word := range strings.SplitSeq(strings.ToUpper(name), "_") {
		word = strings.TrimSuffix(word, "S")
		if slices.ContainsFunc(secretWords, func(end string) bool { return strings.HasSuffix(word, end) }) {
			return true
		}
	}
	return false
}

// withoutSecrets leaves out of an environment what a step has no use for: it
// would not be there on another machine, and a step that prints its environment
// would publish it.
func withoutSecrets(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return IsSecret(name)
	})
}

// Secrets are values that nothing that is kept or shown may hold.
type Secrets []struct{ name, value string }

// SecretsOf gives the secrets of an environment that are long enough to be
// told from ordinary words.
func SecretsOf(env []string) Secrets {
	const least = 7
	var s Secrets
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if !IsSecret(name) {
			continue
		}
		// A key of many lines is shown line by line.
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= least && !strings.HasPrefix(line, "-----") {
				s = append(s, struct{ name, value string }{name, line})
			}
		}
	}
	// Longer ones first: one may hold another.
	slices.SortStableFunc(s, func(a, b struct{ name, value string }) int { return cmp.Compare(len(b.value), len(a.value)) })
	return s
}

// Hide puts [secret NAME] in the place of every secret in a text.
func (s Secrets) Hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret.value, "[secret "+secret.name+"]")
	}
	return text
}

// HideIn does so in a file; one without a secret is left as it is.
func (s Secrets) HideIn(path string) error {
	if len(s) == 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	holds, err := s.in(f)
	if err != nil || !holds {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(s.Hide(string(data))), 0o644) //nolint:gosec // as the store makes its logs
}

// in says whether a stream holds a secret. It is read in pieces: logs may be
// large, and hardly any holds one.
func (s Secrets) in(r io.Reader) (bool, error) {
	overlap := len(s[0].value)
	piece := make([]byte, 0, 1<<18+overlap)
	for {
		n, err := r.Read(piece[len(piece):cap(piece)])
		piece = piece[:len(piece)+n]
		for _, secret := range s {
			if bytes.Contains(piece, []byte(secret.value)) {
				return true, nil
			}
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		piece = append(piece[:0], piece[max(0, len(piece)-overlap):]...)
	}
}
