# What the scripts here begin with: the contract's files, by name.

set -eu
cd "${KEDGE_WORKSPACE:-/workspace}"

# The value of an input; the second word where it was not given.
input() {
    jq --raw-output --arg name "$1" --arg otherwise "${2-}" \
        'if .[$name] == null then $otherwise else .[$name] end' in/data.json
}

# The path of a File input, whatever its extension is.
file() {
    set -- "in/files/$1".*
    echo "$1"
}

# How far it is: a step, of how many, and words.
progress() {
    jq --null-input --compact-output --argjson step "$1" --argjson total "$2" --arg message "$3" \
        '$ARGS.named' >> out/progress.jsonl
}

# Says why, with a type that a caller can tell from others, and ends the run.
fail() {
    jq --null-input --arg type "$1" --arg error "$2" '$ARGS.named' > out/_error.json
    exit "${3-1}"
}
