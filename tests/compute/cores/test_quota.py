"""CPU quotas of containers, of systemd and of nested groups are found in both versions of cgroups."""

import pytest
from helpers.cgroups import V1, V2, machine

from dpnet.compute.cores.quota import quota, throttled_s

SCOPE = "user.slice/user-1000.slice/run-7.scope"
DOCKER = "/docker/0123abcd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("150000 100000", 1.5),
        ("50000 200000", 0.25),
        ("max 100000", None),
        ("", None),
        ("400000", None),
        ("many 100000", None),
        ("400000 0", None),
        ("inf 100000", None),
    ],
)
def test_the_quota_of_a_container_is_a_number_of_cores(tmp_path, text, expected):
    assert quota(machine(tmp_path, "0::/", V2, {"cpu.max": text})) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"user.slice": "max", "user.slice/user-1000.slice": "max", SCOPE: "150000"}, 1.5),
        ({"user.slice": "max", "user.slice/user-1000.slice": "200000", SCOPE: "max"}, 2),
        ({"user.slice": "300000", "user.slice/user-1000.slice": "max", SCOPE: "400000"}, 3),
        ({"user.slice": "300000", "user.slice/user-1000.slice": "max", SCOPE: "100000"}, 1),
        ({"user.slice": "max", "user.slice/other.slice": "100000", SCOPE: "max"}, None),
    ],
)
def test_the_narrowest_of_nested_quotas_counts(tmp_path, limits, expected):
    files = {f"{group}/cpu.max": f"{granted} 100000" for group, granted in limits.items()}
    assert quota(machine(tmp_path, f"0::/{SCOPE}", V2, files)) == expected


@pytest.mark.parametrize(("granted", "expected"), [("150000", 1.5), ("-1", None), ("0", None), ("x", None)])
def test_a_quota_of_version_1_counts(tmp_path, granted, expected):
    files = {"cpu,cpuacct/cpu.cfs_quota_us": granted, "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    groups = f"5:memory:{DOCKER}\n4:cpu,cpuacct:{DOCKER}\n3:cpuset:/"
    assert quota(machine(tmp_path, groups, V1, files, top=DOCKER)) == expected


def test_nested_quotas_of_version_1_count(tmp_path):
    files = {}
    for group, granted in ((".", "-1"), ("slurm", "300000"), ("slurm/job_1", "-1"), ("slurm/job_1/step_0", "400000")):
        files[f"cpu,cpuacct/{group}/cpu.cfs_quota_us"] = granted
        files[f"cpu,cpuacct/{group}/cpu.cfs_period_us"] = "100000"
    assert quota(machine(tmp_path, "4:cpu,cpuacct:/slurm/job_1/step_0", V1, files)) == 3


def test_beside_version_1_the_tree_of_version_2_sets_no_limit(tmp_path):
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    assert quota(machine(tmp_path, "1:cpu,cpuacct:/\n0::/init", f"{unified}\n{V1}", files)) == 2


@pytest.mark.parametrize("own", ["/../../system.slice", "/elsewhere"])
def test_a_group_outside_of_what_is_mounted_is_under_what_is(tmp_path, own):
    assert quota(machine(tmp_path, f"0::{own}", V2, {"cpu.max": "200000 100000"}, top="/pod")) == 2


def test_a_mounted_group_is_the_group_itself_and_not_below_itself(tmp_path):
    files = {"cpu.max": "200000 100000", "pod/cpu.max": "100000 100000"}
    assert quota(machine(tmp_path, "0::/pod", V2, files, top="/pod")) == 2


def test_a_mount_with_a_space_in_its_name_is_read(tmp_path):
    mount = V2.replace("/sys/fs/cgroup", r"/sys/fs/cgroup/of\040mine")
    assert quota(machine(tmp_path, "0::/", mount, {"of mine/cpu.max": "200000 100000"})) == 2


def test_where_there_are_no_cgroups_there_is_no_quota(tmp_path):
    assert quota(tmp_path) is None
    assert throttled_s(tmp_path) == 0


@pytest.mark.parametrize(
    ("mount", "groups", "path", "text"),
    [
        (V2, "0::/a/b", "a/cpu.stat", "usage_usec 9\nnr_periods 7\nnr_throttled 4\nthrottled_usec 2500000"),
        (V1, "4:cpu:/a/b", "cpu,cpuacct/a/cpu.stat", "nr_periods 7\nnr_throttled 4\nthrottled_time 2500000000"),
    ],
)
def test_the_time_that_a_quota_has_stopped_a_group_is_read(tmp_path, mount, groups, path, text):
    own = path.replace("a/cpu.stat", "a/b/cpu.stat")
    assert throttled_s(machine(tmp_path, groups, mount, {path: text, own: "nr_periods 0"})) == 2.5
