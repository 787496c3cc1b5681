# Shell functions around one PostgreSQL cluster in the folder $1. Sourced, not run.

# The folder of the server's programs: the newest that is installed.
postgres_bin() {
  local folder
  for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) "$(pg_config --bindir 2>/dev/null || true)"; do
    if [ -x "$folder/initdb" ]; then echo "$folder"; return; fi
  done
  folder=$(command -v initdb) && dirname "$(readlink -f "$folder")"
}

# The server refuses to run as root, so root runs it as the user that Debian's package made.
as_server_user() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# -w: returns once the server answers.
start_cluster() {
  as_server_user "$(postgres_bin)/pg_ctl" -D "$1/data" -l "$1/server.log" -w -t 60 -s start
}

# `immediate` is a crash: no checkpoint is written, and the next start has to recover from the log.
crash_cluster() {
  as_server_user "$(postgres_bin)/pg_ctl" -D "$1/data" -m immediate -w -s stop
}
