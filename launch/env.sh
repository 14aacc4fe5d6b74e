# shellcheck shell=sh
# Settings for jobs that start dpnet with mpirun or srun themselves: source this file in a batch script.
#
#   . launch/env.sh
#   mpirun -n 4 dpnet train job.toml
#
# `dpnet launch` needs none of them.

# Threads: one per rank, unless train.threads is set. Otherwise dpnet shares out the cores of the node among its ranks.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# Open MPI refuses to run as root, who is the only user of many containers.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# Open MPI 5 binds each rank to one core and refuses more ranks than cores.
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy:-none}"
export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy:-:oversubscribe}"

# Print every line at once, also through a pipe.
export PYTHONUNBUFFERED=1
