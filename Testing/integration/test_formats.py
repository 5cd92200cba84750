"""One pose of the sample, whatever the format of its file."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from E3PoseLib import PoseEstimator, load_model, read_volume
from E3PoseLib.imaging.geometry import LPS_TO_RAS, direction_cosines, pose_difference
from E3PoseLib.models.catalog import resources, sample_scan


@pytest.fixture(scope="module")
def estimator():
    # By its file: the panel's tests install a small model of the same name in this process.
    return PoseEstimator(load_model(resources() / "Models" / "default.safetensors"), device="cpu")


@pytest.fixture(scope="module")
def sample():
    return read_volume(sample_scan())


@pytest.fixture(scope="module")
def pose(estimator, sample):
    return estimator.estimate(sample).canonical_to_ras


def check(estimator, pose, path):
    scan = read_volume(path)
    estimate = estimator.estimate(scan)
    degrees, mm = pose_difference(estimate.canonical_to_ras, pose)
    assert degrees < 0.01 and mm < 0.01
    assert scan.doubts == () and estimate.confidence.level == "high"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scan.nii", nib.Nifti1Image),
        ("scan.nii.gz", nib.Nifti2Image),
        ("scan.img", nib.Nifti1Pair),
        ("scan.mgz", nib.MGHImage),
    ],
    ids=["NIfTI-1", "NIfTI-2", "pair", "MGZ"],
)
def test_formats_of_nibabel(estimator, sample, pose, tmp_path, name, kind):
    nib.save(kind(sample.array, sample.voxel_to_ras), tmp_path / name)
    check(estimator, pose, tmp_path / name)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_formats_of_itk(estimator, sample, pose, tmp_path, name):
    sitk = pytest.importorskip("SimpleITK", reason="needs the optional package SimpleITK")
    image = sitk.GetImageFromArray(sample.array.transpose())
    image.SetSpacing(sample.spacing.tolist())
    image.SetOrigin((LPS_TO_RAS @ sample.voxel_to_ras)[:3, 3].tolist())
    image.SetDirection((LPS_TO_RAS[:3, :3] @ direction_cosines(sample.voxel_to_ras)).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / name), True)
    check(estimator, pose, tmp_path / name)


@pytest.mark.parametrize("as_mosaic", [False, True], ids=["one file a slice", "mosaic"])
def test_dicom(estimator, sample, pose, tmp_path, as_mosaic):
    pytest.importorskip("pydicom", reason="needs the optional package pydicom")
    pytest.importorskip("dcm2niix", reason="needs the optional package dcm2niix")
    from dicom_files import write_mosaic, write_series

    scan = replace(sample, array=sample.array.astype(np.uint16))
    (write_mosaic if as_mosaic else write_series)(tmp_path / "exam", scan)
    check(estimator, pose, tmp_path / "exam")
