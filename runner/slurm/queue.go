package slurm

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// queued is a line of squeue: tasks of an array that are in the same state.
type queued struct {
	job    string
	tasks  []span
	state  string
	reason string
}

// span is the tasks first to last.
type span struct{ first, last int }

func (q queued) holds(task int) bool {
	return slices.ContainsFunc(q.tasks, func(s span) bool { return s.first <= task && task <= s.last })
}

// queueFormat is array job, its tasks, state, reason.
const queueFormat = "%F|%K|%T|%r"

// queue asks for the tasks of jobs that have not ended. A job that Slurm does
// not know any more has none.
func queue(ctx context.Context, jobs []string) ([]queued, error) {
	out, err := program(ctx, "squeue", "--noheader", "--format="+queueFormat, "--jobs="+strings.Join(jobs, ","))
	if err != nil {
		if strings.Contains(err.Error(), "Invalid job id") {
			return nil, nil
		}
		return nil, err
	}
	return parseQueue(out)
}

func parseQueue(out string) ([]queued, error) {
	var all []queued
	for line := range strings.Lines(out) {
		fields := strings.SplitN(strings.TrimSpace(line), "|", 4)
		if len(fields) != 4 {
			return nil, fmt.Errorf("squeue: %q has not the form %s", strings.TrimSpace(line), queueFormat)
		}
		tasks, err := parseTasks(fields[1])
		if err != nil {
			return nil, fmt.Errorf("squeue: %w", err)
		}
		all = append(all, queued{job: fields[0], tasks: tasks, state: fields[2], reason: fields[3]})
	}
	return all, nil
}

// parseTasks reads a list of tasks as Slurm writes it: 3-9,12,20-28:2%4, where
// :2 is a step and %4 how many may run at once.
func parseTasks(text string) ([]span, error) {
	text, _, _ = strings.Cut(strings.Trim(text, "[]"), "%")
	if text == "N/A" {
		return nil, nil
	}
	var list []span
	for part := range strings.SplitSeq(text, ",") {
		between, by, stepped := strings.Cut(part, ":")
		first, last, ranged := strings.Cut(between, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, bad := strconv.Atoi(last)
		if err != nil || bad != nil || from < 0 || to < from {
			return nil, fmt.Errorf("%q is no list of tasks", text)
		}
		if !stepped {
			list = append(list, span{from, to})
			continue
		}
		step, err := strconv.Atoi(by)
		if err != nil || step < 1 {
			return nil, fmt.Errorf("%q is no list of tasks", text)
		}
		for i := from; i <= to; i += step {
			list = append(list, span{i, i})
		}
	}
	return list, nil
}

// reasons puts Slurm's words for why a job waits in a person's, and says what
// can be done where waiting will not help.
var reasons = map[string]string{
	"Resources":                  "the machines it needs are busy",
	"Priority":                   "others come first",
	"None":                       "the scheduler has not looked at it yet",
	"BeginTime":                  "its time to begin has not come",
	"Dependency":                 "it waits for another job",
	"JobArrayTaskLimit":          "as many of its array run as may at once",
	"QOSMaxJobsPerUserLimit":     "you have as many jobs running as your QOS allows",
	"QOSMaxCpuPerUserLimit":      "you have as many cores in use as your QOS allows",
	"QOSGrpCpuLimit":             "your QOS has all its cores in use",
	"AssocMaxJobsLimit":          "your account has as many jobs running as it may",
	"AssocGrpCpuLimit":           "your account has all its cores in use",
	"AssocGrpCPUMinutesLimit":    "your account's hours are used up; ask for more, or name another with --on slurm:account=NAME",
	"ReqNodeNotAvail":            "the machines it needs are down or reserved; scontrol show reservation and sinfo -R say why",
	"Reservation":                "its reservation has not begun",
	"PartitionDown":              "the partition is down; sinfo lists others",
	"PartitionInactive":          "the partition is inactive; sinfo lists others",
	"PartitionTimeLimit":         "its time limit is longer than the partition allows, so it will never start; choose another with --on slurm:partition=NAME",
	"PartitionConfig":            "it asks for more than the partition allows, so it will never start; scontrol show partition says what that is, --on slurm:partition=NAME chooses another",
	"PartitionNodeLimit":         "it asks for more machines than the partition gives, so it will never start",
	"BadConstraints":             "no machine satisfies what it asks for, so it will never start; scontrol show job says what that is",
	"JobHeldUser":                "it is held; scontrol release lets it go",
	"JobHeldAdmin":               "an administrator holds it",
	"Licenses":                   "it waits for a licence",
	"InvalidAccount":             "the account is invalid, so it will never start",
	"InvalidQOS":                 "the QOS is invalid, so it will never start",
	"DependencyNeverSatisfied":   "what it depends on will never happen",
	"NodeDown":                   "a machine it needs is down",
	"MaxMemPerLimit":             "it asks for more memory than may be asked for, so it will never start",
	"QOSMaxWallDurationPerJob":   "its time limit is longer than the QOS allows, so it will never start",
	"AssocMaxWallDurationPerJob": "its time limit is longer than the account may ask for, so it will never start",
}

// explain says why a job waits.
func explain(reason string) string {
	// Details may follow: (ReqNodeNotAvail, UnavailableNodes:n1).
	word, _, _ := strings.Cut(strings.Trim(reason, "()"), ",")
	reason = strings.Trim(reason, "()")
	if words, known := reasons[word]; known {
		return reason + ": " + words
	}
	return reason
}

// fate asks how a task ended that left no word of its own: by the accounting
// where there is one, or by what the controller still remembers.
func fate(ctx context.Context, id string) (state, host string) {
	if out, err := program(ctx, "sacct", "--noheader", "--parsable2", "--allocations", "--format=State,NodeList", "--jobs="+id); err == nil {
		if state, host, ok := strings.Cut(strings.TrimSpace(out), "|"); ok && state != "" {
			state, _, _ = strings.Cut(state, " ") // CANCELLED by 1000
			return state, host
		}
	}
	out, err := program(ctx, "scontrol", "--oneliner", "show", "job", id)
	if err != nil {
		return "", ""
	}
	for field := range strings.FieldsSeq(out) {
		if value, ok := strings.CutPrefix(field, "JobState="); ok {
			state = value
		}
		if value, ok := strings.CutPrefix(field, "NodeList="); ok && value != "(null)" {
			host = value
		}
	}
	return state, host
}
