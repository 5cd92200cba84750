"""Data sets are found, checked by name, and read as inference sees them."""

import gzip
import os
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose
from torch.utils.data import DataLoader

from E3PoseLib.errors import DatasetError, TrainingError
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume
from E3PoseTraining.augmentation.grid import object_points
from E3PoseTraining.augmentation.intensity import RandNoise
from E3PoseTraining.data.annotations import axes_from_pose, pose_rotation_from_axes
from E3PoseTraining.data.datasets import EpochSampler, PreparedScans, ScanDataset, load_sample
from E3PoseTraining.data.dhcp import prepare_dhcp
from E3PoseTraining.data.folders import Case, find_cases, split_by_fold
from E3PoseTraining.data.sources import find_both_sides
from E3PoseTraining.prepare import main as prepare


def cases_of(folder):
    return find_cases(folder / "images", folder / "labels", folder / "annotations.csv")


def test_scans_pair_with_labels_and_annotations(data):
    cases = cases_of(data / "train")
    assert [case.frame_id for case in cases] == [f"head_1_{i:02d}" for i in range(8)]
    assert all(np.allclose(case.axes @ case.axes.T, np.eye(3)) for case in cases)


def test_left_handed_file_gives_the_sample_of_its_right_handed_twin(own_data):
    case = cases_of(own_data)[0]
    volume, label = read_volume(case.image), read_volume(case.label)
    pose = np.eye(4)
    pose[:3, :3] = pose_rotation_from_axes(case.axes, volume.voxel_to_ras)
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = volume.shape[0] - 1
    for folder, scan in (("images", volume), ("labels", label)):
        twin = Volume(np.ascontiguousarray(scan.array[::-1]), scan.voxel_to_ras @ mirror)
        write_volume(own_data / folder / "twin.nii.gz", twin)
    twin_axes = axes_from_pose(pose, volume.voxel_to_ras @ mirror)
    twin = Case("twin", own_data / "images" / "twin.nii.gz", own_data / "labels" / "twin.nii.gz", twin_axes)

    first, second = load_sample(case, 6.0, 3), load_sample(twin, 6.0, 3)

    assert torch.equal(first.image, second.image) and torch.equal(first.label, second.label)
    assert torch.allclose(first.axes, second.axes, atol=1e-9)
    assert first.image.min() == 0 and first.image.max() == 1


def test_eyes_lie_where_the_axes_say(data):
    for case in cases_of(data / "train"):
        sample = load_sample(case, 6.0, 3)
        eyes = (sample.label[0] == 2).nonzero().float().mean(0) - (torch.tensor(sample.shape) - 1) / 2
        forward = (eyes - object_points(sample.label).mean(0)).double()
        right, anterior, superior = (sample.axes @ (forward / forward.norm())).tolist()
        # Drawn at (0, 46, −20) from the centre: 0, 0.92, −0.40; the grid has 6 mm voxels.
        assert [right, anterior, superior] == pytest.approx([0, 0.917, -0.399], abs=0.08)


def test_a_skull_stripped_brain_is_read_with_surroundings_as_at_inference(own_data):
    case = cases_of(own_data)[0]
    whole = load_sample(case, 6.0, 3)
    volume, label = read_volume(case.image), read_volume(case.label)
    brain = label.array == 1
    write_volume(case.image, Volume(np.where(brain, volume.array, 0).astype(np.float32), volume.voxel_to_ras))
    write_volume(case.label, Volume(brain.astype(np.uint8), volume.voxel_to_ras))

    sample = load_sample(case, 6.0, 3)

    margin = round(45 / 6)
    assert sample.shape == tuple(n + 2 * margin for n in whole.shape)
    inner = tuple(slice(margin, -margin) for _ in range(3))
    assert torch.equal(sample.label[0][inner] == 1, whole.label[0] == 1)
    # Grey with noise beyond the brain, which is brighter.
    outside, inside = sample.image[0][sample.label[0] == 0], sample.image[0][sample.label[0] == 1]
    assert outside.mean() == pytest.approx(0.1, abs=0.03) and outside.std() > 0.01
    assert inside.median() > 0.5
    assert torch.equal(sample.axes, whole.axes)


def remove_label(folder):
    (folder / "labels" / "head_3_01.nii.gz").unlink()


def remove_image(folder):
    (folder / "images" / "head_3_01.nii.gz").unlink()


def forget_frame(folder):
    lines = (folder / "annotations.csv").read_text().splitlines()
    (folder / "annotations.csv").write_text("\n".join(line for line in lines if "head_3_01" not in line) + "\n")


def drop_object(folder):
    path = folder / "labels" / "head_3_01.nii.gz"
    label = read_volume(path)
    write_volume(path, Volume(np.where(label.array == 1, 0, label.array), label.voxel_to_ras))


