"""The choice of the way in which the pose transform leads."""

from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import TransformError
from E3PosePanel.parameters import Direction


class DirectionControl:
    """Ties the choice to the selected scan's pose transform: it is turned round where another way is chosen.

    Of another transform that is selected, the choice tells the way.
    """

    def __init__(self, showMessage):
        self._showMessage = showMessage
        self._parameterNode = None
        self._transform = None

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self._transform = None
        self.refresh()

    def refresh(self) -> None:
        """Turn the transform round, or tell its way."""
        parameters = self._parameterNode
        if parameters is None:
            return
        transform, wanted = parameters.outputTransform, parameters.direction
        way = mrml.pose_direction(transform)
        isOther, self._transform = transform != self._transform, transform
        if way is None or way == wanted.value:
            return
        if isOther:
            parameters.direction = Direction(way)
            return
        try:
            if not (parameters.inputVolume and mrml.is_result_of(transform, parameters.inputVolume)):
                raise TransformError(_("'{name}' is no result of this scan").format(name=transform.GetName()))
            mrml.set_direction(transform, wanted.value)
        except TransformError as error:
            parameters.direction = Direction(way)
            self._showMessage(_("The transform leads as before: {reason}.").format(reason=error))
        else:
            self._showMessage(_("The transform '{name}' was turned round.").format(name=transform.GetName()))
