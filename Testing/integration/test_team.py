"""Processes that share scans: the answers of one process, and no scan lost whatever becomes of them."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import make_head
from team_work import process_and_threads, read_but_die_at_scan3

from E3PoseLib.cli import main
from E3PoseLib.errors import DeviceError, ModelError, TrainingError, WorkerError
from E3PoseLib.imaging.volume import write_volume
from E3PoseLib.running import team as team_module
from E3PoseLib.running.batch import run_batch
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.scans.tasks import find_tasks
from E3PoseLib.running.team import Team
from E3PoseTraining.training.nodes import check_nodes


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed in range(6):
        write_volume(folder / f"scan{seed}.nii.gz", make_head(seed=seed))
    return folder


def rows_of(table) -> list[dict[str, str]]:
    with table.open() as stream:
        return list(csv.DictReader(stream))


def program(code, *arguments):
    """What starts a Python of its own that runs some code with the tests' modules at hand."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return {"args": [sys.executable, "-c", code, *map(str, arguments)], "env": env}


def test_two_processes_write_what_one_writes(scans, small_model_file, tmp_path, capsys):
    (scans / "broken.nii.gz").write_bytes(b"no scan")
    for name, devices in (("one", "1"), ("two", "2")):
        flags = ["-o", str(tmp_path / name), "--model", str(small_model_file), "--device", "cpu", "--devices", devices]
        assert main(["estimate", str(scans), *flags]) == 1
        assert "6 estimated, 0 already there, 1 failed" in capsys.readouterr().out
    one, two = tmp_path / "one", tmp_path / "two"
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    assert rows_of(one / "failures.csv") == rows_of(two / "failures.csv")
    for ours, theirs in zip(rows_of(one / "poses.csv"), rows_of(two / "poses.csv"), strict=True):
        assert ours["frame_id"] == theirs["frame_id"] and ours["confidence"] == theirs["confidence"]
        np.testing.assert_allclose(*(np.load(folder / f"{ours['frame_id']}.npy") for folder in (one, two)), atol=1e-5)


def test_the_process_that_hands_out_scans_does_not_wait_for_torch(scans, small_model_file, tmp_path):
    program = "import sys; from E3PoseLib.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    command = ["estimate", scans, "-o", tmp_path / "out", "--model", small_model_file, "--device", "cpu", "--devices"]
    for devices, done, has_torch in (("2", "6 estimated, 0", False), ("1", "0 estimated, 6", False)):
        run = subprocess.run([sys.executable, "-c", program, *command, devices], capture_output=True, text=True)
        assert f"{done} already there" in run.stdout, run.stderr
        assert run.stdout.splitlines()[-1] == f"0 {has_torch}"


def test_what_no_process_can_use_is_said_as_by_one(scans, small_model_file, tmp_path, capfd):
    for flags, error, message in (
        ({"source": "nobody"}, ModelError, "no model named 'nobody'"),
        ({"source": str(small_model_file), "device": "cuda:99"}, DeviceError, "cuda:99"),
    ):
        device = flags.pop("device", "cpu")
        with Team(flags, device, "float32", 2) as team, pytest.raises(error, match=message):
            print(team.identity)
    assert main(["estimate", str(scans), "-o", str(tmp_path / "o"), "--model", "nobody", "--devices", "2"]) == 2
    shown = capfd.readouterr().err
    assert "no model named 'nobody'" in shown and "Traceback" not in shown


def test_no_more_processes_than_the_system_can_wait_for(small_model_file, monkeypatch):
    """On Windows that is 61; here it is made one."""
    monkeypatch.setattr(team_module, "MOST_PROCESSES", 1)
    with Team({"source": str(small_model_file)}, "cpu", "float32", 100) as team:
        works = [(), (), ()]
        answers = [team.result_of(future) for future in team.in_turn(process_and_threads, works)]
    assert len(answers) == 3 and len({process for process, _ in answers}) == 1


