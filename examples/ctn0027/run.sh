#!/usr/bin/env bash
# Imports the trial, replays it through the live code, and says what the scores and alerts were worth.
#   examples/ctn0027/run.sh [FOLDER_WITH_THE_DATA] [FOLDER_FOR_RESULTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=${1:-$here/../../../shared/data/ctn0027}
out=${2:-$(cd "$here/../.." && pwd)/out/ctn0027}
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
keepwell import-csv "$here/mapping.toml" "${files[@]}" --out "$out/events.jsonl" --strict
keepwell replay "$out/events.jsonl" --out "$out"
python "$here/worth.py" "$out"
