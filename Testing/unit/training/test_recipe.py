"""The recipe can make the networks from every kind of scan, and does so only where it is asked to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from E3PoseTraining.synthesis.kinds import KINDS
from E3PoseTraining.synthesize import share

RECIPE = Path(__file__).parents[3] / "E3PoseTraining" / "recipe" / "default.mk"


def stages(work: Path, *variables: str) -> dict[str, list[str]]:
    """The recipe's commands of this package by name."""
    command = ["make", "--dry-run", "--file", str(RECIPE), "BRAINS=maps", f"WORK={work}", *variables, "model"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.replace("\\\n", " ").splitlines()
    found: dict[str, list[str]] = {}
    for words in (line.split() for line in lines if " -m E3PoseTraining." in line):
        found.setdefault(words[2].removeprefix("E3PoseTraining."), []).append(" ".join(words[3:]))
    return found


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_all_kinds_are_learned_where_that_is_asked_for(tmp_path):
    scouts, everything = stages(tmp_path), stages(tmp_path, "KINDS=all", "TIMES=2")
    assert {name: len(lines) for name, lines in scouts.items()} == {name: len(s) for name, s in everything.items()}
    # But for what is of every kind in both (places in the head, the second opinion, calibration), and brains alone.
    with_kinds = [line for lines in scouts.values() for line in lines if "--kinds" in line or "--shading" in line]
    alone = [line for line in with_kinds if "/brains_alone" in line and line.count("--kinds") == 1]
    assert len(alone) == 3 and all("--kinds brain-only=1" in line for line in alone)
    others = [line for line in with_kinds if line not in alone]
    every = [line for line in others if any(part in line for part in ("_every", "/heads_hard", "/second_"))]
    assert len(every) == 5 + 6 and sum("--max_passes 6 --shading 0.3" in line for line in every) == 6
    others = [line for line in others if line not in every]
    assert len(others) == 1 and "/calibration" in others[0]
    for line in everything["synthesize"]:
        if "/brains_alone" in line:
            assert line.rindex("--kinds") == line.index("--kinds brain-only=1")
            continue
        if "_every" in line or "/heads_hard" in line:
            assert "brain-only" not in line[line.rindex("--kinds") :]
            continue
        words = line.split()
        first = words.index("--kinds") + 1
        shares = dict(share(word) for word in words[first:] if "=" in word)
        assert shares.keys() == KINDS.keys()
    for line in everything["train_unet"] + everything["train_e3cnn"]:
        assert "--max_passes 6 --shading 0.3" in line
    for name in ("models.join", "models.card", "calibrate"):  # what is out of date is made anew in its place
        assert scouts[name] and all("--overwrite" in line for line in scouts[name])
    # Scans that cannot be used, which status 1 tells, end nothing.
    collected = [line for line in scouts["calibrate"] if line.startswith("collect")]
    for line, table in zip(collected, ("evidence_first.csv", "evidence.csv"), strict=True):
        assert f"-o {tmp_path / table} " in line and line.endswith("|| [ $? -eq 1 ]")
    assert sum("* 2))" in line for line in everything["synthesize"]) == 10 + 3 + 1
