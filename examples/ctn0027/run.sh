#!/usr/bin/env bash
# Imports the trial, replays it through the live code, and says what the scores and alerts were worth; then trains on
# some of its people, and judges on the others.
#   examples/ctn0027/run.sh [FOLDER_WITH_THE_DATA] [FOLDER_FOR_RESULTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=${1:-$here/../../../shared/data/ctn0027}
root=$(cd "$here/../.." && pwd)
out=${2:-$root/out/ctn0027}
tables=(visit randomization treatment site_masked demographics)

files=()
for table in "${tables[@]}"; do
  file=$data/$table.csv.gz
  if [[ ! -f $file ]]; then
    echo "There is no $file." >&2
    echo "Put ${tables[*]/%/.csv.gz} of the trial into one folder (README.md says where they come from)," >&2
    echo "and name it: $0 FOLDER" >&2
    exit 2
  fi
  files+=("$file")
done

mkdir -p "$out"
out=$(cd "$out" && pwd)
keepwell import-csv "$here/mapping.toml" "${files[@]}" --out "$out/events.jsonl" --strict
keepwell replay "$out/events.jsonl" --out "$out"
python "$here/worth.py" "$out"

# One split by people, as a data team would; then every person judged in turn by a release that has not seen them.
cd "$root"
python -m examples.people "$out/events.jsonl" "$out"
keepwell train "$out/train.jsonl" --out "$out/release" --origin "70 % of the people of the trial CTN-0027"
keepwell evaluate "$out/release" "$out/test.jsonl" --out "$out/report"
python -m examples.ctn0027.judge "$out/events.jsonl"
python -m examples.ctn0027.weeks "$out/events.jsonl" "$out/weeks"
