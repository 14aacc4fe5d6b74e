"""`dpnet launch`: starts ranks, forwards signals to them, and restarts a training that was cut off.

`supervise` runs attempts (`attempt`, one mpirun each), `decide` says what follows one, `progress_on_disk` reads how far
it got; the folders are for batch jobs, their submission, and the doctor; the rest is about mpirun. This room must not
know the command line of `dpnet`: a function that turns arguments into a job is handed in. A start of ranks without
restarts must not import numpy.
"""
