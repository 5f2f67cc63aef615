: "${OUT:=@OUT@}" "${REPRISE:=reprise}"
case $OUT in /*) ;; *) OUT=$PWD/$OUT ;; esac
case $REPRISE in /*) ;; */*) REPRISE=$PWD/$REPRISE ;; esac
case ${REPRISE_TRACES-} in '' | /*) ;; *) REPRISE_TRACES=$PWD/$REPRISE_TRACES ;; esac
export OUT REPRISE
nl='
'

# begin FOLDER ID [FOLDER …]: makes the folder of a step. The steps of the
# other folders must have succeeded.
begin() {
	step=$OUT/steps/$1 id=$2
	shift 2
	for needed; do
		[ -e "$OUT/steps/$needed/done" ] || { echo "$id: not run: $needed did not succeed" >&2; return 1; }
	done
	rm -rf "$step" && mkdir -p "$step/work" && echo "$id" >&2
}

# needs LIST: all steps of a list must have succeeded.
needs() {
	while read -r needed; do
		[ -e "$OUT/steps/$needed/done" ] || { echo "$id: not run: $needed did not succeed" >&2; return 1; }
	done <"$OUT/needs-$1"
}

# inputs FOLDER …: copies the outputs of earlier steps.
inputs() {
	for from; do
		cp -R "$OUT/steps/$from/outputs/." "$step/work" || return 1
	done
}

# device VARIABLE WHAT: a disk that the step may overwrite has to be named.
device() {
	eval "named=\${$1-}"
	[ -n "$named" ] || { echo "$id: not run: name in $1 what it may overwrite: $2" >&2; return 1; }
}

# secret VARIABLE: a secret that the step needs has to be in the environment.
secret() {
	eval "named=\${$1-}"
	[ -n "$named" ] || { echo "$id: not run: set and export $1, a secret that it needs" >&2; return 1; }
}

# alone HOW: waits until the step may run; x is alone, s beside others that are
# not alone.
alone() {
	exec 9>>"$OUT/alone" && flock "-$1" 9
}

# run SECONDS COMMAND …: runs a step's command in its folder.
run() {
	limit=$1
	shift
	if [ "$limit" != 0 ] && command -v timeout >/dev/null; then
		set -- timeout -k 5 "$limit" "$@"
	fi
	(cd "$step/work" && exec "$@") </dev/null >"$step/stdout.log" 2>"$step/stderr.log" 9>&- &
	pid=$!
	trap 'kill "$pid"; wait "$pid"; exit 130' HUP INT TERM
	wait "$pid"
	status=$?
	trap - HUP INT TERM
	kill -s KILL -- "-$pid" 2>/dev/null # what it left running
	case $status in
	0) return 0 ;;
	124) echo "$id: failed: still running after $limit s" >&2 ;;
	*) echo "$id: failed: exit status $status" >&2 ;;
	esac
	echo "$id: $step/stderr.log ends:" >&2
	tail -n 5 "$step/stderr.log" >&2
	return 1
}

# finish [WHAT]: takes in what the step has left.
finish() {
	if [ $# -gt 0 ]; then
		"$REPRISE" extract "$step" "$1" || { echo "$id: failed" >&2; return 1; }
	fi
	: >"$step/done"
}

# collect: joins the observations of the steps whose folders it reads.
collect() {
	cd "$OUT" || return 1
	missing=0
	while read -r one; do
		if [ ! -e "steps/$one/done" ]; then
			missing=$((missing + 1))
		elif [ -e "steps/$one/observations.jsonl" ]; then
			echo "steps/$one/observations.jsonl" >&3
		fi
	done 3>.files
	xargs cat <.files >.observations && rm .files && mv .observations observations.jsonl || return 1
	if [ "$missing" -gt 0 ]; then
		echo "$missing steps have not succeeded; the observations of the others are in $OUT/observations.jsonl" >&2
		return 1
	fi
	echo "observations: $OUT/observations.jsonl" >&2
}
