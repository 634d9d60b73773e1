#!/usr/bin/env bash
# Judges the shipped release on simulated clinics that it was not fitted to: the truth is known there, and nobody is a person.
#   examples/simulated/run.sh [EPISODES_A_WORLD] [FOLDER_FOR_RESULTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
episodes=${1:-12000}
out=${2:-$root/out/simulated}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"

shipped=$(basename models/default/sha256-* | tr - :)
simulated() { # PRESET SEED EPISODES ROLL-OUTS
  test -f "$out/$1-$2/events.jsonl" || keepwell simulate --preset "$1" --seed "$2" --episodes "$3" --rollouts "$4" --out "$out/$1-$2"
}
simulated clinic 905 "$episodes" 192
simulated community 906 "$episodes" 192
simulated shifted 907 "$((episodes / 2))" 0
simulated shifted 908 300 0

# Beside the truth world by world: what the oracle knows of a world, nobody could who comes from outside.
for world in clinic-905 community-906; do
  keepwell evaluate "$shipped" "$out/$world/events.jsonl" --truth "$out/$world/truth.jsonl" --no-challengers --out "$out/$world"
done
mkdir -p "$out/both"
cat "$out"/{clinic-905,community-906}/events.jsonl >"$out/both/events.jsonl"
keepwell evaluate "$shipped" "$out/both/events.jsonl" --no-challengers --out "$out/both"
keepwell train "$out/shifted-908/events.jsonl" --recalibrate "$shipped" --out "$out/recalibrated"
keepwell evaluate "$out/recalibrated" "$out/shifted-907/events.jsonl" --no-challengers --out "$out/shifted"
python -m examples.simulated.judge "$out"
