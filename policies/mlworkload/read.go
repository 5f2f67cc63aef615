package mlworkload

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Role is what a column of a job log means.
type Role string

// The roles of columns. A time is an instant: a number of seconds, or a date
// and time with or without a zone. A span is a number of seconds.
const (
	Submit    Role = "submit"    // instant
	Start     Role = "start"     // instant
	End       Role = "end"       // instant
	Duration  Role = "duration"  // span, from start to end
	Wait      Role = "wait"      // span, from submission to start
	GPUs      Role = "gpus"      // GPUs of an instance, a whole number
	Share     Role = "share"     // part of each GPU, 0 to 1
	Instances Role = "instances" // each with so many GPUs; 1 where absent
	VC        Role = "vc"
	User      Role = "user"
	State     Role = "state"
)

// Roles lists the roles that a column may have.
var Roles = []Role{Submit, Start, End, Duration, Wait, GPUs, Share, Instances, VC, User, State}

// format is a kind of job log in lines of comma-separated values.
type format struct {
	name    string
	header  []string // columns of logs without a line of names
	columns map[Role]string
	// known are columns that together tell the format.
	known []string
	// gpuPercent says that GPUs are given in hundredths, as Alibaba's PAI
	// does, and share in thousandths, as its openb does.
	gpuPercent, shareMilli bool
}

// formats in the order in which they are tried. csv is one's own: a header
// with the names of the roles, of which only submit is needed.
var formats = []format{
	{name: "philly", known: []string{"timestamp", "duration", "num_gpus", "cluster"},
		columns: map[Role]string{Submit: "timestamp", Duration: "duration", GPUs: "num_gpus", VC: "cluster"}},
	{name: "openb", known: []string{"creation_time", "deletion_time", "scheduled_time", "num_gpu", "gpu_milli"}, shareMilli: true,
		columns: map[Role]string{Submit: "creation_time", Start: "scheduled_time", End: "deletion_time", GPUs: "num_gpu", Share: "gpu_milli", State: "pod_phase"}},
	{name: "azure-llm", known: []string{"TIMESTAMP", "ContextTokens", "GeneratedTokens"},
		columns: map[Role]string{Submit: "TIMESTAMP"}},
	{name: "helios", known: []string{"job_id", "gpu_num", "submit_time", "vc"},
		columns: map[Role]string{Submit: "submit_time", Start: "start_time", End: "end_time", Duration: "duration", Wait: "queue", GPUs: "gpu_num", VC: "vc", User: "user", State: "state"}},
	{name: "acme", known: []string{"job_id", "gpu_num", "submit_time", "type"},
		columns: map[Role]string{Submit: "submit_time", Start: "start_time", End: "end_time", Duration: "duration", Wait: "queue", GPUs: "gpu_num", User: "user", State: "state"}},
	{name: "pai", known: []string{"job_name", "inst_num", "plan_gpu", "start_time"}, gpuPercent: true,
		header:  []string{"job_name", "task_name", "inst_num", "status", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu", "gpu_type"},
		columns: map[Role]string{Submit: "start_time", Start: "start_time", End: "end_time", GPUs: "plan_gpu", Instances: "inst_num", State: "status"}},
	{name: "csv", known: []string{"submit"}, columns: own},
}

var own = func() map[Role]string {
	c := map[Role]string{}
	for _, r := range Roles {
		c[r] = string(r)
	}
	return c
}()

// Formats names the formats of job logs that can be read.
func Formats() []string {
	names := []string{"swf"}
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Options are what a log leaves open.
type Options struct {
	// Format is one of Formats; the content tells where it is empty.
	Format string
	// Zone is that of times that carry none; they are read as UTC if it is nil.
	Zone *time.Location
	// Columns names the columns of a csv log that are not called as their role.
	Columns map[Role]string
}

// ParseColumns reads a list such as submit=created and duration=run_s.
func ParseColumns(list []string) (map[Role]string, error) {
	columns := map[Role]string{}
	for _, part := range list {
		role, name, ok := strings.Cut(part, "=")
		if !ok || !slices.Contains(Roles, Role(role)) {
			return nil, fmt.Errorf("columns %q: want ROLE=COLUMN with a role of %s", part, roleList())
		}
		columns[Role(role)] = name
	}
	return columns, nil
}

func roleList() string {
	var names []string
	for _, r := range Roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// FormatError says where a log is not what its format wants.
type FormatError struct {
	Name string // the file's name
	Line int    // from 1; 0 where no line is to blame
	Msg  string
}

func (e *FormatError) Error() string {
	if e.Line == 0 {
		return e.Name + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.Msg)
}

// Open reads the job log at path, compressed by gzip or not.
func Open(path string, o Options) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, path, o)
}

// peek is how much of a log is looked at to tell its format.
const peek = 64 << 10

// Read reads a job log; name is for errors. A field that is missing is unknown,
// one that is there and wrong is a *FormatError. Rows without a submission, and
// those that end before they begin, are dropped and counted.
func Read(r io.Reader, name string, o Options) (*Log, error) {
	in := bufio.NewReaderSize(r, peek)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &FormatError{Name: name, Msg: err.Error()}
		}
		in = bufio.NewReaderSize(z, peek)
	}
	head, err := in.Peek(peek)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &FormatError{Name: name, Msg: err.Error()}
	}
	if len(bytes.TrimSpace(head)) == 0 {
		return nil, &FormatError{Name: name, Msg: "the log is empty"}
	}
	if o.Format == "swf" || o.Format == "" && isSWF(head) {
		return readSWF(in, name, o)
	}
	return readCSV(in, name, o)
}

