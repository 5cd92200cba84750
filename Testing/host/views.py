"""Slicer's slice and 3-D views, drawn off screen by its own displayable managers."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
)


class View:
    """A render window without a screen, with the displayable managers of a view node."""

    def __init__(self, factory, managers, width: int, height: int):
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(8)
        self.window.SetSize(width, height)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(factory, self.renderer)

    def picture(self) -> np.ndarray:
        """What the view shows, RGB ``[height, width, 3]``, first row on top."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1]


class SliceView(View):
    """The red, yellow or green view."""

    def __init__(self, name: str, width: int, height: int):
        super().__init__(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS, width, height)
        logics = slicer.app.applicationLogic().GetSliceLogics()
        self.logic = next(
            logic
            for logic in (logics.GetItemAsObject(index) for index in range(logics.GetNumberOfItems()))
            if logic.GetSliceNode().GetName() == name
        )
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.managers.SetMRMLDisplayableNode(self.logic.GetSliceNode())
        self.logic.ResizeSliceNode(width, height)
        # The slice logic makes 8-bit RGBA of the layers; the image is drawn as it is, behind what the managers draw.
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self._actor)

    def picture(self) -> np.ndarray:
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().picture()


class ThreeDView(View):
    """The 3-D view of the scene's first view node, seen from a direction in RAS."""

    def __init__(self, width: int, height: int):
        super().__init__(
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREE_D_MANAGERS, width, height
        )
        self.managers.SetMRMLDisplayableNode(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode"))

    def look_from(self, direction, up, focus, distance: float) -> None:
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(*focus)
        camera.SetPosition(*(np.asarray(focus) + distance * np.asarray(direction) / np.linalg.norm(direction)))
        camera.SetViewUp(*up)
        self.renderer.ResetCameraClippingRange()
