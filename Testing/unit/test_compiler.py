"""torch's compiler is not loaded to be told what to leave alone, and works where somebody wants it."""

import subprocess
import sys

START = """
import sys
import torch
from E3PoseLib.compiler import compiler_left_out
"""

ESTIMATES = """
from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.models.catalog import sample_scan
from E3PoseLib.imaging.volume import read_volume
PoseEstimator(load_model("default"), "cpu").estimate(read_volume(sample_scan()))
assert not any(name.startswith("torch._dynamo") for name in sys.modules)
assert "_dynamo" not in vars(torch)
"""

METHODS = """
from importlib import import_module
from E3PoseTraining.methods.registry import METHODS
optional = {"registration.by_ants", "registration.by_fireants"}
for module in {entry.partition(":")[0] for entry in METHODS.values()} - optional:
    import_module(f"E3PoseTraining.methods.{module}")
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"lightning", "monai", "torchmetrics"}, loaded
assert not any(name.startswith("torch._dynamo") for name in sys.modules)
"""

COMPILES = """
from e3nn.o3 import change_basis_real_to_complex
from E3PoseLib.imaging.rotations import orthonormalise

def both(matrix):
    return change_basis_real_to_complex(1).abs().sum() * orthonormalise(matrix)

matrix = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
plain, calls = both(matrix), []

def backend(graph, inputs):
    calls.append(graph)
    return graph.forward

assert torch.allclose(torch.compile(both, backend=backend)(matrix), plain)
assert calls
"""

LEFT_ALONE = """
counted = []

def count():
    counted.append(1)
    return torch.zeros(1)

with compiler_left_out():
    one = torch.compiler.disable(count)
    two = torch.compiler.disable(recursive=True, reason="of counting")(lambda: count())

def backend(graph, inputs):
    raise AssertionError("compiled")

assert one() == two() == 0 and len(counted) == 2
for function in (one, two):
    assert torch.compile(function, backend=backend)() == 0
"""

MORE_IS_ASKED = """
with compiler_left_out():
    import torch._dynamo
    import torch._dynamo.config
    assert not torch._dynamo.is_compiling()
loaded = sys.modules["torch._dynamo"]
assert loaded.__file__ and torch._dynamo is loaded
with compiler_left_out():
    assert sys.modules["torch._dynamo"] is loaded
assert sys.modules["torch._dynamo"] is loaded
"""


def run(program: str) -> None:
    result = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_estimate_does_without_the_compiler_and_leaves_no_trace_of_that():
    run(ESTIMATES)


def test_methods_are_called_without_what_trains_them():
    run(METHODS)


def test_functions_of_libraries_that_were_imported_so_can_be_compiled_into_others():
    run(COMPILES)


def test_functions_that_are_to_be_left_alone_are():
    run(LEFT_ALONE)


def test_the_compiler_is_loaded_once_more_is_asked_of_it():
    run(MORE_IS_ASKED)
