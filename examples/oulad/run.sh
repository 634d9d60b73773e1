#!/usr/bin/env bash
# Turns the register of the Open University into events, trains on some students, and judges on the others; then trains on
# the courses of February, and judges on those of October beside a plain regression.
#   examples/oulad/run.sh [FOLDER_WITH_THE_DATA] [FOLDER_FOR_RESULTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
data=${1:-$here/../../../shared/data/oulad_2013}
out=${2:-$root/out/oulad}
for table in assessments courses studentAssessment studentInfo studentRegistration; do
  if [[ ! -f $data/$table.csv.gz ]]; then
    echo "There is no $data/$table.csv.gz; README.md says where the tables come from. Name their folder: $0 FOLDER" >&2
    exit 2
  fi
done

mkdir -p "$out"
data=$(cd "$data" && pwd)
out=$(cd "$out" && pwd)
cd "$root"
python -m examples.oulad.events "$data" "$out/events.jsonl"
python -m examples.oulad.scale "$out/events.jsonl"
python -m examples.people "$out/events.jsonl" "$out"
keepwell train "$out/train.jsonl" --out "$out/release" --origin "70 % of the students of the Open University data, 2013"
keepwell evaluate "$out/release" "$out/test.jsonl" --out "$out/report"
python -m examples.oulad.judge "$out/test.jsonl" "$out/release" "$out"
python -m examples.oulad.early "$out/events.jsonl" "$out/early"
