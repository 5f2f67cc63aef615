package public

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// LockName is the file, in the folder of traces, that keeps the digests of sets
// for which none is published: a line "sha256 size name url" each.
const LockName = "fetched.lock"

// Client downloads sets into a folder.
type Client struct {
	HTTP *http.Client
	Dir  string
	// Wait waits before a connection that broke is made again. Its error ends
	// the download.
	Wait func(context.Context, time.Duration) error
	// Tries is how often in succession a connection may break without having
	// brought anything.
	Tries int
	// Progress, if not nil, is told what is there of a file, resumed parts
	// included, and its size, 0 if that is not known.
	Progress func(done, total int64)
}

// Outcome is what became of a set.
type Outcome struct {
	Path   string
	SHA256 string
	Size   int64
	// Present: the file was there before, whole, and was only checked.
	Present bool
	// Resumed is how many bytes an earlier download had left.
	Resumed int64
	// Trusted: no digest is published; this one was taken down at this first
	// download, and later ones are held to it.
	Trusted bool
}

// MismatchError says that a file is not what it should be.
type MismatchError struct {
	Name, Path, Got, Want string
	// Locked: Want is of an earlier download, not published.
	Locked bool
	// Kept: the file was there before and is left as it is. Otherwise it was
	// downloaded and is dropped.
	Kept bool
}

func (e *MismatchError) Error() string {
	origin := "published"
	if e.Locked {
		origin = "of the first download (" + LockName + ")"
	}
	what := "what was downloaded, and is dropped,"
	if e.Kept {
		what = e.Path + ", which is left as it is,"
	}
	return fmt.Sprintf("%s: %s has SHA-256 %s; the one %s is %s", e.Name, what, e.Got, origin, e.Want)
}

