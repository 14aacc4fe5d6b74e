# shellcheck shell=sh
# Settings for jobs that start dpnet with mpirun or srun themselves: source this file in a batch script.
#
#   . launch/env.sh
#   mpirun -n 4 dpnet train job.toml
#
# `dpnet launch` needs none of them. None of them decides where ranks run, or how many threads they have.

# Open MPI refuses to run as root, who is the only user of many containers.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# Open MPI 5 binds each rank to one core, and several jobs on a host to the same ones.
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy:-none}"

# Outside of a batch job, Open MPI refuses more ranks than cores. In one, this would put all ranks on the first host.
if [ -z "${SLURM_JOB_ID:-}${PBS_JOBID:-}" ]; then
    export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy:-:oversubscribe}"
fi

# Print every line at once, also through a pipe.
export PYTHONUNBUFFERED=1
