"""PyTorch's threads do not keep the processor from each other while they wait, unless the user wants it so."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "100000"),
        ({"GOMP_SPINCOUNT": "5"}, "5"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
    ],
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(given, expected):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    asked = "import sys, os, E3PoseLib; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environment | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [expected, "False"]
