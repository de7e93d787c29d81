#!/bin/sh
. /opt/readings/contract.sh

channel=$(input channel)
limit=$(input limit null)
chosen=$KEDGE_SCRATCH/chosen.jsonl
said=$KEDGE_SCRATCH/said

jq --compact-output --arg channel "$channel" 'select(.channel == $channel)' \
    "$(file readings)" > "$chosen" 2> "$said" || fail ReadingsError "$(cat "$said")"
[ -s "$chosen" ] || fail ChannelError "there is no reading of \`$channel\`"

# An output that may be absent is written when there is something to write.
if [ "$limit" != null ]; then
    beyond=$KEDGE_SCRATCH/beyond.jsonl
    jq --compact-output --argjson limit "$limit" 'select(.value > $limit)' "$chosen" > "$beyond"
    [ ! -s "$beyond" ] || mv "$beyond" out/files/beyond.jsonl
fi

jq --slurp 'map(.value) | {count: length, smallest: min, largest: max, mean: (add / length)}' \
    "$chosen" > out/data.json
