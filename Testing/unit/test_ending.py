"""How commands end: one line and a status for each way."""

import signal
import subprocess
import sys

import pytest

from E3PoseLib.errors import DatasetError
from E3PoseLib.running.ending import INTERRUPTED, NO_READER, SUCCESS, WRONG_USAGE, exit_status, interrupts_wait


def fail(error):
    raise error


def test_a_commands_own_status_is_kept(capsys):
    assert exit_status("tool", lambda: 1) == 1
    assert exit_status("tool", lambda: None) == SUCCESS
    assert capsys.readouterr().err == ""


def test_an_error_of_use_is_one_line(capsys):
    assert exit_status("tool", lambda: fail(DatasetError("scan.nii is missing"))) == WRONG_USAGE
    assert capsys.readouterr().err == "tool: scan.nii is missing\n"


def test_an_interrupt_says_how_to_go_on(capsys):
    assert exit_status("tool", lambda: fail(KeyboardInterrupt()), "add --resume") == INTERRUPTED == 130
    assert capsys.readouterr().err == "tool: interrupted; add --resume\n"
    # Nothing is promised to have stayed where the command does not say so.
    assert exit_status("tool", lambda: fail(KeyboardInterrupt())) == INTERRUPTED
    assert capsys.readouterr().err == "tool: interrupted; run the same command again, from the start\n"


def test_a_mistake_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_status("tool", lambda: fail(ZeroDivisionError()))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_enough_is_no_error(lines):
    """Whether the output fits into Python's buffer, and so is written at the end, or not."""
    program = (
        "import sys, time; from E3PoseLib.running.ending import exit_status; time.sleep(0.5); "
        f"sys.exit(exit_status('tool', lambda: print('a line\\n' * {lines})))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == NO_READER


def test_an_interrupt_waits_for_what_must_not_be_cut():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    steps = []
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_wait():
            signal.raise_signal(signal.SIGINT)
            steps.append("whole")
        assert steps == ["whole"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with interrupts_wait():
            steps.append("nothing came")
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps[-1] == "nothing came"
