#!/bin/sh
. /opt/readings/contract.sh

header=$(input header true)
table=$KEDGE_SCRATCH/table.csv
day=$KEDGE_SCRATCH/day.csv
said=$KEDGE_SCRATCH/said
job=
merged=0
rows=0

# Asked to stop: what is whole is kept, and the run says how far it came.
stop() {
    trap '' TERM
    kill "$job" 2> /dev/null || :
    cp "$table" out/artifacts/table-so-far.csv
    fail Stopped "stopped after $merged of $total days; artifacts/table-so-far.csv has those" 143
}

set -- in/files/days/*.jsonl
[ -e "$1" ] || fail ReadingsError "the folder has no file *.jsonl"
total=$#
: > "$table"
[ "$header" != true ] || echo '"time","channel","value"' > "$table"
trap stop TERM

for name; do
    # A shell runs its traps between programs, and at once while it waits: so jq goes to the background.
    jq --raw-output '[.time, .channel, .value] | @csv' "$name" > "$day" 2> "$said" &
    job=$!
    wait "$job" || fail ReadingsError "${name##*/}: $(cat "$said")"
    cat "$day" >> "$table"
    echo "${name##*/}" >> out/artifacts/days.txt
    rows=$((rows + $(wc -l < "$day")))
    merged=$((merged + 1))
    progress "$merged" "$total" "${name##*/}"
done

trap '' TERM
mv "$table" out/files/table.csv
echo "{\"rows\": $rows}" > out/data.json