def add_class(folder):
    path = folder / "labels" / "head_3_01.nii.gz"
    label = read_volume(path)
    write_volume(path, Volume(np.where(label.array == 2, 7, label.array), label.voxel_to_ras))


def crop_label(folder):
    path = folder / "labels" / "head_3_01.nii.gz"
    label = read_volume(path)
    write_volume(path, Volume(label.array[:-2], label.voxel_to_ras))


def move_label(folder):
    path = folder / "labels" / "head_3_01.nii.gz"
    label = read_volume(path)
    elsewhere = label.voxel_to_ras.copy()
    elsewhere[0, 3] += 40
    write_volume(path, Volume(label.array, elsewhere))


def cut_image_short(folder):
    path = folder / "images" / "head_3_01.nii.gz"
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[: len(content) // 2]))


def write_text_for_image(folder):
    (folder / "images" / "head_3_01.nii.gz").write_text("not an image")


def make_constant(folder):
    path = folder / "images" / "head_3_01.nii.gz"
    image = read_volume(path)
    write_volume(path, Volume(np.ones_like(image.array), image.voxel_to_ras))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_label, "images/head_3_01.nii.gz has no label"),
        (remove_image, "labels/head_3_01.nii.gz has no image"),
        (forget_frame, "head_3_01.nii.gz has no row in"),
        (drop_object, "labels/head_3_01.nii.gz has no voxel of the object"),
        (add_class, "labels/head_3_01.nii.gz holds the values 0, 1, 7"),
        (crop_label, "labels/head_3_01.nii.gz has shape"),
        (move_label, "labels/head_3_01.nii.gz lies elsewhere"),
        (cut_image_short, "images/head_3_01.nii.gz: the file is damaged or cut short"),
        (write_text_for_image, "images/head_3_01.nii.gz: not a NIfTI file"),
        (make_constant, "images/head_3_01.nii.gz: all voxels have the same value"),
    ],
)
def test_bad_scan_is_named_before_training(own_data, spoil, message):
    spoil(own_data)
    with pytest.raises(DatasetError, match=message):
        ScanDataset(cases_of(own_data), 6.0, 3)


def test_all_bad_scans_are_named_at_once(own_data):
    drop_object(own_data)
    (own_data / "images" / "head_3_02.nii.gz").write_text("not an image")
    with pytest.raises(DatasetError) as error:
        ScanDataset(cases_of(own_data), 6.0, 3)
    assert "2 problems" in str(error.value) and "head_3_01" in str(error.value) and "head_3_02" in str(error.value)


def test_scans_beyond_the_memory_budget_are_read_again(own_data):
    kept, read = ScanDataset(cases_of(own_data), 6.0, 3), ScanDataset(cases_of(own_data), 6.0, 3, memory_gb=0)
    for index in range(3):
        assert kept[index].image is kept[index].image and read[index].image is not read[index].image
        assert torch.equal(kept[index].image, read[index].image)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_shows_every_scan_in_its_own_way_whoever_reads_it(own_data, workers):
    scans = ScanDataset(cases_of(own_data), 6.0, 3)
    shown = PreparedScans(scans, lambda sample: sample, Compose([RandNoise(0.1)]), seed=5)
    sampler = EpochSampler(shown, 1, 0, shuffle=True, seed=5)
    loader = DataLoader(shown, 1, sampler=sampler, num_workers=workers, collate_fn=list, persistent_workers=workers > 0)
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        images = [sample.image for (sample,) in loader]
        expected = [shown[epoch, index].image for _, index in sampler]
        assert all(map(torch.equal, images, expected))
        epochs.append({index: image for (_, index), image in zip(sampler, images, strict=True)})
    assert not any(torch.equal(epochs[0][index], epochs[1][index]) for index in range(3))
    other_seed = PreparedScans(scans, lambda sample: sample, Compose([RandNoise(0.1)]), seed=6)
    assert not torch.equal(other_seed[0, 0].image, shown[0, 0].image)
    untouched = PreparedScans(scans, lambda sample: sample)
    assert untouched[1, 0].image is scans[0].image


def test_folds_of_one_csv_split_a_folder(own_data):
    cases = cases_of(own_data)
    table = own_data / "folds.csv"
    table.write_text("frame_id,fold\nhead_3_00,train\nhead_3_01,val\nhead_3_02,test\n")
    training, validation = split_by_fold(cases, table, None)
    assert [c.frame_id for c in training] == ["head_3_00"] and [c.frame_id for c in validation] == ["head_3_01"]

    table.write_text("frame_id,fold\nhead_3_00,0\nhead_3_01,1\nhead_3_02,2\n")
    training, validation = split_by_fold(cases, table, "2")
    assert len(training) == 2 and [c.frame_id for c in validation] == ["head_3_02"]
    with pytest.raises(DatasetError, match="not train and val"):
        split_by_fold(cases, table, None)
    with pytest.raises(DatasetError, match="3 scans to train and 0 to validate"):
        split_by_fold(cases, table, "9")


