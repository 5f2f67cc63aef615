#!/bin/sh
# Records the runs that the tests of this folder read: builds reprise, runs
# each artifact here, and keeps its event log, with the folder of the records
# replaced. A recording of another machine and day changes the goldens.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/reprise" reprise
for artifact in sample again failed-step failed-claim cancelled no-data; do
	set +e
	if [ $artifact = cancelled ]; then
		"$work/reprise" run ./$artifact --headless --store "$work/$artifact" &
		while ! grep -qs warming "$work"/cancelled/runs/*/attempts/*/stderr.log; do sleep 0.1; done
		kill -INT $!
		wait $!
	else
		"$work/reprise" run "./$(echo $artifact | sed s/again/sample/)" --headless --store "$work/$artifact"
	fi
	echo "$artifact ended with $?"
	set -e
	mkdir -p $artifact
	for log in "$work/$artifact"/runs/*/events.jsonl; do
		sed "s|$work/$artifact|/var/lib/reprise|g" "$log" >$artifact/events.jsonl
	done
done
rm -rf cancelled/attempts
(cd "$work"/cancelled/runs/*/ && find attempts -name stderr.log) | while read -r log; do
	mkdir -p "cancelled/$(dirname "$log")"
	cp "$work"/cancelled/runs/*/"$log" "cancelled/$log"
done