// formatOf finds the format of a log by its first line, and says whether that
// line is one of names.
func formatOf(first []string, o Options) (f format, named bool, err error) {
	has := func(names []string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(first, n) })
	}
	for _, f := range formats {
		if o.Format != "" && o.Format != f.name || o.Format == "" && f.name == "csv" && len(o.Columns) == 0 && !has(f.known) {
			continue
		}
		if f.name == "csv" {
			f.columns = map[Role]string{}
			for role, column := range own {
				f.columns[role] = column
			}
			for role, column := range o.Columns {
				if !slices.Contains(first, column) {
					return f, true, fmt.Errorf("there is no column %q for %s: the first line has %s", column, role, strings.Join(first, ", "))
				}
				f.columns[role] = column
			}
			if !slices.Contains(first, f.columns[Submit]) {
				return f, true, fmt.Errorf("no column %q: the first line of a csv log names its columns (%s), of which submit is needed", f.columns[Submit], roleList())
			}
			return f, true, nil
		}
		switch {
		case len(o.Columns) > 0:
			if o.Format != "" {
				return f, false, fmt.Errorf("columns can be named for format csv only, not %s", f.name)
			}
		case has(f.known):
			return f, true, nil
		case o.Format != "" && f.header == nil:
			return f, true, fmt.Errorf("format %s wants the columns %s: the first line has %s", f.name, strings.Join(f.known, ", "), strings.Join(first, ", "))
		case o.Format != "":
			return f, false, nil
		}
	}
	if o.Format != "" {
		return f, false, fmt.Errorf("there is no format %q: want one of %s", o.Format, strings.Join(Formats(), ", "))
	}
	return f, false, fmt.Errorf("the columns %s are of no known format (%s): name the columns by their roles (%s), or say which is which", strings.Join(first, ", "), strings.Join(Formats(), ", "), roleList())
}

// row reads fields of one line of a log.
type row struct {
	name  string
	line  int
	zone  *time.Location
	zoned bool // a time with a zone was seen
	dated bool // a time that is no plain number was seen
	plain bool // a time that is a plain number was seen
}

func (r *row) fail(format string, args ...any) error {
	return &FormatError{Name: r.name, Line: r.line, Msg: fmt.Sprintf(format, args...)}
}

func missing(text string) bool {
	switch strings.ToLower(text) {
	case "", "na", "nan", "none", "null", "-":
		return true
	}
	return false
}

