#!/bin/bash
# Kills the server of with_postgres.sh without giving it a chance to tidy up, and starts it again.
set -euo pipefail
source "$(cd "$(dirname "$0")" && pwd)/cluster.sh"
crash_cluster "${LIFESCOPE_TEST_POSTGRES_DIR:?run under with_postgres.sh}"
start_cluster "$LIFESCOPE_TEST_POSTGRES_DIR"
