#!/usr/bin/env bash
# The main job of lifescope on the embedded database: makes a world, pre-trains a model on it, trains a dictionary of
# features, indexes it, serves, and walks through the client. What exists already is kept, so that a second run goes
# straight to the answers.
#
#   deploy/demo.sh [folder of lifescoped and lifescope]      default: build/release/bin
#   LIFESCOPE_DEMO_HOME   where everything is kept           default: demo-home beside the sources
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$(cd "${1:-$root/build/release/bin}" && pwd)
cd "$root"
home=${LIFESCOPE_DEMO_HOME:-demo-home}
export LIFESCOPE_HOME=$home
export LIFESCOPE_STORE=sqlite:$home/lifescope.db
# Threads that wait should not burn the cores of those that work.
export OMP_WAIT_POLICY=PASSIVE
started=$SECONDS
server_pid=

stop_server() {
  if [ -n "$server_pid" ]; then
    kill -TERM "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=
  fi
}
trap stop_server EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\n$ %s\n' "$*"; }
daemon() {
  show lifescoped "$@"
  "$bin/lifescoped" "$@"
}
client() {
  show lifescope "$@"
  "$bin/lifescope" "$@"
}

# --- Once: world, model, dictionary, index -------------------------------------------------------------------------

mkdir -p "$home"
if [ ! -d "$home/corpora/world" ]; then
  say "A world: 2000 people whose sector, illness, family and region drive what the registers say of them."
  daemon synthesize --name world --persons 2000 --seed 7
fi
if [ ! -d "$home/models/small" ]; then
  say "A small life2vec, pre-trained on their lives (about a minute)."
  resume=()
  if [ -e "$home/models/.small.checkpoint.safetensors" ]; then resume=(--resume); fi
  daemon pretrain --corpus world --name small --steps 2000 --batch 8 "${resume[@]}"
fi
if [ ! -d "$home/dictionaries/small-resid1" ]; then
  resume=()
  if [ -e "$home/dictionaries/.small-resid1.checkpoint.safetensors" ]; then resume=(--resume); fi
  say "A sparse autoencoder on its residual stream: 256 features, 8 at a time."
  daemon train-sae --model small --corpus world --name small-resid1 --features 256 --k 8 --steps 2000 --batch 512 \
    "${resume[@]}"
fi
if [ ! -e "$home/indexed" ]; then
  say "Where each feature fires, over the whole world."
  daemon index --dictionary small-resid1 --corpus world
  touch "$home/indexed"
fi
if [ ! -e "$home/traits.txt" ]; then
  "$bin/lifescoped" match-traits --dictionary small-resid1 --corpus world --best 5 >"$home/traits.part"
  mv "$home/traits.part" "$home/traits.txt"
fi
say "The people's traits were never shown to the model. The features that found them all the same:"
show lifescoped match-traits --dictionary small-resid1 --corpus world --best 5
cat "$home/traits.txt"
prepared=$SECONDS

# --- Serve ---------------------------------------------------------------------------------------------------------

say "The server, on a free port."
show lifescoped serve --listen 127.0.0.1:0
"$bin/lifescoped" serve --listen 127.0.0.1:0 >"$home/server.log" 2>&1 &
server_pid=$!
address=
for _ in $(seq 300); do
  address=$(sed -n 's/.* ready address=\([^ ]*\).*/\1/p' "$home/server.log")
  if [ -n "$address" ]; then break; fi
  if ! kill -0 "$server_pid" 2>/dev/null; then break; fi
  sleep 0.1
done
if [ -z "$address" ]; then
  echo "demo: the server did not become ready:" >&2
  cat "$home/server.log" >&2
  exit 1
fi
export LIFESCOPE_SERVER=$address
client status

# --- The main job --------------------------------------------------------------------------------------------------

# Two people that neither model nor dictionary was trained on, with lives of the same length. Person 97 has a heart
# disease whose visits alternate between two codes; at the same position person 2 has a code of a mental illness. The
# world of seed 7 is the same on every machine; which features the training finds is not, hence they are looked up.
person=97
other=2
position=202
code=DIAG_I20
other_code=DIAG_F41

say "A life in, features out. One diagnosis is hidden from the model: which features does it think with?"
client encode --person "$person" --mask "$position" --at "$position"
printf '\nfirst answer %d s after the start\n' $((SECONDS - started))

mapfile -t features < <("$bin/lifescope" encode --person "$person" --mask "$position" --at "$position" --no-text |
  grep -o '#[0-9]*' | tr -d '#' | awk '!seen[$0]++' | head -3)
if [ "${#features[@]}" -eq 0 ]; then
  echo "demo: no feature fires at position $position of person $person" >&2
  exit 1
fi
list=$(IFS=,; echo "${features[*]}")

say "What is feature ${features[0]}? Where it fires most, at most once per person."
client feature "${features[0]}" --count 3

best=$(awk 'NR == 2 { print $4 }' "$home/traits.txt")
if [ "$best" != "${features[0]}" ]; then
  say "And feature $best, the best match of a trait in the table above."
  client feature "$best" --count 3
fi

say "Switch the three strongest off, one at a time and together: what does the model expect there now?"
client ablate --person "$person" --mask "$position" --features "$list" --each --no-text
client ablate --person "$person" --mask "$position" --features "$list"

say "One life into another. At which layer does the hidden position know whose life it is?"
client patch --clean-person "$person" --corrupted-person "$other" --direction denoise \
  --hook blocks.0.hook_resid_post --hook blocks.1.hook_resid_post --hook blocks.2.hook_resid_post --at "$position" \
  --metric-at "$position" --tokens "$code,$other_code" --mask "$position"

say "Do the three features alone carry it, at every position?"
client patch --clean-person "$person" --corrupted-person "$other" --direction denoise --features "$list" \
  --metric-at "$position" --tokens "$code,$other_code" --mask "$position"

say "Every answer was stored, with its request and provenance."
client runs

stop_server
printf '\ndemo: done in %d s (%d s of it before the server started); everything is in %s\n' \
  $((SECONDS - started)) $((prepared - started)) "$home"
