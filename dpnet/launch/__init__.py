"""`dpnet launch`: starts ranks, forwards signals to them, and restarts a training that was cut off.

`supervise` runs attempts (`attempt`, one mpirun each), `decide` is the pure function that says what follows one, and
`progress_on_disk` reads how far the training got. The rest is about mpirun: its options, flags, hosts and processes.
This room must not know the command line of `dpnet`: a function that turns arguments into a job is handed in. A start of
ranks without restarts must not import numpy.
"""
