"""What the person sees of the head after an estimate, in the real panel and on real MRML."""

import pytest

pytestmark = pytest.mark.usefixtures("panel")


def test_the_mask_is_an_outline_of_adjustable_opacity(estimated):
    segmentation = estimated.ui.outputSegmentationSelector.currentNode()
    display = segmentation.GetDisplayNode()
    (segment,) = segmentation.GetSegmentation().GetSegmentIDs()
    assert not display.GetSegmentVisibility2DFill(segment)
    assert display.GetSegmentVisibility2DOutline(segment)
    assert display.GetSegmentOpacity2DOutline(segment) == 1
    estimated.ui.maskOpacitySliderWidget.value = 0.4
    assert display.GetSegmentOpacity2DOutline(segment) == pytest.approx(0.4)
    assert display.GetSegmentOpacity3D(segment) == pytest.approx(0.4)


def test_the_mask_is_brain_in_snomed_ct_and_in_slicer_s_colour(estimated):
    import slicer

    segmentation = estimated.ui.outputSegmentationSelector.currentNode().GetSegmentation()
    segment = segmentation.GetNthSegment(0)
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(segment.GetTerminology(), entry)
    organ = entry.GetTypeObject()
    assert (organ.GetCodingSchemeDesignator(), organ.GetCodeValue()) == ("SCT", "12738006")
    assert organ.GetCodeMeaning() == "Brain"
    assert entry.GetCategoryObject().GetCodeMeaning() == "Anatomical Structure"
    # recommendedDisplayRGBValue of Slicer's general anatomy list.
    assert [round(255 * part) for part in segment.GetColor()] == [250, 250, 225]
