"""The pool: every part is done once, whoever does it."""

import threading

import pytest

from dpnet.compute.pool import Pool


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(("parts", "least"), [(0, 1), (1, 1), (7, 1), (7, 3), (100, 8)])
def test_every_part_is_done_once(size, parts, least):
    pool, done = Pool(size), []

    def work(member, first, stop):
        done.extend((part, member) for part in range(first, stop))

    for _ in range(3):
        done.clear()
        pool.run(work, parts, least=least)
        assert sorted(part for part, _ in done) == list(range(parts))
        members = {member for _, member in done}
        assert members <= set(range(size))
        assert len(members) <= max(1, parts // least)


def test_members_work_side_by_side():
    meeting = threading.Barrier(3, timeout=120)
    Pool(3).run(lambda member, first, stop: meeting.wait(), 3, least=1)


@pytest.mark.parametrize("failing", [0, 2])
def test_an_error_of_any_member_is_raised_when_all_are_done(failing):
    pool, done = Pool(3), []

    def work(member, first, stop):
        if member == failing:
            raise ValueError("of a member")
        done.append(member)

    with pytest.raises(ValueError, match="of a member"):
        pool.run(work, 3, least=1)
    assert sorted(done) == sorted({0, 1, 2} - {failing})
    pool.run(lambda member, first, stop: done.append(member), 3, least=1)
    assert len(done) == 5
