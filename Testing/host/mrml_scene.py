"""A MRML scene with the logics and the three slice views that Slicer's start-up gives it."""

import tempfile

import slicer
import vtk

from host import layouts, subject_hierarchy

SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}

MODULE_LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}


def make_application_logic(views: bool):
    """A ``vtkSlicerApplicationLogic`` with a scene of its own, and the modules' logics, to be kept alive with it.

    Its ``views`` come with the main window.
    """
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    # Where the application looks for files named by relative paths: the person's documents, not the working directory.
    scene.SetRootDirectory(tempfile.mkdtemp())
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(tempfile.mkdtemp())
    data_io = slicer.vtkDataIOManager()
    data_io.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(data_io)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    module_logics = {name: getattr(slicer, class_name)() for name, class_name in MODULE_LOGICS.items()}
    for name, module_logic in module_logics.items():
        module_logic.SetMRMLScene(scene)
        module_logic.SetMRMLApplicationLogic(logic)
        logic.SetModuleLogic(name, module_logic)
    subject_hierarchy.follow(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    if views:
        add_views(logic, scene)
    return logic, module_logics


def add_views(logic, scene) -> None:
    """The slice views, the 3-D view and the plot view of Slicer's layouts, and what changes between layouts."""
    scene.AddNewNodeByClass("vtkMRMLPlotViewNode", "PlotView1").SetSingletonTag("PlotView1")
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    for view, orientation in SLICE_VIEWS.items():
        slice_logic = slicer.vtkMRMLSliceLogic()
        slice_logic.SetMRMLApplicationLogic(logic)
        slice_logic.SetMRMLScene(scene)
        slice_node = slice_logic.AddSliceNode(view)
        slice_node.SetOrientation(orientation)
        slice_node.SetMappedInLayout(True)
        logic.GetSliceLogics().AddItem(slice_logic)
    scene.AddNewNodeByClass("vtkMRMLViewNode", "View1").SetSingletonTag("1")
    logic.layouts = layouts.Layouts(logic, scene)  # kept alive with the application
