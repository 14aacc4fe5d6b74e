#!/bin/sh
# Starts Open MPI's daemon on another host of a job of Slurm, which sends SIGUSR1 to daemons and ranks alike.
trap '' USR1 USR2
exec "$@"
