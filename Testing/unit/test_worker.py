"""The worker process on its own: no Slicer, no Qt."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from E3PoseLib.errors import ModelError, WorkerError
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.running.worker import Failed, PoseWorker, Progress
from E3PoseLib.running.worker.folder import ABANDONED_SECONDS, ALIVE, beat, make_folder
from E3PoseLib.running.worker.messages import describe_exit


def launch(arguments):
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture
def worker():
    worker = PoseWorker(launch)
    yield worker
    worker.stop()


@pytest.fixture
def volume():
    return Volume(np.random.default_rng(0).random((16, 16, 16)), np.diag([3.0, 3.0, 3.0, 1.0]), "some scan")


def events_until(worker, is_last, seconds=300):
    events = []
    end = time.monotonic() + seconds
    while not any(is_last(event) for event in events):
        assert time.monotonic() < end, events
        events += worker.poll()
        time.sleep(0.01)
    return events


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_errors_come_back_typed_and_the_worker_goes_on(worker, volume, tmp_path):
    for _ in range(2):
        worker.estimate(volume, {"model": str(tmp_path / "none.safetensors")})
        assert worker.busy
        events = events_until(worker, lambda event: isinstance(event, Failed))
        assert isinstance(events[0], Progress)
        assert isinstance(events[-1].error, ModelError)
        assert "none.safetensors: no such model file" in str(events[-1].error)
        assert not worker.busy and worker.alive


def test_one_request_at_a_time(worker, volume):
    worker.estimate(volume, {"model": "none"})
    with pytest.raises(WorkerError, match="busy"):
        worker.estimate(volume, {"model": "none"})


def test_death_is_reported_with_last_words(worker, volume):
    worker.estimate(volume, {"model": "none"})
    wait_for(lambda: worker.poll() is not None and worker.pid is not None)
    os.kill(worker.pid, signal.SIGSEGV)
    failure = events_until(worker, lambda event: isinstance(event, Failed))[-1]
    assert "crashed (SIGSEGV)" in str(failure.error)
    assert not worker.alive


def test_last_words_are_what_it_printed(volume, tmp_path):
    script = "import sys; print('the disk is on fire', file=sys.stderr); sys.exit(3)"
    worker = PoseWorker(lambda arguments: launch([sys.executable, "-c", script]))
    worker.estimate(volume, {"model": "none"})
    failure = events_until(worker, lambda event: isinstance(event, Failed))[-1]
    assert "ended with status 3" in str(failure.error)
    assert "the disk is on fire" in str(failure.error)


def test_no_interpreter(volume):
    worker = PoseWorker(launch, python="/no/such/python")
    with pytest.raises(WorkerError, match="/no/such/python"):
        worker.estimate(volume, {"model": "none"})
    assert not worker.busy


def test_stop_leaves_nothing(worker, volume):
    worker.estimate(volume, {"model": "none"})
    wait_for(lambda: worker.poll() is not None and worker.pid is not None)
    pid, folder = worker.pid, worker._child.folder
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 1.0
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert worker.poll() == []


def test_the_worker_leaves_when_its_host_does(worker, volume):
    worker.estimate(volume, {"model": "none"})
    wait_for(lambda: worker.poll() is not None and worker.pid is not None)
    process = worker._child.process
    process.stdout.close()
    assert process.wait(timeout=15) == 1


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of its own, for this process and those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_no_voxels_stay_behind_when_the_host_is_killed(temporary, volume):
    code = (
        "import subprocess, sys, time\n"
        "import numpy as np\n"
        "from E3PoseLib.imaging.volume import Volume\n"
        "from E3PoseLib.running.worker import PoseWorker\n"
        "worker = PoseWorker(lambda call: subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))\n"
        "worker.estimate(Volume(np.random.rand(16, 16, 16), np.diag([3.0, 3.0, 3.0, 1.0])), {'model': 'none'})\n"
        "while worker.pid is None:\n"
        "    worker.poll()\n"
        "    time.sleep(0.01)\n"
        "print('asked', flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    host = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert host.stdout.readline() == "asked\n" and list(temporary.glob("E3Pose-*"))
    host.kill()
    host.communicate()
    wait_for(lambda: not list(temporary.glob("E3Pose-*")), seconds=30)


def test_what_both_left_is_removed_by_the_next_worker(temporary):
    left, beating, others = make_folder(), make_folder(), temporary / "E3Pose-results"
    others.mkdir()
    np.save(left / "request-1.npy", np.zeros(3))
    for folder in (left, beating, others):
        long_ago = time.time() - ABANDONED_SECONDS - 60
        for path in (*folder.iterdir(), folder):
            os.utime(path, (long_ago, long_ago))
    assert beat(beating)
    new = make_folder()
    assert {path.name for path in temporary.iterdir()} == {beating.name, others.name, new.name}
    assert (new / ALIVE).is_file()
    (new / ALIVE).unlink()
    new.rmdir()
    assert not beat(new)


def test_idle_memory_is_given_back(volume):
    worker = PoseWorker(launch, idle_seconds=0.5)
    worker.estimate(volume, {"model": "none"})
    events_until(worker, lambda event: isinstance(event, Failed))
    wait_for(lambda: not worker.alive)
    # Its number may be another process's by now; stopped, that one goes on.
    bystander = launch([sys.executable, "-c", "import time; time.sleep(60)"])
    worker._worker_pid = bystander.pid
    worker.stop()
    assert bystander.poll() is None
    bystander.kill()
    assert worker.poll() == []


def test_every_exit_in_words():
    assert describe_exit(137).startswith("was killed (SIGKILL")
    assert describe_exit(-15) == "was killed (SIGTERM)"
    assert describe_exit(1) == "ended with status 1"
    assert describe_exit(255) == "ended with status 255"
    launcher = "error: [python-real] exit abnormally - Report the problem."
    assert "ran out of memory" in describe_exit(1, launcher)