// Fetch downloads a set unless it is there. What a download that broke off has
// brought stays in FILE.part, and is gone on with. A file comes to its name only
// once its size and digest are right.
func (c *Client) Fetch(ctx context.Context, s Set) (Outcome, error) {
	o := Outcome{Path: filepath.Join(c.Dir, filepath.FromSlash(s.File)), SHA256: s.SHA256}
	locked := false
	if o.SHA256 == "" {
		var err error
		if o.SHA256, err = c.locked(s); err != nil {
			return o, err
		}
		locked = o.SHA256 != ""
		o.Trusted = !locked
	}
	mismatch := func(got string, kept bool) error {
		return &MismatchError{Name: s.Name, Path: o.Path, Got: got, Want: o.SHA256, Locked: locked, Kept: kept}
	}
	if size, got, err := digest(ctx, o.Path); err == nil {
		o.Present, o.Size = true, size
		if o.Trusted {
			o.SHA256 = got
			return o, c.lock(s, got, size)
		}
		if got != o.SHA256 {
			return o, mismatch(got, true)
		}
		return o, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return o, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o755); err != nil {
		return o, err
	}
	d := download{client: c, set: s, part: o.Path + ".part"}
	got, err := d.run(ctx)
	o.Size, o.Resumed = d.done, d.resumed
	if err != nil {
		return o, err
	}
	if o.SHA256 != "" && got != o.SHA256 {
		return o, errors.Join(mismatch(got, false), d.drop())
	}
	o.SHA256 = got
	if err := os.Rename(d.part, o.Path); err != nil {
		return o, err
	}
	if err := removeIfThere(d.tagFile()); err != nil {
		return o, err
	}
	if o.Trusted {
		return o, c.lock(s, got, o.Size)
	}
	return o, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func digest(ctx context.Context, path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, reader{ctx, f})
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// reader ends when its context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// locked finds the digest kept of a set; "" if there is none, or one of another
// address.
func (c *Client) locked(s Set) (string, error) {
	f, err := os.Open(filepath.Join(c.Dir, LockName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	found := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 4 || !digests.MatchString(fields[0]) {
			return "", fmt.Errorf("%s: line %d is not \"sha256 size name url\"", f.Name(), n)
		}
		if fields[2] == s.Name && fields[3] == s.URL {
			found = fields[0]
		}
	}
	return found, lines.Err()
}

func (c *Client) lock(s Set, digest string, size int64) error {
	f, err := os.OpenFile(filepath.Join(c.Dir, LockName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d %s %s\n", digest, size, s.Name, s.URL)
	return errors.Join(err, f.Sync(), f.Close())
}

// download is one file on its way.
type download struct {
	client *Client
	set    Set
	part   string

	file    *os.File
	hash    hash.Hash
	done    int64 // bytes in part and hash
	resumed int64
	total   int64  // 0 if not known
	tag     string // the server's name for this version of the file
}

func (d *download) tagFile() string { return d.part + ".etag" }

func (d *download) drop() error { return errors.Join(os.Remove(d.part), removeIfThere(d.tagFile())) }

// errWhole says that the server has no more than is there.
var errWhole = errors.New("whole")

// permanentError is one that trying again does not mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func (d *download) run(ctx context.Context) (string, error) {
	f, err := os.OpenFile(d.part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d.file, d.hash, d.total = f, sha256.New(), d.set.Size
	if d.done, err = io.Copy(d.hash, reader{ctx, f}); err != nil {
		return "", err
	}
	d.resumed = d.done
	tag, err := os.ReadFile(d.tagFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	d.tag = strings.TrimSpace(string(tag))
	if d.total > 0 && d.done > d.total {
		if err := d.restart(); err != nil {
			return "", err
		}
	}
	for failed := 0; d.total == 0 || d.done < d.total; {
		before := d.done
		err := d.attempt(ctx)
		if err == nil || errors.Is(err, errWhole) {
			break
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		var permanent permanentError
		if errors.As(err, &permanent) {
			return "", fmt.Errorf("%s: %w", d.set.Name, permanent.error)
		}
		if failed++; d.done > before {
			failed = 1
		}
		if failed >= max(d.client.Tries, 1) {
			if d.done == 0 {
				return "", errors.Join(fmt.Errorf("%s: %w", d.set.Name, err), d.drop())
			}
			return "", fmt.Errorf("%s: %w; %d bytes are kept in %s, and the same command goes on from there", d.set.Name, err, d.done, d.part)
		}
		if err := d.client.Wait(ctx, min(time.Second<<(failed-1), 30*time.Second)); err != nil {
			return "", err
		}
	}
	if d.set.Size > 0 && d.done != d.set.Size {
		return "", errors.Join(fmt.Errorf("%s: %d bytes came, %d were expected; they are dropped", d.set.Name, d.done, d.set.Size), d.drop())
	}
	return hex.EncodeToString(d.hash.Sum(nil)), f.Sync()
}

func (d *download) restart() error {
	d.done, d.resumed, d.tag = 0, 0, ""
	d.hash.Reset()
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return d.file.Truncate(0)
}

// attempt asks for what is missing and takes what comes.
func (d *download) attempt(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.set.URL, nil)
	if err != nil {
		return permanentError{err}
	}
	request.Header.Set("Accept-Encoding", "identity")
	if d.done > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
		if d.tag != "" {
			request.Header.Set("If-Range", d.tag)
		}
	}
	response, err := d.client.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	from, total := int64(0), response.ContentLength
	switch code := response.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusPartialContent && d.done > 0:
		if from, total, err = contentRange(response.Header.Get("Content-Range")); err != nil {
			return permanentError{err}
		}
	case code == http.StatusRequestedRangeNotSatisfiable && d.done > 0:
		// Either all is there, or the file has become shorter.
		if _, total, err := contentRange(response.Header.Get("Content-Range")); err == nil && total == d.done {
			return errWhole
		}
		if err := d.restart(); err != nil {
			return permanentError{err}
		}
		return errors.New(response.Status)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return fmt.Errorf("%s: %s", d.set.URL, response.Status)
	default:
		return permanentError{fmt.Errorf("%s: %s", d.set.URL, response.Status)}
	}
	if d.set.Size > 0 && total > 0 && total != d.set.Size {
		return permanentError{fmt.Errorf("%s has %d bytes, %d are expected", d.set.URL, total, d.set.Size)}
	}
	if from != d.done {
		if from != 0 {
			return permanentError{fmt.Errorf("%s: asked for bytes from %d on, got them from %d on", d.set.URL, d.done, from)}
		}
		// The server does not resume, or has another version of the file.
		if err := d.restart(); err != nil {
			return permanentError{err}
		}
	}
	if d.total == 0 {
		d.total = max(total, 0)
	}
	if tag := response.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") && tag != d.tag {
		d.tag = tag
		if err := os.WriteFile(d.tagFile(), []byte(tag+"\n"), 0o644); err != nil {
			return permanentError{err}
		}
	}
	return d.take(response.Body)
}

func (d *download) take(body io.Reader) error {
	buffer := make([]byte, 1<<17)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := d.file.Write(buffer[:n]); err != nil {
				return permanentError{err}
			}
			_, _ = d.hash.Write(buffer[:n]) // never fails
			d.done += int64(n)
			if d.client.Progress != nil {
				d.client.Progress(d.done, d.total)
			}
			if d.set.Size > 0 && d.done > d.set.Size {
				return errors.Join(permanentError{fmt.Errorf("%s sends more than the %d bytes expected", d.set.URL, d.set.Size)}, d.drop())
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// contentRange reads "bytes 5-9/10" or "bytes */10".
func contentRange(header string) (from, total int64, err error) {
	bad := fmt.Errorf("the server's Content-Range %q makes no sense", header)
	span, size, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	if !ok {
		return 0, 0, bad
	}
	if size != "*" {
		if total, err = strconv.ParseInt(size, 10, 64); err != nil {
			return 0, 0, bad
		}
	}
	if first, _, ok := strings.Cut(span, "-"); ok {
		if from, err = strconv.ParseInt(first, 10, 64); err != nil {
			return 0, 0, bad
		}
	} else if span != "*" {
		return 0, 0, bad
	}
	return from, total, nil
}