def test_the_folds_train_val_and_test_are_known_in_any_case(own_data):
    cases = cases_of(own_data)
    table = own_data / "folds.csv"
    table.write_text("frame_id,fold\nhead_3_00,Train\nhead_3_01,VAL\nhead_3_02,Test\n")
    for chosen in (None, "val", "Val"):
        training, validation = split_by_fold(cases, table, chosen)
        assert [[case.frame_id for case in side] for side in (training, validation)] == [["head_3_00"], ["head_3_01"]]
    # Other names are what they are.
    table.write_text("frame_id,fold\nhead_3_00,a\nhead_3_01,A\nhead_3_02,TEST\n")
    training, validation = split_by_fold(cases, table, "A")
    assert [[case.frame_id for case in side] for side in (training, validation)] == [["head_3_00"], ["head_3_01"]]


def test_folds_without_a_meaning_are_named_and_not_left_out(own_data):
    cases = cases_of(own_data)
    table = own_data / "folds.csv"
    table.write_text("frame_id,fold\nhead_3_00,train\nhead_3_01,val\nhead_3_02,site B\n")
    with pytest.raises(DatasetError, match=r"has the folds site B\. Say with --val_fold which validates"):
        split_by_fold(cases, table, None)
    training, _ = split_by_fold(cases, table, "val")
    assert [case.frame_id for case in training] == ["head_3_00", "head_3_02"]


def test_a_fetus_is_on_one_side_alone(own_data):
    cases = cases_of(own_data)
    table = own_data / "folds.csv"
    rows = "frame_id,fold,fetus\nhead_3_00,train,{}\nhead_3_01,val,{}\nhead_3_02,test,f1\n"
    table.write_text(rows.format("f1", " f1"))
    with pytest.raises(DatasetError, match="the same fetus trains and validates: f1"):
        split_by_fold(cases, table, None)
    for apart in (("f1", "f2"), ("", "")):  # where it is not told, nothing is known
        table.write_text(rows.format(*apart))
        assert [len(side) for side in split_by_fold(cases, table, None)] == [1, 1]


def test_a_scan_that_trains_does_not_validate(own_data, data, tmp_path):
    paths = [str(own_data / name) for name in ("images", "labels", "annotations.csv")]
    others = [str(data / "val" / name) for name in ("images", "labels", "annotations.csv")]
    assert [len(side) for side in find_both_sides([*paths, *others, "run"], None, True, "")[:2]] == [3, 2]
    with pytest.raises(DatasetError, match=r"3 problems:\n.*images/head_3_00.nii.gz both trains and validates"):
        find_both_sides([*paths, *paths, "run"], None, True, "")
    # By a link of either kind: sets of the project are hard links.
    for kind in (os.symlink, os.link):
        for name in ("images", "labels"):
            (tmp_path / kind.__name__ / name).mkdir(parents=True)
            kind(own_data / name / "head_3_01.nii.gz", tmp_path / kind.__name__ / name / "other.nii.gz")
        linked = [str(tmp_path / kind.__name__ / name) for name in ("images", "labels")]
        with pytest.raises(DatasetError, match=r"other.nii.gz both trains and validates"):
            find_both_sides([*paths[:2], *linked, "run"], None, False, "")


def test_a_fold_to_validate_is_refused_where_no_table_names_folds(own_data, data):
    kinds = ("images", "labels", "annotations.csv")
    paths = [str(folder / name) for folder in (own_data, data / "val") for name in kinds]
    with pytest.raises(TrainingError, match="--val_fold A is of one CSV that names folds"):
        find_both_sides([*paths, "run"], "A", True, "")


def test_names_may_be_in_capitals_and_other_images_are_named(own_data, tmp_path, capsys):
    before = load_sample(cases_of(own_data)[1], 6.0, 3)
    for folder in ("images", "labels"):
        first, second, third = sorted((own_data / folder).iterdir())
        first.rename(first.with_name("head_3_00.NII.GZ"))
        second.rename(second.with_name("head_3_01.Nii.gz"))
        third.with_name("head_3_02.nii").write_bytes(gzip.decompress(third.read_bytes()))
        third.unlink()
        for other in ("left.nrrd", "right.MHA"):
            (own_data / folder / other).write_bytes(b"")
    cases = cases_of(own_data)
    assert [case.frame_id for case in cases] == ["head_3_00", "head_3_01", "head_3_02"]
    scans = ScanDataset(cases, 6.0, 3)
    assert len(scans) == 3 and torch.equal(scans[1].image, before.image)
    table = own_data / "folds.csv"
    table.write_text("frame_id,fold\nhead_3_00,train\nhead_3_01,val\nhead_3_02,train\n")
    find_both_sides([*(str(own_data / name) for name in ("images", "labels", "folds.csv")), "run"], None, False, "")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "images/left.nrrd and 1 more there; training reads .nii and .nii.gz" in said
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "scan.nrrd").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no .nii or .nii.gz file, but images of other kinds, such as scan.nrrd"):
        find_cases(tmp_path / "others", own_data / "labels")


