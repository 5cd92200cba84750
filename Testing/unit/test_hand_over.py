"""The voxels that a thread hands over to the worker."""

import threading

import numpy as np
import pytest

from E3PoseLib.errors import VolumeError, WorkerError
from E3PoseLib.running.worker import hand_over
from E3PoseLib.running.worker.hand_over import HandOver, write_array


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(hand_over, "CHUNK_BYTES", 1000)


@pytest.mark.parametrize("kind", [np.int16, np.float32, ">i2", bool])
def test_any_array_arrives_as_it_is(tmp_path, kind):
    array = np.random.default_rng(0).integers(0, 2, (9, 10, 11)).astype(kind)
    for index, given in enumerate((array, np.asfortranarray(array), array[::2, :, 1:], array.transpose(1, 2, 0))):
        file = tmp_path / f"{index}.npy"
        HandOver({file: given}, lambda: None).finish()
        found = np.load(file)
        assert np.array_equal(found, given) and found.dtype == given.dtype


def test_nothing_is_copied_of_what_lies_in_order(monkeypatch, tmp_path):
    array = np.zeros((10, 10, 10), order="F")
    monkeypatch.setattr(np, "asfortranarray", None)  # what would copy
    HandOver({tmp_path / "array.npy": array}, lambda: None).finish()


def test_a_change_meanwhile_is_told_by_whoever_knows(tmp_path):
    def check():
        raise VolumeError("changed")

    with pytest.raises(VolumeError, match="changed"):
        HandOver({tmp_path / "array.npy": np.zeros(5)}, check).finish()


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(WorkerError, match="cannot hand the scan to the worker"):
        HandOver({tmp_path / "gone" / "array.npy": np.zeros(5)}, lambda: None).finish()


def test_it_stops_between_two_chunks(tmp_path):
    stopped = threading.Event()
    stopped.set()
    write_array(tmp_path / "array.npy", np.zeros(5000), stopped)
    assert (tmp_path / "array.npy").stat().st_size < 200
