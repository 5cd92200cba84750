"""Commands whose input, output or errors are closed, or cannot show some characters."""

import os
import signal
import subprocess
import sys

import pytest

from E3PoseLib.errors import OutputError
from E3PoseLib.running.ending import INTERRUPTED, WRONG_USAGE, exit_status

PROGRAM = """
import sys
from E3PoseLib.errors import E3PoseError
from E3PoseLib.running.ending import exit_status

def command():
    print("in č/扫描.nii")
    with open(sys.argv[1], "w") as file:  # must not get the number of what is closed
        assert file.fileno() > 2
        print("a warning of č", file=sys.stderr)
    raise E3PoseError("č: no such scan")

sys.exit(exit_status("tool", command))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="closed by a shell")
@pytest.mark.parametrize("closed", ["", "2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_is_closed_leads_nowhere(tmp_path, closed):
    call = f'"{sys.executable}" -c "$PROGRAM" "{tmp_path / "file"}" {closed}'
    run = subprocess.run(call, shell=True, env={**os.environ, "PROGRAM": PROGRAM}, capture_output=True)
    assert run.returncode == WRONG_USAGE, run.stderr
    assert b"Traceback" not in run.stderr
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "utf-8"])
def test_no_encoding_of_the_screen_lacks_a_character(tmp_path, encoding):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "file")],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
    )
    assert run.returncode == WRONG_USAGE and b"Traceback" not in run.stderr
    shown = "č: no such scan".encode(encoding, errors="backslashreplace")
    assert b"tool: " + shown in run.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
@pytest.mark.parametrize("end", ["SIGTERM", "SIGHUP"])
def test_what_ends_a_program_interrupts_it(end, capsys):
    before = signal.getsignal(signal.Signals[end])
    assert exit_status("tool", lambda: signal.raise_signal(signal.Signals[end])) == INTERRUPTED
    assert capsys.readouterr().err.startswith("tool: interrupted; ")
    assert signal.getsignal(signal.Signals[end]) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signal")
def test_what_a_program_was_told_to_ignore_it_ignores():
    """As ``nohup`` does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert exit_status("tool", lambda: signal.raise_signal(signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_stays_one_though_the_table_could_not_be_written(capsys):
    def command():
        try:
            raise KeyboardInterrupt
        finally:
            raise OutputError("poses.csv: cannot be replaced")

    assert exit_status("tool", command) == INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
