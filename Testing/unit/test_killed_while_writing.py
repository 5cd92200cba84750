"""A run that is killed at any moment while it writes a scan's results: the next one finds its way."""

import os
import shutil

import pytest
from made_results import WITH_ALL, contents, killed, make_scan, write_made

from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.results.standing import State, state_of_results
from E3PoseLib.running.results.tables import write_tables

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")


POSE_ALONE = Settings("model-1")


@pytest.mark.parametrize(
    ("before", "now"),
    [(None, WITH_ALL), (WITH_ALL, WITH_ALL), (POSE_ALONE, WITH_ALL), (WITH_ALL, POSE_ALONE)],
    ids=["nothing before", "the same files before", "fewer before", "more before"],
)
def test_the_rerun_completes_wherever_the_run_was_killed(tmp_path, before, now):
    task = make_scan(tmp_path / "scans")
    was, undisturbed = tmp_path / "was", tmp_path / "undisturbed"
    was.mkdir()
    if before is not None:
        write_made(was, task, before, x_mm=1.0)
    shutil.copytree(was, undisturbed)
    write_made(undisturbed, task, now, x_mm=2.0)
    number, moments, out = 0, [], tmp_path / "out"
    while True:
        shutil.copytree(was, out)
        ended = not killed(number, lambda: write_made(out, task, now, x_mm=2.0))
        # What stands is nothing, or whole, and then of one run: the one before or this one.
        state = state_of_results(task, out, now)
        moments.append(state)
        if state is State.WHOLE:
            assert not list(out.glob("*.unfinished"))
            assert contents(out) in (contents(was), contents(undisturbed))
        write_tables(out)
        listed = (out / "poses.csv").exists()
        assert listed or state is not State.WHOLE
        (out / "poses.csv").unlink(missing_ok=True)
        write_made(out, task, now, x_mm=2.0)
        assert contents(out) == contents(undisturbed)
        assert state_of_results(task, out, now) is State.WHOLE
        if ended:
            break
        shutil.rmtree(out)
        number += 1
    assert number > 8 and moments[-1] is State.WHOLE and State.MISSING in moments
