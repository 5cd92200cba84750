"""Files that a command writes together: all of them or the ones before, and nobody else's."""

import os

import pytest
from made_results import contents, killed

from E3PoseLib.errors import OutputError
from E3PoseLib.running.results.bundle import Bundle


def made(folder, *kinds) -> Bundle:
    """A bundle of text files; those of a kind with a slash go into a folder in it."""
    folder.mkdir(exist_ok=True)
    return Bundle(folder, "own", {kind: folder / f"{kind}.txt" for kind in (*kinds, "json")}, "test-1")


def write(bundle, word, **settings) -> None:
    document = {"format": bundle.format, "input": "scan", "settings": settings}
    with bundle.written(document) as parts:
        for kind, part in parts.items():
            part.write_text(f"{kind}: {word}", encoding="utf-8")


def test_the_document_states_the_files_and_is_compared_with_them(tmp_path):
    bundle = made(tmp_path, "a", "deeper/b")
    assert not bundle.is_whole() and bundle.document() is None
    write(bundle, "first", spacing=1)
    assert sorted(contents(tmp_path)) == ["a.txt", "deeper/b.txt", "json.txt"] and bundle.is_whole()
    assert bundle.document()["files"]["a"]["bytes"] == len("a: first")
    (tmp_path / "deeper" / "b.txt").write_text("b: edited")
    assert not bundle.is_whole()


def test_files_that_the_new_results_do_not_have_go_but_none_outside(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("somebody's")
    bundle = made(tmp_path / "out", "a", "b")
    write(bundle, "first")
    document = tmp_path / "out" / "json.txt"
    document.write_text(document.read_text().replace('"b.txt"', '"../outside.txt"'))
    write(made(tmp_path / "out", "a"), "second")
    assert outside.read_text() == "somebody's" and (tmp_path / "out" / "b.txt").is_file()
    write(bundle, "third")
    write(made(tmp_path / "out", "a"), "fourth")
    assert sorted(contents(tmp_path / "out")) == ["a.txt", "json.txt"]


def test_other_peoples_files_and_results_of_other_settings_stay(tmp_path):
    bundle = made(tmp_path, "a")
    origin = {"format": "test-1", "input": "scan", "settings": {"spacing": 1}}
    bundle.stands(origin)
    (tmp_path / "a.txt").write_text("typed by hand")
    with pytest.raises(OutputError, match=r"a\.txt: is no result of this command"):
        bundle.stands(origin)
    write(bundle, "first", spacing=1)
    bundle.stands(origin)
    for other, word in (({"input": "other"}, "input 'scan', not 'other'"), ({"settings": {"spacing": 2}}, "spacing 1")):
        with pytest.raises(OutputError, match=word):
            bundle.stands({**origin, **other})
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        bundle.check_no_folders()


def test_what_somebody_has_edited_stays_though_the_new_results_would_not_have_it(tmp_path):
    origin = {"format": "test-1", "input": "scan", "settings": {}}
    write(made(tmp_path, "a", "b"), "first")
    fewer = made(tmp_path, "a")
    assert not fewer.stands(origin) and fewer.stands(origin, is_current=lambda: True)
    (tmp_path / "b.txt").write_text("b: edited")
    with pytest.raises(OutputError, match=r"b\.txt: was edited"):
        fewer.stands(origin)
    assert fewer.stands(origin, is_current=lambda: True)  # then nothing is replaced


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")
@pytest.mark.parametrize("before", [False, True])
def test_wherever_it_is_killed_the_next_run_completes(tmp_path, before):
    number, stopped = 0, 0
    while True:
        bundle = made(tmp_path / str(number), "a", "deeper/b")
        if before:
            write(bundle, "first")
        ended = not killed(number, lambda bundle=bundle: write(bundle, "second"))
        if bundle.is_whole():
            words = {text.split(b": ")[1] for name, text in contents(bundle.folder).items() if name != "json.txt"}
            assert words in ({b"first"}, {b"second"})
        else:
            stopped += (bundle.folder / "own.unfinished").exists()
        bundle.stands({"format": "test-1", "input": "scan", "settings": {}})
        write(bundle, "third")
        assert bundle.is_whole() and contents(bundle.folder)["a.txt"] == b"a: third"
        assert sorted(contents(bundle.folder)) == ["a.txt", "deeper/b.txt", "json.txt"]
        if ended:
            break
        number += 1
    assert number > 8 and stopped >= 3
