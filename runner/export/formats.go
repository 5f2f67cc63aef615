package export

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"reprise/runner"
)

// sh runs one step after the other.
func (x *script) sh() error {
	lines := make([]string, len(x.plan.Steps))
	for i, s := range x.plan.Steps {
		var err error
		if lines[i], err = x.unless(s); err != nil {
			return err
		}
	}
	fmt.Fprintln(x, "#!/bin/sh")
	x.head("Run it with sh. The steps run one after the other.")
	fmt.Fprintf(x, "%s\nmkdir -p \"$OUT/steps\" || exit 1\n", x.lib())
	x.folderLists()
	fmt.Fprintf(x, "\n%s\n\n", strings.Join(lines, "\n\n"))
	x.collect()
	return nil
}

// byWave gives the steps that may run side by side, wave after wave.
func (x *script) byWave(before func(a, b *runner.Step) int) [][]*runner.Step {
	sorted := slices.Clone(x.plan.Steps)
	order := func(a, b *runner.Step) int {
		return cmp.Or(cmp.Compare(x.waves[a.ID], x.waves[b.ID]), before(a, b))
	}
	slices.SortStableFunc(sorted, order)
	var groups [][]*runner.Step
	for i, s := range sorted {
		if i == 0 || order(sorted[i-1], s) != 0 {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s)
	}
	return groups
}

func exclusiveLast(a, b *runner.Step) int {
	switch {
	case a.Exclusive == b.Exclusive:
		return 0
	case a.Exclusive:
		return 1
	}
	return -1
}

// parallel gives GNU parallel a list of jobs for every wave.
func (x *script) parallel() error {
	groups := x.byWave(exclusiveLast)
	var waves strings.Builder
	for _, group := range groups {
		alone := ""
		if group[0].Exclusive {
			alone = " -j1"
		}
		fmt.Fprintf(&waves, "\nwave%s <<'EOF'\n", alone)
		for _, s := range group {
			line, err := x.unless(s)
			if err != nil {
				return err
			}
			fmt.Fprintf(&waves, "eval \"$lib\"; %s\n", line)
		}
		fmt.Fprintln(&waves, "EOF")
	}
	fmt.Fprintln(x, "#!/bin/sh")
	x.head("Run it with sh. GNU parallel runs the steps, those first that others need;",
		"exclusive steps run alone. JOBS is how many run at once (one for each core).")
	fmt.Fprintf(x, `parallel --version 2>/dev/null | grep -q GNU || { echo "needs GNU parallel" >&2; exit 1; }
lib=$(cat <<'LIB'
%sLIB
)
export lib SHELL=/bin/sh PARALLEL_SHELL=/bin/sh
eval "$lib"
mkdir -p "$OUT/steps" || exit 1
wave() { parallel ${JOBS:+-j "$JOBS"} "$@"; }
`, x.lib())
	x.folderLists()
	fmt.Fprintf(x, "%s\n", waves.String())
	x.collect()
	return nil
}