def test_dhcp_release_becomes_a_data_set(tmp_path):

    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    frames = np.random.default_rng(0).random((10, 11, 12, 3)).astype(np.float32)
    func = tmp_path / "release" / "sub-CC00100XX01" / "ses-20300" / "func"
    func.mkdir(parents=True)
    nib.save(nib.Nifti1Image(frames, affine), func / "sub-CC00100XX01_ses-20300_task-rest_bold.nii.gz")
    labels = tmp_path / "annotations" / "labels"
    labels.mkdir(parents=True)
    frame = "sub-CC00100XX01_ses-20300_0002"
    write_volume(labels / f"{frame}.nii.gz", Volume((frames[..., 0] > 0.5).astype(np.uint8), affine))
    (tmp_path / "annotations" / "annotations.csv").write_text(f"frame_id,rot_x,rot_y,rot_z\n{frame},10,20,30\n")
    output = tmp_path / "out"
    for name in ("images", "labels"):
        (output / name).mkdir(parents=True)

    assert prepare_dhcp(tmp_path / "release", tmp_path / "annotations", output) == [frame]

    assert np.array_equal(read_volume(output / "images" / f"{frame}.nii.gz").array, frames[..., 2])
    assert len(cases_of(output)) == 1
    (func / "sub-CC00100XX01_ses-20300_task-rest_bold.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"ses-20300 should hold one \*_bold.nii.gz"):
        prepare_dhcp(tmp_path / "release", tmp_path / "annotations", output)


def test_repeats_show_a_training_scan_more_often_and_differently_and_a_validation_scan_once(own_data):
    table = own_data / "folds.csv"
    table.write_text("frame_id,fold,repeats\nhead_3_00,train,3\nhead_3_01,val,5\nhead_3_02,train,\n")
    training, validation = split_by_fold(cases_of(own_data), table, None)
    scans = ScanDataset(training, 6.0, 3)
    assert len(scans) == 4 and len(ScanDataset(validation, 6.0, 3)) == 1
    assert scans[0].image is scans[2].image and scans[0].image is not scans[3].image
    shown = PreparedScans(scans, lambda sample: sample, Compose([RandNoise(0.1)]))
    assert not torch.equal(shown[0, 0].image, shown[0, 2].image)
    table.write_text("frame_id,fold,repeats\nhead_3_00,train,0\nhead_3_01,val,1\nhead_3_02,train,1\n")
    with pytest.raises(DatasetError, match="'0' repeats"):
        split_by_fold(cases_of(own_data), table, None)


def test_mixing_keeps_folds_and_repeats_real_scans(own_data, tmp_path):
    real = tmp_path / "real"
    for folder in ("images", "labels"):
        (real / folder).mkdir(parents=True)
        shutil.copyfile(own_data / folder / "head_3_00.nii.gz", real / folder / "scan_a.nii.gz")
    (real / "annotations.csv").write_text("frame_id,rot_x,rot_y,rot_z,fold\nscan_a,1,2,3,A\n")
    output = tmp_path / "mixed"
    command = ["mix", str(own_data), str(real), "--repeats", "4", "--validation", "1", "-o", str(output)]
    assert prepare([*command]) == 0
    cases = find_cases(output / "images", output / "labels", output / "annotations.csv")
    training, validation = split_by_fold(cases, output / "annotations.csv", "A")
    assert [case.frame_id for case in validation] == ["scan_a"]
    assert [case.frame_id for case in training] == ["head_3_00", "head_3_01", "head_3_02"]
    training, validation = split_by_fold(cases, output / "annotations.csv", "val")
    assert [case.frame_id for case in validation] == ["head_3_02"]
    assert {case.frame_id: case.repeats for case in training} == {"head_3_00": 1, "head_3_01": 1, "scan_a": 4}


def test_mixing_refuses_too_few_scans_and_equal_names(own_data, tmp_path, capsys):
    command = ["mix", str(own_data), str(own_data), "-o", str(tmp_path / "a")]
    assert prepare(command) != 0 and "more than the 40" in capsys.readouterr().err
    table = own_data / "annotations.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0] + ",fold", *(row + ",A" for row in rows[1:])]) + "\n")
    command = ["mix", str(own_data), str(own_data), "--validation", "1", "-o", str(tmp_path / "b")]
    assert prepare(command) != 0 and "both a synthetic and a real scan" in capsys.readouterr().err
