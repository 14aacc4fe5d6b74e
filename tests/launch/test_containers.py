"""The recipes for containers, which nobody runs here: the operator knows their fields, and they fit each other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.own_files import ROOT
from helpers.yaml_subset import read

from dpnet.cli.commands.launch import checked
from dpnet.launch.hosts import listed
from dpnet.launch.options import num_ranks, parse

LAUNCH = ROOT / "launch"
FIELDS = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"slotsPerWorker", "runPolicy", "mpiReplicaSpecs", "sshAuthMountPath", "mpiImplementation"},
    "spec.runPolicy": {"cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit", "suspend"},
    "spec.mpiReplicaSpecs": {"Launcher", "Worker"},
    "role": {"replicas", "template", "restartPolicy"},
    "pod": {"containers", "volumes", "terminationGracePeriodSeconds"},
    "container": {
        *("name", "image", "workingDir", "securityContext", "env", "command"),
        *("resources", "volumeMounts", "readinessProbe"),
    },
}
"""Fields of the operator's API (types.go of v2beta1), and those of Kubernetes' pods that are used."""


@pytest.fixture(scope="module")
def job():
    return read((LAUNCH / "mpijob.yaml").read_text())


def roles(job):
    return {name: (role, role["template"]["spec"]) for name, role in job["spec"]["mpiReplicaSpecs"].items()}


def test_the_operator_knows_all_fields(job):
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    spec = job["spec"]
    seen = {"": job, "spec": spec, "spec.runPolicy": spec["runPolicy"], "spec.mpiReplicaSpecs": spec["mpiReplicaSpecs"]}
    assert {place: set(found) - FIELDS[place] for place, found in seen.items() if set(found) - FIELDS[place]} == {}
    assert spec["mpiImplementation"] in ("OpenMPI", "Intel", "MPICH")
    assert spec["runPolicy"]["cleanPodPolicy"] in ("All", "Running", "None")
    for role, pod in roles(job).values():
        assert set(role) <= FIELDS["role"]
        assert role["restartPolicy"] in ("Always", "OnFailure", "Never", "ExitCode")
        assert set(pod) <= FIELDS["pod"]
        assert set(pod["containers"][0]) <= FIELDS["container"]


def test_every_volume_that_is_mounted_is_there(job):
    for _, pod in roles(job).values():
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        paths = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        assert pod["containers"][0]["workingDir"] in paths


def test_the_launcher_starts_as_many_ranks_as_the_workers_have_slots_on_the_hosts_of_the_operator(job):
    command = roles(job)["Launcher"][1]["containers"][0]["command"]
    assert command[:2] == ["dpnet", "launch"]
    options = parse(checked(command[2:]))
    assert options.command == ("train", "job.toml")
    assert num_ranks(options.mpirun) == job["spec"]["slotsPerWorker"] * roles(job)["Worker"][0]["replicas"]
    assert list(options.mpirun)[:2] == ["--hostfile", "/etc/mpi/hostfile"]
    assert not listed(options.mpirun), "a list of hosts would stand in the place of the operator's"
    assert roles(job)["Launcher"][1]["terminationGracePeriodSeconds"] > options.grace_s + 15


def test_the_image_has_the_user_the_port_and_the_folder_that_the_job_needs(job):
    image = (LAUNCH / "Containerfile").read_text()
    worker = roles(job)["Worker"][1]["containers"][0]
    port, home = worker["readinessProbe"]["tcpSocket"]["port"], str(Path(job["spec"]["sshAuthMountPath"]).parent)
    assert re.findall(r"Port (\d+)'", image) == [str(port)] * 2, "sshd and ssh have another port"
    assert f"HostKey {job['spec']['sshAuthMountPath']}/id_rsa" in image
    assert f"> {worker['command'][-1]}" in image
    assert f"--uid {worker['securityContext']['runAsUser']} {Path(home).name}" in image
    assert f"WORKDIR {worker['workingDir']}\n" in image


def commands(name):
    """The scripts of a recipe."""
    text = (LAUNCH / name).read_text()
    if name == "Containerfile":
        return re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.M)
    return re.findall(r"^%(?:post|environment|runscript|test)\n((?:    .*\n)*)", text, re.M)


@pytest.mark.parametrize("name", ["Containerfile", "dpnet.def"])
def test_shellcheck_finds_nothing_in_the_commands_of_a_recipe(name):
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed; pip install 'dpnet[test]'")
    scripts = commands(name)
    assert len(scripts) >= 3
    for script in scripts:
        line = [shellcheck, "--shell=sh", "-"]
        result = subprocess.run(line, input=script, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["Containerfile", "dpnet.def"])
def test_a_recipe_copies_all_that_the_package_is_built_of(name):
    text = (LAUNCH / name).read_text()
    for needed in ("pyproject.toml", "README.md", "LICENSE", "dpnet", "launch"):
        assert re.search(rf"(COPY|^   ).*\b{re.escape(needed)} ", text, re.M), needed
        assert (ROOT / needed).exists()


@pytest.mark.parametrize("text", ["a:\n  b: [1]", "a: 1\na: 2", "a:", "a: x # y", "- a\nb: 1", "a: &x 1"])
def test_what_the_reader_of_yaml_does_not_know_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read(text)
