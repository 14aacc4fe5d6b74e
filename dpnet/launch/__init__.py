"""`dpnet launch`: starts ranks, passes signals on to them, and starts a training again that was cut off.

options    what may be said in front of `--`
flags      the mpirun that belongs to this Python, and the flags that a cluster user forgets
hosts      which of the listed hosts answer
attempt    one run of mpirun: signals, time limit, what it says and what it leaves behind
processes  those of an attempt, found on this host
watch      how far the training got: its run directory
decide     restart, give up or done: a pure function of what happened
supervise  all of it together
"""
