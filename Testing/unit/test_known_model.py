"""The model of results is known by its files, as long as these still mean the same model."""

import hashlib
from dataclasses import replace

from made_results import WITH_ALL, make_scan, write_made

from E3PoseLib.running.results.folder import prepare_folder
from E3PoseLib.running.results.known_model import known_identity, model_file_hash


def test_results_of_a_pair_are_not_known_by_what_it_meant_before_its_settings_were_read(tmp_path):
    pair = {"unet": tmp_path / "unet.ckpt", "e3cnn": tmp_path / "e3cnn.pth"}
    for name, path in pair.items():
        path.write_bytes(name.encode())
    before = hashlib.sha256(b"unet.ckpt\0unet" + b"e3cnn.pth\0e3cnn").hexdigest()
    out, task = prepare_folder(tmp_path / "out"), make_scan(tmp_path / "scans")
    write_made(out, task, replace(WITH_ALL, model_file=before))
    assert known_identity(out, [task], before) == "model-1"
    now = model_file_hash(pair)
    assert known_identity(out, [task], now) is None
    write_made(out, task, replace(WITH_ALL, model="model-2", model_file=now))
    assert known_identity(out, [task], now) == "model-2"


def test_results_of_a_model_file_are_known_by_its_bytes_alone(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    out, task = prepare_folder(tmp_path / "out"), make_scan(tmp_path / "scans")
    write_made(out, task, replace(WITH_ALL, model_file=hashlib.sha256(b"weights").hexdigest()))
    assert known_identity(out, [task], model_file_hash({"source": path})) == "model-1"
