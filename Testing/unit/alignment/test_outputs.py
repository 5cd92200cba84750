"""What `align` takes and writes: headers that say what the transforms say, masks, commands."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head
from stacks import moved
from storages import orientations, stored

from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import read_itk, transform_points, write_itk
from E3PoseLib.imaging.volume import ALIGNED_CODE, write_volume
from E3PoseLib.running.align.next_steps import Input, next_steps
from E3PoseLib.running.align.reading import mask_on


def test_moved_headers_put_every_voxel_where_the_transform_says(tmp_path):
    place = moved(70, 120, 4)
    write_itk(tmp_path / "place.tfm", place)
    to_head = np.linalg.inv(read_itk(tmp_path / "place.tfm"))
    for number, orientation in enumerate(orientations()):
        scan = stored(make_head((24, 30, 20), (1.1, 1.1, 3.3)), orientation)
        path = tmp_path / f"{number}.nii.gz"
        write_volume(path, scan.in_frame(place), ALIGNED_CODE)
        image = nib.load(path)
        np.testing.assert_array_equal(np.asarray(image.dataobj), scan.array)
        assert image.get_data_dtype() == scan.array.dtype
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(scan.shape) - 1)
        wanted = transform_points(to_head, transform_points(scan.voxel_to_ras, corners))
        for form, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
            assert code == ALIGNED_CODE
            assert np.abs(transform_points(form, corners) - wanted).max() < 0.01
    assert number == 47


def test_a_mask_is_taken_on_its_stacks_grid_alone(tmp_path):
    scan = make_head((24, 30, 20))
    inside = replace(scan, array=(scan.array > 600).astype(np.uint8))
    turned = stored(inside, list(orientations())[20])
    write_volume(tmp_path / "turned.nii.gz", turned)
    np.testing.assert_array_equal(mask_on(scan, tmp_path / "turned.nii.gz"), inside.array)
    write_volume(tmp_path / "cropped.nii.gz", replace(inside, array=inside.array[1:]))
    write_volume(tmp_path / "shifted.nii.gz", inside.in_frame(moved(0, 1, 0)))
    for name in ("cropped", "shifted"):
        with pytest.raises(E3PoseError, match=rf"{name}\.nii\.gz: does not fit blob"):
            mask_on(scan, tmp_path / f"{name}.nii.gz")
    write_volume(tmp_path / "empty.nii.gz", replace(inside, array=inside.array * 0))
    with pytest.raises(E3PoseError, match="the mask is empty"):
        mask_on(scan, tmp_path / "empty.nii.gz")
    with pytest.raises(E3PoseError, match="the mask cannot be read"):
        mask_on(scan, tmp_path / "none.nii.gz")


def test_the_commands_name_every_file_once_for_each_program_in_order():
    first = Input("stacks/b 1.nii.gz", "masks/b 1_mask.nii.gz", 3.3, "axial")
    inputs = [first, Input("stacks/a.nii", "m.nii", 4.0, "axial")]
    text = next_steps(inputs, thickness_is_known=False)
    nesvor, svrtk, niftymic = (part.split("\n\n")[0] for part in text.split("\n# ")[1:4])
    assert "--input-stacks 'stacks/b 1.nii.gz' stacks/a.nii" in nesvor and "--thicknesses 3.3 4 " in nesvor
    assert "mirtk reconstruct svrtk.nii.gz 2 'stacks/b 1.nii.gz' stacks/a.nii" in svrtk
    assert "-template 'stacks/b 1.nii.gz'" in svrtk and "-mask 'masks/b 1_mask.nii.gz'" in svrtk
    assert "--filenames-masks 'masks/b 1_mask.nii.gz' m.nii" in niftymic and "--slice-thicknesses 3.3 4 " in niftymic
    assert "the distance between slices stands for it" in text and "2 stack(s)" in text and "other planes too" in text
    three = [*inputs, replace(first, plane="coronal")]
    assert "NOTE" not in next_steps(three, thickness_is_known=True)
