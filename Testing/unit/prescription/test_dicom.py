"""DICOM attributes of a stack: files written with them say where the stack lies."""

import numpy as np
import pytest

from E3PoseLib.imaging.geometry import LPS_TO_RAS, rigid
from E3PoseLib.prescription import PLANES, StackSettings, dicom_numbers, image_positions, plan_stack

pydicom = pytest.importorskip("pydicom", reason="needs pydicom, of the optional packages 'formats'")

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
SETTINGS = StackSettings((240, 160), (24, 20), thickness=4, gap=0.5)


@pytest.fixture(params=PLANES)
def stack(request, head_and_mask):
    pose, mask = head_and_mask
    return plan_stack(request.param, pose, mask.array, mask.voxel_to_ras, SETTINGS)


def write_series(folder, stack) -> None:
    """The stack as empty images, a file each."""
    numbers = dicom_numbers(stack)
    series, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    for index, position in enumerate(numbers.pop("ImagePositionPatient")):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = MR_IMAGE_STORAGE
        meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        path = folder / f"{index:03}.dcm"
        image = pydicom.dataset.FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        image.SeriesInstanceUID, image.StudyInstanceUID, image.Modality = series, study, "MR"
        image.InstanceNumber = index + 1
        for keyword, value in {**numbers, "ImagePositionPatient": position}.items():
            decimal = pydicom.datadict.dictionary_VR(keyword) == "DS"
            setattr(image, keyword, as_decimals(value) if decimal else value)
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit = 15
        image.PixelData = np.full((image.Rows, image.Columns), index, np.uint16).tobytes()
        image.save_as(path, enforce_file_format=True)


def as_decimals(value):
    """Numbers in the at most 16 characters that DICOM allows."""
    shortest = [pydicom.valuerep.DSfloat(float(one), auto_format=True) for one in np.ravel(value)]
    return shortest if np.ndim(value) else shortest[0]


def geometry(images) -> np.ndarray:
    """From voxels (column, row, slice) to RAS by the headers alone, ``[4, 4]`` (DICOM PS3.3, C.7.6.2.1.1)."""
    first, second = images[:2]
    row, column = np.reshape(np.array(first.ImageOrientationPatient, float), (2, 3))
    between_rows, between_columns = map(float, first.PixelSpacing)
    start, step = (np.array(image.ImagePositionPatient, float) for image in (first, second))
    return LPS_TO_RAS @ rigid(np.stack([row * between_columns, column * between_rows, step - start], axis=1), start)


def test_pydicom_reads_back_the_geometry_of_the_stack(tmp_path, stack):
    write_series(tmp_path, stack)
    images = [pydicom.dcmread(path) for path in sorted(tmp_path.iterdir())]
    assert len(images) == stack.n_slices
    np.testing.assert_allclose(geometry(images), stack.voxel_to_ras, atol=1e-5)
    positions = np.array([image.ImagePositionPatient for image in images], float)
    np.testing.assert_allclose(positions, image_positions(stack), atol=1e-5)
    for image in images:
        assert (image.Columns, image.Rows) == image.pixel_array.shape[::-1] == (24, 20)
        assert (image.SliceThickness, image.SpacingBetweenSlices) == (4, 4.5)
    # The middle of the images is the middle of the stack.
    row, column = np.reshape(np.array(images[0].ImageOrientationPatient, float), (2, 3))
    middle = positions.mean(axis=0) + row * (240 - 10) / 2 + column * (160 - 8) / 2
    np.testing.assert_allclose(middle * (-1, -1, 1), stack.centre, atol=1e-5)


def test_simpleitk_reads_the_same_stack(tmp_path, stack):
    sitk = pytest.importorskip("SimpleITK", reason="needs SimpleITK, of the optional packages 'formats'")
    write_series(tmp_path, stack)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    directions = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    np.testing.assert_allclose(LPS_TO_RAS @ rigid(directions, image.GetOrigin()), stack.voxel_to_ras, atol=1e-4)
    assert [int(plane.mean()) for plane in sitk.GetArrayViewFromImage(image)] == list(range(stack.n_slices))
