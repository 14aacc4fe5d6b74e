#!/bin/bash
# A training as a job of PBS Pro or OpenPBS:   qsub launch/pbs.sh
#
# Not tried on a real PBS: only its options are those of the manual, and shellcheck has read it. Copy this file, and
# change what follows; `dpnet submit` does both. Where the time does not suffice, dpnet writes a checkpoint and says
# that the job is to be queued again: it goes on from there. As an array (qsub -J 1-3) it trains with the seeds 1 to 3,
# in run directories of their own. The run directory must be on a file system that all hosts share.
#PBS -N dpnet
#PBS -l select=2:ncpus=2:mpiprocs=2:ompthreads=1
#PBS -l walltime=01:00:00
#PBS -r y
#PBS -j oe
set -eu
cd "$PBS_O_WORKDIR"

# The environment that dpnet is installed in; VENV= names another. Load the modules that it needs here.
# shellcheck disable=SC1091
. "${VENV:-.venv}/bin/activate"

[ $# -gt 0 ] || set -- "${JOB:-job.toml}"
if [ -n "${PBS_ARRAY_INDEX:-}" ]; then
    set -- "$@" --set "train.seed=$PBS_ARRAY_INDEX" --output "runs/seed-$PBS_ARRAY_INDEX"
fi

# exec: PBS signals the process of this script, which dpnet then is. Its exit code is 0 only for a complete training.
exec dpnet launch -- train "$@"
