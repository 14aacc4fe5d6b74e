"""The program that each rank of a test starts: it sends all output to the rank's own file, then runs the test's own."""

import os
import runpy
import sys

RANK_NAMES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
rank = next((os.environ[name] for name in RANK_NAMES if name in os.environ), "0")
path = os.path.join(os.environ["DPNET_RANK_OUTPUT"], f"{rank}.txt")
file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(file, 1)
os.dup2(file, 2)
sys.argv = sys.argv[1:]
if sys.argv[0] == "-m":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
