"""The part of Slicer's parameter node wrapper that the panel uses.

A class of annotated names becomes a typed view of a ``vtkMRMLScriptedModuleNode``: nodes are node references,
anything else a text parameter; ``connectGui`` ties each name to the widget whose property
``SlicerParameterName`` bears it.
"""

import dataclasses
import enum
import typing

import ctk
import qt
import slicer
import vtk


@dataclasses.dataclass
class WithinRange:
    """Annotation: the numbers a parameter may take."""

    minimum: float
    maximum: float


def split(annotation):
    """The bare type and the annotations of ``Annotated[type, ...]`` or of a plain type."""
    if typing.get_origin(annotation) is typing.Annotated:
        bare, *extras = typing.get_args(annotation)
        return bare, extras
    return annotation, []


def is_node_class(kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def to_text(value) -> str:
    return value.name if isinstance(value, enum.Enum) else str(value)


def from_text(kind, text: str):
    if kind is bool:
        return text == "True"
    return kind[text] if issubclass(kind, enum.Enum) else kind(text)


def default_of(kind):
    return next(iter(kind)) if issubclass(kind, enum.Enum) else kind()


def parameter_property(name: str, kind, extras, default) -> property:
    if is_node_class(kind):
        return property(
            lambda self: self.parameterNode.GetNodeReference(name),
            lambda self, node: self.parameterNode.SetNodeReferenceID(name, node.GetID() if node else None),
        )

    def write(self, value):
        for limit in extras:
            if not limit.minimum <= value <= limit.maximum:
                raise ValueError(f"{name}={value} is not within [{limit.minimum}, {limit.maximum}]")
        self.parameterNode.SetParameter(name, to_text(value))

    def read(self):
        return from_text(kind, self.parameterNode.GetParameter(name))

    return property(read, write)


class Connector:
    """Ties a widget to a parameter: how to read, write and observe each kind of widget."""

    def __init__(self, widget, kind, extras):
        self.widget, self.kind = widget, kind
        if isinstance(widget, slicer.qMRMLNodeComboBox):
            widget.nodeTypes = [kind.__name__]
            self.read, self.write, self.changed = (
                widget.currentNode,
                widget.setCurrentNode,
                widget.currentNodeChanged,
            )
        elif isinstance(widget, qt.QComboBox):
            self.choices = list(kind)
            widget.clear()
            for choice in self.choices:
                widget.addItem(getattr(kind, "label", lambda member: member.name)(choice))
            self.read = lambda: self.choices[widget.currentIndex]
            self.write = lambda value: widget.setCurrentIndex(self.choices.index(value))
            self.changed = widget.currentIndexChanged
        elif isinstance(widget, qt.QCheckBox):
            self.read, self.write, self.changed = (
                lambda: widget.checked,
                widget.setChecked,
                widget.stateChanged,
            )
        elif isinstance(widget, (ctk.ctkSliderWidget, qt.QDoubleSpinBox)):
            for limit in extras:
                widget.minimum, widget.maximum = limit.minimum, limit.maximum
            self.read, self.write, self.changed = lambda: widget.value, widget.setValue, widget.valueChanged
        else:
            raise RuntimeError(f"no connector from {kind} to a {type(widget).__name__}")


class Wrapper:
    """What the decorator adds to a parameter class."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._guis = {}
        self._writing = False
        for name, (kind, _, default) in self.allParameters.items():
            if not is_node_class(kind) and not parameterNode.HasParameter(name):
                parameterNode.SetParameter(name, to_text(default))
            getattr(self, name)  # Slicer's keeps what it reads, and so cannot wrap a node of which it cannot read all

    def connectGui(self, ui) -> int:
        connectors = {}
        for widget in vars(ui).values():
            name = widget.property("SlicerParameterName")
            if name:
                kind, extras, _ = self.allParameters[name]
                connectors[name] = Connector(widget, kind, extras)
        self._write_widgets(connectors)
        slots = {}
        for name, connector in connectors.items():
            slots[name] = lambda *_, name=name: self._read_widget(name, connectors[name])
            connector.changed.connect(slots[name])
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._write_widgets(connectors))
        self._guis[tag] = (connectors, slots)
        return tag

    def disconnectGui(self, tag) -> None:
        connectors, slots = self._guis.pop(tag, ({}, {}))
        for name, connector in connectors.items():
            connector.changed.disconnect(slots[name])
        if connectors:
            self.RemoveObserver(tag)

    def _read_widget(self, name: str, connector: Connector) -> None:
        if not self._writing:
            setattr(self, name, connector.read())

    def _write_widgets(self, connectors) -> None:
        if self._writing:
            return
        self._writing = True
        try:
            for name, connector in connectors.items():
                connector.write(getattr(self, name))
        finally:
            self._writing = False

    def AddObserver(self, event, callback, priority=0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(cls):
    """Class decorator: see the module's description."""
    parameters = {}
    members = dict(vars(Wrapper))
    for name, annotation in typing.get_type_hints(cls, include_extras=True).items():
        kind, extras = split(annotation)
        default = None if is_node_class(kind) else getattr(cls, name, default_of(kind))
        parameters[name] = (kind, extras, default)
        members[name] = parameter_property(name, kind, extras, default)
    members.pop("__dict__", None)
    members.pop("__weakref__", None)
    members.update(allParameters=parameters, __doc__=cls.__doc__, __module__=cls.__module__)
    return type(cls.__name__, (), members)
