"""What `dpnet submit` does: a batch script for a training, and a scheduler that takes it.

`request` is what is asked for, on the command line and in a profile; `script` makes the script from a file of launch/;
`slurm` and `pbs` know the two schedulers; `place` chooses the run directory; `follow` waits. Nothing here knows how a
training runs, nor what happens within the job: that is `batch`.
"""
