#!/usr/bin/env bash
# Imports two simulated sets in which nothing can be foretold, and fails where something is.
#   examples/null_controls/run.sh [FOLDER_WITH_THE_DATA] [FOLDER_FOR_RESULTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
data=${1:-$here/../../../shared/data/null_controls}
out=${2:-$root/out/null_controls}
for table in synthmind_cbt appointments; do
  if [[ ! -f $data/$table.csv.gz ]]; then
    echo "There is no $data/$table.csv.gz; README.md says where the tables come from. Name their folder: $0 FOLDER" >&2
    exit 2
  fi
done

mkdir -p "$out"
data=$(cd "$data" && pwd)
out=$(cd "$out" && pwd)
cd "$root"
keepwell import-csv examples/null_controls/therapy.toml "$data/synthmind_cbt.csv.gz" --out "$out/therapy.jsonl" --strict
keepwell import-csv examples/null_controls/visits.toml "$data/appointments.csv.gz" --out "$out/visits.jsonl" --strict
python -m examples.null_controls.judge "$out/therapy.jsonl" "$out/visits.jsonl"
