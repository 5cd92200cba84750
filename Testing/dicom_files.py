"""Writes DICOM series as scanners do: one file a slice, or Siemens' mosaic of all slices in one file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from E3PoseLib.imaging.geometry import LPS_TO_RAS, direction_cosines, voxel_sizes
from E3PoseLib.imaging.volume import Volume

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


def write_series(
    folder: Path,
    scan: Volume,
    number: int = 1,
    description: str = "HASTE",
    modality: str = "MR",
    name: str = "IM{:04d}",
) -> list[Path]:
    """One file a slice, slices along k; the voxels must be whole numbers from 0 to 65535."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    written = []
    for k in range(scan.shape[2]):
        path = folder / name.format(k)
        dataset = _dataset(path, scan, number, description, modality, series)
        _place(dataset, scan, (0, 0, k))
        dataset.InstanceNumber = k + 1
        _fill(dataset, scan.array[:, :, k].T)
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def write_mosaic(folder: Path, scan: Volume, number: int = 1, description: str = "EPI") -> Path:
    """All slices as tiles of one image, with the private header by which Siemens' mosaics are known."""
    folder.mkdir(parents=True, exist_ok=True)
    columns, rows, n_slices = scan.shape
    side = int(np.ceil(np.sqrt(n_slices)))
    tiled = np.zeros((side * rows, side * columns), np.uint16)
    for k in range(n_slices):
        row, column = divmod(k, side)
        tiled[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = scan.array[:, :, k].T
    path = folder / "MR.1.3.12.2.1107.5.2.99"
    dataset = _dataset(path, scan, number, description, "MR", generate_uid())
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    # The position is that of a slice as large as the mosaic, with the same centre as the first slice.
    _place(dataset, scan, (-(tiled.shape[1] - columns) / 2, -(tiled.shape[0] - rows) / 2, 0))
    dataset.InstanceNumber = 1
    normal = LPS_TO_RAS[:3, :3] @ direction_cosines(scan.voxel_to_ras)[:, 2]
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(
        0x10, "OB", _csa({"NumberOfImagesInMosaic": [str(n_slices)], "SliceNormalVector": [f"{x:.8f}" for x in normal]})
    )
    _fill(dataset, tiled)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _dataset(path: Path, scan: Volume, number: int, description: str, modality: str, series: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MR_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", series
    dataset.SeriesNumber, dataset.SeriesDescription, dataset.Modality = number, description, modality
    dataset.Manufacturer, dataset.ImageType = "SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.PatientID, dataset.PatientName = "phantom", "phantom"
    dataset.StudyDate, dataset.SeriesTime, dataset.AcquisitionNumber = "20200101", "120000", 1
    dataset.MRAcquisitionType, dataset.EchoTime, dataset.RepetitionTime = "2D", 90, 1500
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    spacing = voxel_sizes(scan.voxel_to_ras)
    dataset.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimal(spacing[2])
    axes = LPS_TO_RAS[:3, :3] @ direction_cosines(scan.voxel_to_ras)
    dataset.ImageOrientationPatient = [_decimal(x) for x in (*axes[:, 0], *axes[:, 1])]
    return dataset


def _place(dataset: Dataset, scan: Volume, voxel: tuple[float, float, float]) -> None:
    position = LPS_TO_RAS @ scan.voxel_to_ras @ [*voxel, 1]
    dataset.ImagePositionPatient = [_decimal(x) for x in position[:3]]


def _fill(dataset: Dataset, pixels: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = np.ascontiguousarray(pixels, "<u2").tobytes()


def _decimal(value: float) -> str:
    """A decimal string, of at most 16 characters."""
    return f"{value:.10f}"[:16]


def _csa(fields: dict[str, list[str]]) -> bytes:
    """A header of Siemens' kind "SV10" with some text fields."""
    content = b"SV10\4\3\2\1" + struct.pack("<II", len(fields), 77)
    for name, values in fields.items():
        content += struct.pack("<64sI4sIII", name.encode(), len(values), b"IS\0\0", 6, 6, 77)
        for index in range(6):
            text = values[index].encode() + b"\0" if index < len(values) else b""
            content += struct.pack("<IIII", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return content