// slurm submits an array for the steps of each wave that are alike in what
// they ask for.
func (x *script) slurm() error {
	arguments := map[*runner.Step]string{}
	for _, s := range x.plan.Steps {
		arguments[s] = x.quoteAll(x.options.Slurm(s))
	}
	groups := x.byWave(func(a, b *runner.Step) int { return strings.Compare(arguments[a], arguments[b]) })
	var tasks, arrays strings.Builder
	n, wave := 0, 0
	for _, group := range groups {
		if w := x.waves[group[0].ID]; w != wave {
			wave = w
			fmt.Fprintln(&arrays, "after")
		}
		fmt.Fprintf(&arrays, "submit %d %d %s\n", n, len(group), arguments[group[0]])
		for _, s := range group {
			line, err := x.unless(s)
			if err != nil {
				return err
			}
			fmt.Fprintf(&tasks, "#%d %s\n", n, line)
			n++
		}
	}
	fmt.Fprintln(x, "#!/bin/sh")
	x.head("Run it with sh where sbatch is. It submits the steps as job arrays, each wave",
		"after the one that it needs, and a job that joins the observations. This file",
		"and OUT have to be on a file system that the cluster's machines share.",
		"Arguments are given to sbatch: sh FILE --partition=short; --wait waits for the end.")
	fmt.Fprintf(x, `%s
submit_all() {
%s}

# submit FIRST COUNT [ARGUMENT …]: submits steps as arrays that the cluster allows.
submit() {
	first=$1 left=$2
	shift 2
	while [ "$left" -gt 0 ]; do
		count=$left
		[ "$count" -le "$most" ] || count=$most
		job=$(sbatch --parsable --ntasks=1 --job-name=%s --array="0-$((count - 1))" ${before:+"--dependency=afterany$before"} \
			--output="$OUT/slurm.log" --open-mode=append "$@" $more --wrap="exec sh '$self' task $first") || exit 1
		jobs=$jobs:${job%%%%;*}
		first=$((first + count)) left=$((left - count))
	done
}

# after: what is submitted now waits for what has been.
after() { before=$jobs jobs=; }

case ${1-} in
task)
	self=$0
	eval "$(sed -n "/^#$(($2 + SLURM_ARRAY_TASK_ID)) /{s///;p;q;}" "$self")"
	exit
	;;
collect)
`, x.lib(), indent(arrays.String()), "reprise-"+x.out())
	x.collect()
	fmt.Fprint(x, `	exit
	;;
esac

case $0 in /*) self=$0 ;; *) self=$PWD/$0 ;; esac
case $self in *\'*) echo "$self: sbatch takes no path with a quote" >&2; exit 1 ;; esac
[ -e "$self" ] || { echo "run this as: sh FILE" >&2; exit 1; }
wait=
more=
for argument; do
	case $argument in --wait) wait=--wait ;; *) more="$more $argument" ;; esac
done
mkdir -p "$OUT/steps" || exit 1
`)
	x.folderLists()
	fmt.Fprintf(x, `most=$(scontrol show config | sed -n 's/^MaxArraySize *= *//p')
jobs= before=
submit_all
after
# shellcheck disable=SC2086
last=$(sbatch --parsable --ntasks=1 --job-name=%s "--dependency=afterany$before" --output="$OUT/slurm.log" --open-mode=append $more $wait --wrap="exec sh '$self' collect")
status=$?
echo "job ${last%%%%;*} joins the observations in $OUT/observations.jsonl; progress: $OUT/slurm.log" >&2
exit $status

# The steps:
%s`, "reprise-"+x.out(), tasks.String())
	return nil
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("\t" + line)
	}
	return b.String()
}

// makefile has a rule for every step.
func (x *script) makefile() error {
	exclusive := slices.ContainsFunc(x.plan.Steps, func(s *runner.Step) bool { return s.Exclusive })
	dollars := strings.NewReplacer("$", "$$")
	var rules strings.Builder
	for _, s := range x.plan.Steps {
		var parts []string
		switch {
		case exclusive && s.Exclusive:
			parts = append(parts, "alone x")
		case exclusive:
			parts = append(parts, "alone s")
		}
		line, err := x.line(s, parts...)
		if err != nil {
			return err
		}
		var needs strings.Builder
		for _, in := range s.Inputs {
			needs.WriteString(" " + x.stamp(x.folders[in]))
		}
		if list := x.needs(s); list >= 0 {
			fmt.Fprintf(&needs, " $(needs_%d)", list)
		}
		fmt.Fprintf(&rules, "\n%s:%s\n\t@eval \"$$lib\"; %s\n", x.stamp(x.folders[s.ID]), needs.String(), dollars.Replace(line))
	}
	x.head("Run it with make -f FILE -k -j N. Exclusive steps run alone.", "OUT has no blanks in it.")
	fmt.Fprintf(x, "OUT ?= %s\nREPRISE ?= reprise\nexport OUT REPRISE\nSHELL = /bin/sh\n\ndefine lib\n%s\nendef\nexport lib\n\n", x.out(), dollars.Replace(x.lib()))
	for n, list := range x.lists {
		fmt.Fprintf(x, "needs_%d =", n)
		for _, f := range list {
			fmt.Fprintf(x, " %s", x.stamp(f))
		}
		fmt.Fprintln(x)
	}
	fmt.Fprint(x, ".PHONY: all\nall: $(OUT)/observations.jsonl\n")
	fmt.Fprint(x, rules.String())
	fmt.Fprint(x, "\n$(OUT)/observations.jsonl:")
	for _, s := range x.plan.Steps {
		fmt.Fprintf(x, " %s", x.stamp(x.folders[s.ID]))
	}
	fmt.Fprint(x, "\n\t@: >$(OUT)/list\n")
	for chunk := range slices.Chunk(x.plan.Steps, 500) {
		_, _ = x.WriteString("\t@printf '%s\\n'")
		for _, s := range chunk {
			fmt.Fprintf(x, " %s", x.folders[s.ID])
		}
		fmt.Fprint(x, " >>$(OUT)/list\n")
	}
	fmt.Fprint(x, "\t@eval \"$$lib\"; collect <$(OUT)/list; status=$$?; rm $(OUT)/list; exit $$status\n")
	return nil
}

// stamp is the file that says that a step has succeeded.
func (x *script) stamp(folder string) string { return "$(OUT)/steps/" + folder + "/done" }
