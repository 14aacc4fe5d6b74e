#!/usr/bin/env bash
# Train on this machine, one rank per core:   launch/local.sh [JOB.toml] [options of dpnet train]
#
# RANKS=N sets another number of ranks.
set -euo pipefail
# Where OMP_NUM_THREADS is set, nproc prints that: the threads of a rank, not the cores.
ranks="${RANKS:-$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)}"
exec "${PYTHON:-python3}" -m dpnet launch -n "$ranks" -- train "$@"
