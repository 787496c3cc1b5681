#!/usr/bin/env bash
# Checks of form, the same on every machine: formatting, include directions, names, and clang's thread-safety analysis
# of the locking code; with --tidy also clang-tidy over the files that differ from origin's main (or all of them).
set -euo pipefail
cd "$(dirname "$0")/../.."

echo "== formatting"
git ls-files -- '*.cc' '*.h' | xargs -r clang-format-14 --dry-run --Werror

echo "== include directions"
python3 deploy/checks/includes.py

echo "== names and sizes"
if git ls-files | grep -Ei '(^|/)(utils?|common|helpers?|misc)(/|\.|_)'; then
  echo "a file's name must say its concept" >&2; exit 1
fi
git ls-files -- '*.cc' '*.h' | xargs -r wc -l | awk '$2 != "total" && $1 > 500 {print; bad = 1} END {exit bad}' ||
  { echo "no source file over 500 lines" >&2; exit 1; }

echo "== thread-safety analysis (clang)"
flags=(-std=c++20 -fsyntax-only -I. -Wall -Wextra -Wthread-safety -Werror)
for source in $(grep -rlE 'absl/synchronization/mutex.h' server/runtime storage --include='*.cc' --include='*.h' |
                sed 's/\.h$/.cc/' | sort -u); do
  [ -e "$source" ] || continue
  clang++-14 "${flags[@]}" $(pkg-config --cflags libpqxx sqlite3) "$source"
done

if [ "${1:-}" = --tidy ]; then
  echo "== clang-tidy"
  base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-list --max-parents=0 HEAD | tail -n 1)
  files=$(git diff --name-only --diff-filter=d "$base" -- '*.cc' | grep -E '^(server|storage|client)/' || true)
  [ -n "$files" ] || files=$(git ls-files -- 'server/*.cc' 'storage/*.cc' 'client/*.cc')
  # clang reads neither gcc's precompiled headers nor, here, an omp.h.
  mkdir -p build/tidy
  sed -E 's/ -Winvalid-pch| -include [^ ]*cmake_pch\.hxx| -fopenmp//g' build/dev/compile_commands.json \
    >build/tidy/compile_commands.json
  clang-tidy-14 --quiet -p build/tidy --extra-arg=-include"$PWD/cmake/clang_vector.h" $files
fi
echo "checks: ok"
