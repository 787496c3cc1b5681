#!/bin/bash
# Runs a command with a throw-away PostgreSQL cluster, which is gone afterwards:
#   tests/postgres/with_postgres.sh ctest --preset dev
# The command finds
#   LIFESCOPE_TEST_POSTGRES      URL of a database in which it may create others, over a private Unix socket
#   LIFESCOPE_TEST_POSTGRES_DIR  the cluster's folder, for crash_and_restart.sh
# Works as root and as an ordinary user. Ends with the command's exit code; with 77 (which ctest counts as skipped) if
# the PostgreSQL server is not installed, or 1 if LIFESCOPE_REQUIRE_POSTGRES=1.
#
# fsync is off, which makes the tests several times faster, unless LIFESCOPE_TEST_POSTGRES_FSYNC=on. The tests that kill
# clients and the server do not need it: the kernel keeps what a killed process has written. Measure with it on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/cluster.sh"

if [ $# = 0 ]; then
  sed -n '2,8s/^# \?//p' "$0" >&2
  exit 2
fi

missing() {
  echo "with_postgres: $1; on Debian: apt-get install postgresql" >&2
  if [ "${LIFESCOPE_REQUIRE_POSTGRES:-}" = 1 ]; then exit 1; fi
  exit 77
}
if [ -z "$(postgres_bin)" ]; then missing "no PostgreSQL server found (initdb)"; fi
if [ "$(id -u)" = 0 ] && ! id postgres >/dev/null 2>&1; then missing "root needs the user postgres to run the server"; fi

# Not $TMPDIR: the path of a Unix socket must be short.
folder=$(mktemp -d /tmp/lifescope-postgres.XXXXXX)
stop() {
  if [ -f "$folder/data/postmaster.pid" ]; then crash_cluster "$folder" || true; fi
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi

as_server_user "$(postgres_bin)/initdb" -D "$folder/data" -U lifescope -A trust -E UTF8 --no-locale --no-sync >/dev/null
as_server_user tee -a "$folder/data/postgresql.conf" >/dev/null <<EOF
listen_addresses = ''
unix_socket_directories = '$folder'
unix_socket_permissions = 0700
max_connections = 100
fsync = ${LIFESCOPE_TEST_POSTGRES_FSYNC:-off}
EOF
if ! start_cluster "$folder"; then
  cat "$folder/server.log" >&2
  exit 1
fi

export LIFESCOPE_TEST_POSTGRES="postgresql://lifescope@/postgres?host=$folder"
export LIFESCOPE_TEST_POSTGRES_DIR="$folder"
code=0
"$@" || code=$?
exit $code
