"""What Slicer's build installs is what there is: every file of the module stands in its CMake list."""

import json
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MODULE = REPOSITORY / "E3Pose"


def listed(name: str) -> set[str]:
    """The entries of a CMake ``set(name ...)`` of the module."""
    text = re.sub(r"#.*", "", (MODULE / "CMakeLists.txt").read_text())
    body = re.search(rf"set\({name}\s+(.*?)\)", text, re.DOTALL)[1]
    return {entry.replace("${MODULE_NAME}", "E3Pose") for entry in body.split()}


def present(*folders: str, pattern: str = "*") -> set[str]:
    files = [file for folder in folders for file in (MODULE / folder).rglob(pattern)]
    return {
        file.relative_to(MODULE).as_posix()
        for file in files
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
    }


def test_every_script_is_listed():
    expected = {"E3Pose.py"} | present("E3PoseLib", "E3PosePanel", pattern="*.py")
    assert listed("MODULE_PYTHON_SCRIPTS") == expected


def test_every_resource_is_listed():
    assert listed("MODULE_PYTHON_RESOURCES") == present("Resources", "Scripts")


def test_every_test_is_registered():
    text = (MODULE / "Testing" / "Python" / "CMakeLists.txt").read_text()
    registered = set(re.findall(r"slicer_add_python_unittest\(SCRIPT (\S+)\)", text))
    assert registered == {file.name for file in (MODULE / "Testing" / "Python").glob("*.py")}


def test_the_extension_and_its_catalog_entry_agree():
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    entry = json.loads((REPOSITORY / "docs" / "slicer" / "E3Pose.json").read_text())
    assert re.search(r'set\(EXTENSION_DEPENDS "([^"]*)"', text)[1].split() == entry["build_dependencies"] == ["PyTorch"]
    homepage = re.search(r'set\(EXTENSION_HOMEPAGE "([^"]*)"', text)[1]
    assert entry["scm_url"] == homepage
    for picture in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        url = re.search(rf'set\({picture} "([^"]*)"', text)[1]
        assert url.startswith(f"{homepage}/raw/main/")
        assert (REPOSITORY / url.removeprefix(f"{homepage}/raw/main/")).is_file()
    assert re.search(r"project\((\w+)\)", text)[1] == "E3Pose"
    assert (REPOSITORY / "E3Pose.png").is_file()