// number reads a span or count, NaN if it is missing.
func (r *row) number(role Role, text string) (float64, error) {
	if missing(text) {
		return math.NaN(), nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(x, 0) || math.Abs(x) > maxTime {
		return 0, r.fail("%s %q: want a number", role, text)
	}
	return x, nil
}

// maxTime is the largest time in seconds; what is above it is a mistake, such
// as milliseconds; a time.Duration holds twice as much.
const maxTime = 4e9

var layouts = []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"}
var zonedLayouts = []string{"2006-01-02 15:04:05Z07:00", time.RFC3339, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST"}

// instant reads a time as seconds from 1970, or the plain number of seconds.
func (r *row) instant(role Role, text string) (float64, error) {
	if missing(text) {
		return math.NaN(), nil
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsInf(x, 0) || math.IsNaN(x) || math.Abs(x) > maxTime {
			return 0, r.fail("%s %q: want a number of seconds; divide milliseconds by 1000", role, text)
		}
		if r.dated {
			return 0, r.fail("%s %q is a number, where other times of the log are dates", role, text)
		}
		r.plain = true
		return x, nil
	}
	t, err := time.Time{}, errors.New("")
	for _, layout := range layouts {
		if t, err = time.ParseInLocation(layout, text, r.zone); err == nil {
			break
		}
	}
	if err != nil {
		for _, layout := range zonedLayouts {
			if t, err = time.Parse(layout, text); err == nil {
				r.zoned = true
				break
			}
		}
	}
	if err != nil {
		return 0, r.fail("%s %q: want seconds, or a time such as 2017-10-09 07:01:55 or 2023-03-01T00:18:22+08:00", role, text)
	}
	x := float64(t.Unix()) + float64(t.Nanosecond())/1e9
	if math.Abs(x) > maxTime {
		return 0, r.fail("%s %q: want a year from 1970 on", role, text)
	}
	if r.plain {
		return 0, r.fail("%s %q is a date, where other times of the log are numbers", role, text)
	}
	r.dated = true
	return x, nil
}

func readCSV(in io.Reader, name string, o Options) (*Log, error) {
	read := csv.NewReader(in)
	read.FieldsPerRecord = -1
	read.TrimLeadingSpace = true
	read.Comment = '#'
	broken := func(err error) error {
		if p, is := errors.AsType[*csv.ParseError](err); is {
			return &FormatError{Name: name, Line: p.Line, Msg: p.Err.Error()}
		}
		return &FormatError{Name: name, Msg: err.Error()}
	}
	first, err := read.Read()
	if err != nil {
		return nil, broken(err)
	}
	first[0] = strings.TrimPrefix(first[0], "\ufeff")
	for i := range first {
		first[i] = strings.TrimSpace(first[i])
	}
	f, named, err := formatOf(first, o)
	if err != nil {
		return nil, &FormatError{Name: name, Line: 1, Msg: err.Error()}
	}
	header := f.header
	if named {
		header = first
	}
	at := map[Role]int{}
	for role, column := range f.columns {
		if i := slices.Index(header, column); i >= 0 {
			at[role] = i
		}
	}
	l := &Log{Name: name, Format: f.name, Dropped: map[string]int{}, Zoned: o.Zone != nil}
	r := row{name: name, zone: o.Zone}
	if r.zone == nil {
		r.zone = time.UTC
	}
	var ends []float64
	add := func(fields []string) error {
		r.line, _ = read.FieldPos(0)
		if len(fields) != len(header) {
			return r.fail("%d fields, where the first line names %d columns", len(fields), len(header))
		}
		j, end, reason, err := f.job(&r, fields, at)
		if err != nil {
			return err
		}
		if reason != "" {
			l.Dropped[reason]++
			return nil
		}
		l.Jobs = append(l.Jobs, j)
		ends = append(ends, end)
		return nil
	}
	if !named {
		if err := add(first); err != nil {
			return nil, err
		}
	}
	for {
		fields, err := read.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, broken(err)
		}
		if err := add(fields); err != nil {
			return nil, err
		}
	}
	l.Zoned = l.Zoned || r.zoned
	l.censor(ends)
	origin := time.Time{}
	if r.dated {
		origin = time.Unix(0, 0).In(r.zone)
	}
	l.finish(origin)
	return l, nil
}

// job reads a line. Reason says why it is none.
func (f *format) job(r *row, fields []string, at map[Role]int) (j Job, end float64, reason string, err error) {
	text := func(role Role) string {
		if i, ok := at[role]; ok {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	value := map[Role]float64{}
	for _, role := range []Role{Submit, Start, End} {
		if value[role], err = r.instant(role, text(role)); err != nil {
			return j, 0, "", err
		}
	}
	for _, role := range []Role{Duration, Wait, GPUs, Share, Instances} {
		if value[role], err = r.number(role, text(role)); err != nil {
			return j, 0, "", err
		}
	}
	if f.shareMilli {
		value[Share] /= 1000
	}
	if f.gpuPercent {
		value[GPUs] /= 100
		if g := value[GPUs]; g > 0 && g < 1 {
			value[GPUs], value[Share] = 1, g
		}
	}
	if n := value[Instances]; !math.IsNaN(n) {
		value[GPUs] *= n
	}
	if math.IsNaN(value[Share]) || value[Share] <= 0 {
		value[Share] = 1
	}
	j = Job{Submit: value[Submit], Wait: value[Wait], Duration: value[Duration], Residence: value[End] - value[Submit],
		GPUs: value[GPUs], Share: value[Share], VC: text(VC), User: text(User), State: text(State)}
	if math.IsNaN(j.Wait) {
		j.Wait = value[Start] - value[Submit]
	}
	if math.IsNaN(j.Duration) {
		j.Duration = value[End] - value[Start]
	}
	if math.IsNaN(j.Residence) {
		j.Residence = j.Wait + j.Duration
	}
	switch {
	case math.IsNaN(j.Submit):
		reason = "no submission"
	case j.Duration < 0 || j.Residence < 0:
		reason = "ends before it begins"
	case j.Wait < 0:
		reason = "starts before it is submitted"
	case j.GPUs < 0 || j.Share > 1:
		reason = "impossible number of GPUs"
	}
	return j, value[End], reason, nil
}

// censor marks the jobs that were there when the log ended: those whose state
// says so, and those that end at the log's last instant if they are several,
// since so many jobs do not end at once.
func (l *Log) censor(ends []float64) {
	last, several := math.Inf(-1), false
	for _, e := range ends {
		if e > last {
			last, several = e, false
		} else if e == last {
			several = true
		}
	}
	for i := range l.Jobs {
		j := &l.Jobs[i]
		running := strings.EqualFold(j.State, "RUNNING")
		j.Censored = several && ends[i] == last || running && math.IsNaN(ends[i])
	}
}
