#!/usr/bin/env bash
# Every family of dictionaries and every baseline on the synthetic world, at an L0 of 8: what they reconstruct, what the
# model still predicts with them, how much of the hidden traits they cover. The table of docs/dictionary-world.md.
#
# Usage: tests/bench/world_dictionaries.sh HOME [BIN]    (about ten minutes on two cores; what is there is not made anew)
set -euo pipefail
home=$1
bin=${2:-build/dev/bin}
here=$(dirname "$0")
daemon() { "$bin/lifescoped" "$1" --home "$home" "${@:2}"; }
mkdir -p "$home"
[ -d "$home/corpora/world" ] || daemon synthesize --name world --persons 2000 --seed 7
[ -d "$home/models/small" ] || daemon pretrain --corpus world --name small --steps 2000 --batch 8
if [ ! -d "$home/dictionaries/topk" ] || [ -e "$home/dictionaries/.topk.checkpoint.safetensors" ]; then
  resume=()
  if [ -e "$home/dictionaries/.topk.checkpoint.safetensors" ]; then resume=(--resume); fi
  daemon train-sae --model small --corpus world --recipe "$here/world_dictionaries.textproto" "${resume[@]}"
fi
baselines=(neurons random pca ica nmf sparse-coding)
for kind in "${baselines[@]}"; do
  [ -d "$home/dictionaries/$kind" ] || daemon fit-baseline --kind "$kind" --k 8 --model small --corpus world --name "$kind"
done
trained=$(sed -n 's/^dictionaries { name: "\([^"]*\)".*/\1/p' "$here/world_dictionaries.textproto" | paste -sd, -)
all="$trained,$(IFS=,; echo "${baselines[*]}")"
rm -rf "$home/comparisons/world"
daemon compare --dictionaries "$all" --corpus world --split test --name world
daemon coverage --dictionaries "$all" --corpus world --json "$home/coverage.json"
