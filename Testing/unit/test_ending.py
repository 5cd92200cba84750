"""How commands end: one line and a status for each way."""

import pytest

from E3PoseLib.ending import INTERRUPTED, SUCCESS, WRONG_USAGE, exit_status
from E3PoseLib.errors import DatasetError


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


def test_a_mistake_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_status("tool", lambda: fail(ZeroDivisionError()))
