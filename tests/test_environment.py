"""What launchers set, and what keeps a job from surviving losses."""

import pytest

from dpnet.environment import ATTEMPT, OFFERED, Launched, launched, loss_obstacle, other_mpi, right_start

OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}
MPICH = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"}
SLURM = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_TASKS_PER_NODE": "3(x2)", "SLURM_NODEID": "1"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Launched(0, 1, 1, "")),
        (OPEN_MPI, Launched(3, 8, 4, "OMPI_COMM_WORLD_SIZE")),
        (MPICH, Launched(1, 2, 2, "PMI_SIZE")),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, Launched(1, 2, 1, "PMI_SIZE")),
        (SLURM, Launched(5, 6, 3, "SLURM_STEP_NUM_TASKS")),
        ({**SLURM, **MPICH}, Launched(1, 2, 2, "PMI_SIZE")),
        ({**SLURM, **MPICH, **OPEN_MPI}, Launched(3, 8, 4, "OMPI_COMM_WORLD_SIZE")),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, Launched(0, 1, 1, "")),  # A batch script, outside any step.
        ({"PMI_RANK": "x", "PMI_SIZE": "2"}, Launched(0, 1, 1, "")),
        ({"PMI_RANK": "\N{SUPERSCRIPT TWO}", "PMI_SIZE": "2"}, Launched(0, 1, 1, "")),
    ],
)
def test_each_launcher_is_understood(environ, expected):
    assert launched(environ) == expected


@pytest.mark.parametrize(
    ("text", "node", "expected"),
    [
        ("4", "0", 4),
        ("2(x3)", "2", 2),
        ("2(x3),1", "3", 1),
        ("4,2(x2),1", "0", 4),
        ("4,2(x2),1", "2", 2),
        ("2(x3),1", "9", 1),
        ("2(x3),1", "", 1),
        ("nonsense", "0", 1),
        ("", "0", 1),
    ],
)
def test_the_tasks_of_this_node_of_slurm(text, node, expected):
    assert launched({**SLURM, "SLURM_STEP_TASKS_PER_NODE": text, "SLURM_NODEID": node}).local_world_size == expected


# What mpirun hands to its ranks for `--with-ft ulfm --mca mpi_ft_propagator_with_rbcast true --mca coll ^han`.
SURVIVING = {
    "OMPI_MCA_mpi_ft_enable": "1",
    "OMPI_MCA_mpi_ft_propagator_with_rbcast": "true",
    "OMPI_MCA_coll": "^han",
}


@pytest.mark.parametrize(
    ("environ", "obstacle"),
    [
        (OPEN_MPI | SURVIVING, ""),
        (OPEN_MPI | SURVIVING | {"OMPI_MCA_mpi_ft_enable": "True", "OMPI_MCA_mpi_ft_propagator_with_rbcast": "1"}, ""),
        (OPEN_MPI | SURVIVING | {"OMPI_MCA_coll": "^hcoll,han"}, ""),
        (OPEN_MPI, "mpirun was started without fault tolerance; dpnet launch turns it on"),
        (OPEN_MPI | SURVIVING | {"OMPI_MCA_coll": "1"}, "mpirun was started without coll; dpnet launch sets it"),
        (
            OPEN_MPI | SURVIVING | {"OMPI_MCA_coll": "basic"},
            "mpirun was started without coll; dpnet launch sets it",
        ),
        (
            OPEN_MPI | SURVIVING | {"OMPI_MCA_mpi_ft_propagator_with_rbcast": "0"},
            "mpirun was started without mpi_ft_propagator_with_rbcast; dpnet launch sets it",
        ),
        (
            OPEN_MPI | SURVIVING | {"OMPI_MCA_mpi_ft_enable": "^han"},
            "mpirun was started without mpi_ft_enable; dpnet launch sets it",
        ),
        (MPICH | SURVIVING, "MPICH does not survive it"),
        (SLURM | SURVIVING, "srun ends the job step; start with dpnet launch"),
        (SURVIVING, "there is one rank"),
    ],
)
def test_what_keeps_a_job_from_surviving_a_loss_is_named(environ, obstacle):
    assert loss_obstacle(environ) == obstacle


@pytest.mark.parametrize(
    ("environ", "vendor", "launcher"),
    [
        (OPEN_MPI, "Open MPI", ""),
        (OPEN_MPI, "MPICH", "Open MPI"),
        (OPEN_MPI, "Intel MPI", "Open MPI"),
        (MPICH, "MPICH", ""),
        (MPICH, "Intel MPI", ""),
        (MPICH, "Open MPI", "MPICH or Intel MPI"),
        (SLURM, "Open MPI", ""),
        (MPICH | SLURM, "Open MPI", ""),
        ({}, "MPICH", ""),
    ],
)
def test_a_launcher_of_another_mpi_is_told_as_one(environ, vendor, launcher):
    seen = f"mpirun is that of {launcher}, but mpi4py loads {vendor}: they do not belong together. "
    assert other_mpi(vendor, environ) == (seen + right_start(vendor, environ) if launcher else "")


def test_dpnet_launch_is_advised_to_nobody_who_uses_it():
    assert "Start with `dpnet launch`" in right_start("MPICH", MPICH)
    assert "put that of MPICH there" in right_start("MPICH", MPICH | {ATTEMPT: "x"})
    assert loss_obstacle(OPEN_MPI | {ATTEMPT: "x"}) == "mpirun was started without fault tolerance"


def test_a_program_that_dpnet_launch_has_started_is_told_how_it_survives_a_loss():
    text = "mpirun was started without fault tolerance; dpnet launch --ft turns it on"
    assert loss_obstacle(OPEN_MPI | {ATTEMPT: "x", OFFERED: "1"}) == text
