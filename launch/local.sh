#!/usr/bin/env bash
# Train on this machine, one rank per core:   launch/local.sh [JOB.toml] [options of dpnet train]
#
# RANKS=N sets another number of ranks.
set -euo pipefail
exec "${PYTHON:-python3}" -m dpnet launch ${RANKS:+-n "$RANKS"} -- train "$@"