@pytest.mark.parametrize("asked", [None, "2"])
def test_each_process_has_its_share_of_the_threads(small_model_file, monkeypatch, asked):
    if asked is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        usual = "import torch; print(torch.get_num_threads())"
        run = subprocess.run([sys.executable, "-c", usual], capture_output=True, text=True, check=True)
        share = max(1, int(run.stdout) // 2)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        share = int(asked)
    before = torch.get_num_threads()
    with Team({"source": str(small_model_file)}, "cpu", "float32", 2) as team:
        answers = [team.result_of(future) for future in [team.submit(process_and_threads) for _ in range(6)]]
    assert len({process for process, _ in answers} - {os.getpid()}) == 2
    assert {threads for _, threads in answers} == {share} and torch.get_num_threads() == before


def test_where_a_process_is_killed_the_run_ends_and_what_is_done_stays(scans, small_model_file, tmp_path):
    tasks, out, told = find_tasks([scans]), tmp_path / "out", []
    model = {"source": str(small_model_file)}
    with Team(model, "cpu", "float32", 2) as team, pytest.raises(WorkerError, match="killed"):
        run_batch(
            tasks,
            lambda n_scans: team,
            out,
            Settings(team.identity),
            read=read_but_die_at_scan3,
            on_result=lambda *result: told.append(result),
        )
    assert [(task.name, failed) for task, failed in told][:3] == [(f"scan{n}", None) for n in range(3)]
    done = [row["frame_id"] for row in rows_of(out / "poses.csv")]
    assert {"scan0", "scan1", "scan2"} <= set(done) < {task.name for task in tasks}
    assert not (out / "failures.csv").exists()
    with Team(model, "cpu", "float32", 2) as team:
        report = run_batch(tasks, lambda n_scans: team, out, Settings(team.identity))
    assert report.skipped == done and len(report.done) == 6 - len(done) and not report.failed


def test_a_team_that_has_lost_a_process_says_so_whenever_it_is_asked(small_model_file):
    with Team({"source": str(small_model_file)}, "cpu", "float32", 2) as team:
        process, *_ = team.result_of(team.submit(process_and_threads))
        os.kill(process, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not team._pool._broken and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(WorkerError, match="a process was killed"):
            team.result_of(team.submit(process_and_threads))


@pytest.mark.skipif(sys.platform == "win32", reason="a lock cannot be held for a process that is killed")
def test_a_process_that_is_killed_while_it_answers_keeps_nobody_waiting(small_model_file):
    code = (
        "import os, signal, sys\n"
        "from E3PoseLib.running.team import Team\n"
        "from team_work import process_and_threads\n"
        "with Team({'source': sys.argv[1]}, 'cpu', 'float32', 2) as team:\n"
        "    process, _ = team.result_of(team.submit(process_and_threads))\n"
        "    team._pool._result_queue._wlock.acquire()\n"  # as the process that is killed would have it
        "    others = [team.submit(process_and_threads) for _ in range(2)]\n"
        "    os.kill(process, signal.SIGKILL)\n"
        "    print([team.result_of(other) for other in others])\n"
    )
    run = subprocess.run(**program(code, small_model_file), capture_output=True, timeout=60)
    assert run.returncode == 1 and b"WorkerError: a process was killed" in run.stderr


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="processes are killed as a group")
def test_where_all_are_killed_the_same_command_completes(scans, small_model_file, tmp_path):
    moment = 8  # in the middle of a scan's files; test_killed_while_writing.py has all of them
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    code = (
        "import sys\n"
        "from functools import partial\n"
        "from E3PoseLib.running.batch import run_batch\n"
        "from E3PoseLib.running.results.settings import Settings\n"
        "from E3PoseLib.running.scans.tasks import find_tasks\n"
        "from E3PoseLib.running.team import Team\n"
        "from team_work import read_and_be_killed\n"
        "with Team({'source': sys.argv[1]}, 'cpu', 'float32', 2) as team:\n"
        "    settings = Settings(team.identity, save_mask=True)\n"
        f"    read = partial(read_and_be_killed, {moment})\n"
        "    run_batch(find_tasks([sys.argv[2]]), lambda n_scans: team, sys.argv[3], settings, read=read)\n"
    )
    run = subprocess.run(**program(code, small_model_file, scans, out), start_new_session=True, capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not (out / "scan2.json").exists()
    flags = ["--save-mask", "--model", str(small_model_file), "--device", "cpu", "--devices"]
    assert main(["estimate", str(scans), "-o", str(out), *flags, "2"]) == 0
    assert main(["estimate", str(scans), "-o", str(undisturbed), *flags, "1"]) == 0
    names = [path.name for path in undisturbed.iterdir()]
    assert sorted(names) == sorted(path.name for path in out.iterdir() if not path.name.startswith(".part-"))
    for name in names:
        if name.endswith(".gz"):
            assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
        if name.endswith(".npy"):  # two processes have half the threads each, and sum in another order
            np.testing.assert_allclose(np.load(out / name), np.load(undisturbed / name), atol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_others_end_with_the_first(small_model_file):
    code = (
        "import sys, time\n"
        "from E3PoseLib.running.team import Team\n"
        "from team_work import process_and_threads\n"
        "team = Team({'source': sys.argv[1]}, 'cpu', 'float32', 2)\n"
        "print(team.submit(process_and_threads).result()[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    run = subprocess.Popen(**program(code, small_model_file), stdout=subprocess.PIPE, text=True)
    member = Path("/proc", run.stdout.readline().strip())
    assert member.is_dir() and member.name.isdigit()
    run.kill()
    run.wait()
    deadline = time.monotonic() + 20
    while member.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not member.exists()


@pytest.mark.parametrize(
    ("environment", "started"),
    [({}, "one"), ({"SLURM_NTASKS": "2", "SLURM_NNODES": "2"}, "one"), ({"SLURM_STEP_NUM_NODES": "4"}, "4")],
    ids=["nothing", "in a job, without srun", "on others"],
)
def test_nodes_that_nobody_has_started_are_not_waited_for(environment, started, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=f"started on {started}: .* srun --nodes=2 --ntasks-per-node=8"):
        check_nodes(2, 8)
    check_nodes(1)
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "2")
    check_nodes(2, 8)


def test_nodes_share_a_folder_and_the_first_lists_what_all_did(scans, small_model_file, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    (scans / "scan1.nii.gz").write_bytes(b"no scan")
    call = [sys.executable, "-m", "E3PoseLib", "estimate", str(scans), "-o", str(tmp_path / "out"), "--device", "cpu"]
    nodes = [
        subprocess.Popen(
            [*call, "--model", str(small_model_file), "--num-nodes", "2"],
            env={**os.environ, **meeting, "NODE_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    shown = [node.communicate(timeout=120)[0] for node in nodes]
    # The bad scan is one of the second node's.
    assert [node.returncode for node in nodes] == [0, 1]
    assert "3 estimated" in shown[0] and "2 estimated" in shown[1]
    assert [row["frame_id"] for row in rows_of(tmp_path / "out" / "poses.csv")] == [f"scan{n}" for n in (0, 2, 3, 4, 5)]
    assert [row["frame_id"] for row in rows_of(tmp_path / "out" / "failures.csv")] == ["scan1"]
