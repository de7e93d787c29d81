#!/bin/sh
. /opt/readings/contract.sh

header=$(input header true)
days=$KEDGE_SCRATCH/days
said=$KEDGE_SCRATCH/said
job=

table() {
    [ "$header" != true ] || echo '"time","channel","value"'
    [ ! -e "$1" ] || cat "$@"
}

# Asked to stop: what is whole is kept, and the run says how far it came.
stop() {
    trap '' TERM
    kill "$job" 2> /dev/null || :
    table "$days"/* > out/artifacts/table-so-far.csv
    fail Stopped "stopped after $(ls "$days" | wc -l) of $total days" 143
}

set -- in/files/days/*.jsonl
[ -e "$1" ] || fail ReadingsError "the folder has no file *.jsonl"
total=$#
step=0
mkdir "$days"
trap stop TERM

for name; do
    # A shell runs its traps between programs, and at once while it waits: so jq goes to the background.
    jq --raw-output '[.time, .channel, .value] | @csv' "$name" > "$KEDGE_SCRATCH/day" 2> "$said" &
    job=$!
    wait "$job" || fail ReadingsError "${name##*/}: $(cat "$said")"
    # Signals go to the programs that a script calls, too. A day is renamed as a whole or not at all.
    mv "$KEDGE_SCRATCH/day" "$days/${name##*/}"
    step=$((step + 1))
    progress "$step" "$total" "${name##*/}"
done

ls "$days" > out/artifacts/days.txt
table "$days"/* > out/files/table.csv
echo "{\"rows\": $(cat "$days"/* | wc -l)}" > out/data.json
