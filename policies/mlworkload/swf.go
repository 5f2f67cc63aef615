package mlworkload

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// swfFields are the columns of the Standard Workload Format, version 2.2
// (Chapin et al., JSSPP 1999).
const swfFields = 18

// isSWF says whether a log begins with a comment of the format, or with a line
// of its numbers.
func isSWF(head []byte) bool {
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if line[0] == ';' {
			return true
		}
		fields := bytes.Fields(line)
		if len(fields) != swfFields {
			return false
		}
		_, err := strconv.ParseFloat(string(fields[0]), 64)
		return err == nil
	}
	return false
}

// readSWF reads the Standard Workload Format. A value of -1 is unknown; the
// number of processors is the number asked for, or else that given.
func readSWF(in io.Reader, name string, o Options) (*Log, error) {
	l := &Log{Name: name, Format: "swf", Dropped: map[string]int{}, Zoned: o.Zone != nil}
	zone := o.Zone
	if zone == nil {
		zone = time.UTC
	}
	origin := time.Time{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	r := row{name: name}
	for lines.Scan() {
		r.line++
		text := strings.TrimSpace(lines.Text())
		if comment, is := strings.CutPrefix(text, ";"); is {
			key, value, _ := strings.Cut(comment, ":")
			value = strings.TrimSpace(value)
			switch strings.TrimSpace(key) {
			case "UnixStartTime":
				unix, err := strconv.ParseInt(value, 10, 64)
				if err != nil || unix < 0 || unix > maxTime {
					return nil, r.fail("UnixStartTime %q: want seconds from 1970", value)
				}
				if unix > 0 {
					origin = time.Unix(unix, 0).In(zone)
				}
			case "TimeZoneString":
				if place, err := time.LoadLocation(value); err == nil && o.Zone == nil {
					zone, l.Zoned = place, true
					origin = origin.In(zone)
				}
			}
			continue
		}
		if text == "" {
			continue
		}
		fields := strings.Fields(text)
		if len(fields) != swfFields {
			return nil, r.fail("%d fields: a line of the Standard Workload Format has %d", len(fields), swfFields)
		}
		var v [swfFields]float64
		for i, f := range fields {
			x, err := strconv.ParseFloat(f, 64)
			if err != nil || math.IsNaN(x) || math.Abs(x) > 1e15 {
				return nil, r.fail("field %d is %q: want a number", i+1, f)
			}
			v[i] = x
			if x < 0 {
				v[i] = math.NaN()
			}
		}
		if v[1] > maxTime {
			return nil, r.fail("submitted %s s after the start: want at most %g", fields[1], maxTime)
		}
		if math.IsNaN(v[1]) {
			l.Dropped["no submission"]++
			continue
		}
		j := Job{Submit: v[1], Wait: v[2], Duration: v[3], Residence: v[2] + v[3], GPUs: v[7], Share: 1, State: swfStates[fields[10]]}
		if math.IsNaN(j.GPUs) {
			j.GPUs = v[4]
		}
		if !math.IsNaN(v[11]) {
			j.User = fields[11]
		}
		if !math.IsNaN(v[14]) {
			j.VC = fields[14]
		}
		l.Jobs = append(l.Jobs, j)
	}
	if err := lines.Err(); err != nil {
		return nil, &FormatError{Name: name, Line: r.line + 1, Msg: err.Error()}
	}
	l.finish(origin)
	return l, nil
}

var swfStates = map[string]string{"0": "FAILED", "1": "COMPLETED", "5": "CANCELLED"}

// WriteSWF writes a log in the Standard Workload Format, whole seconds, with
// comments that tell what it is.
func (l *Log) WriteSWF(w io.Writer, about ...string) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "; Version: 2.2\n; MaxJobs: %d\n; MaxRecords: %d\n", len(l.Jobs), len(l.Jobs))
	if !l.Origin.IsZero() {
		fmt.Fprintf(b, "; UnixStartTime: %d\n", l.Origin.Unix())
		if zone := l.Origin.Location().String(); l.Zoned && strings.Contains(zone, "/") {
			fmt.Fprintf(b, "; TimeZoneString: %s\n", zone)
		}
	}
	for _, a := range about {
		fmt.Fprintf(b, "; Note: %s\n", strings.ReplaceAll(a, "\n", " "))
	}
	groups := map[string]int{}
	users := map[string]int{}
	for i, j := range l.Jobs {
		fmt.Fprintf(b, "%d %s %s %s %s -1 -1 %s -1 -1 %s %d -1 -1 %d -1 -1 -1\n", i+1, whole(j.Submit), whole(j.Wait), whole(j.Duration),
			whole(j.GPUs), whole(j.GPUs), swfState(j.State), number(users, j.User), number(groups, j.VC))
	}
	return b.Flush()
}

func swfState(state string) string {
	for code, s := range swfStates {
		if s == strings.ToUpper(state) {
			return code
		}
	}
	return "-1"
}

// number gives names numbers from 1 in the order in which they come; -1 for
// none.
func number(known map[string]int, name string) int {
	if name == "" {
		return -1
	}
	if _, is := known[name]; !is {
		known[name] = len(known) + 1
	}
	return known[name]
}

func whole(x float64) string {
	if math.IsNaN(x) {
		return "-1"
	}
	return strconv.FormatFloat(math.Round(x), 'f', 0, 64)
}

// WriteCSV writes a log as csv with the names of the roles as its header. Times
// are seconds from the first submission.
func (l *Log) WriteCSV(w io.Writer, about ...string) error {
	b := bufio.NewWriter(w)
	for _, a := range about {
		fmt.Fprintf(b, "# %s\n", strings.ReplaceAll(a, "\n", " "))
	}
	fmt.Fprintln(b, "submit,wait,duration,gpus,share,vc,user,state")
	for _, j := range l.Jobs {
		fmt.Fprintf(b, "%s,%s,%s,%s,%s,%s,%s,%s\n", text(j.Submit), text(j.Wait), text(j.Duration), text(j.GPUs), text(j.Share), quote(j.VC), quote(j.User), quote(j.State))
	}
	return b.Flush()
}

func text(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func quote(s string) string {
	if strings.ContainsAny(s, "\",\n\r") || strings.TrimSpace(s) != s || strings.HasPrefix(s, "#") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
