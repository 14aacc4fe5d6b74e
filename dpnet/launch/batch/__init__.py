"""What `dpnet launch` does in a batch job of Slurm or PBS: ranks on all its hosts, an end in time, and another turn.

`placement` turns the allocation into options of mpirun or srun, `notice` is the end of the job's time as if it were a
signal, `record` is what Slurm says about the job, and `again` puts the job back into the queue. Nothing here knows how
a training is started or supervised.
"""
