"""PythonQt's shape over PySide6: Qt properties are attributes, and ``connect`` takes a signal's C++
signature.
"""

import ctypes
import functools
import inspect
import sys
import types

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

QT_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)

if sys.version_info < (3, 12):
    # PySide6 6.12 takes None, True and False to be immortal, as Python 3.12 made them, and loses a reference at each
    # call; before 3.12 the interpreter would free them in the end, and abort.
    for constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40

VIRTUAL_GETTERS = {"sizeHint", "minimumSizeHint"}
"""Properties whose getters Qt itself calls as virtual methods: hiding them behind an attribute would break
layouts.
"""


def accepted_arguments(receiver, count: int) -> int:
    """How many of ``count`` signal arguments PythonQt passes on: as many as the receiver takes."""
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return count
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return count
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(count, sum(parameter.kind in positional for parameter in parameters))


class PythonQtObject:
    """What PythonQt adds to every ``QObject``."""

    def __init_subclass__(cls, **arguments):
        super().__init_subclass__(**arguments)
        # PySide6 finds its own QObject.connect before an inherited one, so each class holds these itself.
        for name in ("connect", "disconnect", "className", "name"):
            if name not in vars(cls):
                setattr(cls, name, vars(PythonQtObject)[name])

    def connect(self, signature: str, receiver) -> bool:
        """Call ``receiver`` at each signal, e.g. ``connect("clicked(bool)", onClicked)``.

        PythonQt returns False and logs where there is no such signal; here that is an error.
        """
        if QtCore.QObject.metaObject(self).indexOfSignal(signature) < 0:
            raise AttributeError(f"{type(self).__name__} has no signal {signature!r}")
        name, _, arguments = signature.partition("(")
        types_ = [argument for argument in arguments.rstrip(")").split(",") if argument]
        count = accepted_arguments(receiver, len(types_))

        # PySide6 looks at the slot's signature to decide how many values to deliver.
        slots = {0: lambda: receiver(), 1: lambda first: receiver(first), 2: lambda a, b: receiver(a, b)}
        deliver = slots[count]
        getattr(self, name).connect(deliver)
        self.__dict__.setdefault("_receivers", []).append((name, receiver, deliver))
        return True

    def disconnect(self, signature: str, receiver) -> bool:
        name = signature.partition("(")[0]
        for entry in self.__dict__.get("_receivers", []):
            if entry[0] == name and entry[1] == receiver:
                getattr(self, name).disconnect(entry[2])
                self._receivers.remove(entry)
                return True
        return False

    def __setattr__(self, name: str, value) -> None:
        """PythonQt sets properties, and refuses names that are none.

        Let through are the stand-in's own names, which start with ``_``, and the children that PySide's form loader
        makes attributes of the form.
        """
        if not name.startswith("_") and not hasattr(type(self), name) and not isinstance(value, QtCore.QObject):
            raise AttributeError(f"attribute {name!r} does not exist on {type(self).__name__}")
        super().__setattr__(name, value)

    def className(self) -> str:
        return type(self).__name__

    @property
    def name(self) -> str:
        return QtCore.QObject.objectName(self)

    @name.setter
    def name(self, name: str) -> None:
        QtCore.QObject.setObjectName(self, name)


def attribute(base: type, name: str) -> property | None:
    """The Qt property ``name`` of ``base`` as a Python attribute, or None where Qt itself calls its getter."""
    capital = name[0].upper() + name[1:]
    getters = (getattr(base, candidate, None) for candidate in (name, "is" + capital, "has" + capital))
    getter = next((candidate for candidate in getters if callable(candidate)), None)
    setter = getattr(base, "set" + capital, None)
    if name in VIRTUAL_GETTERS:
        return None
    if getter is None:  # one that is called otherwise, as toPlainText is
        return property(lambda self: self.property(name), lambda self, value: self.setProperty(name, value))
    return property(lambda self: getter(self), (lambda self, value: setter(self, value)) if setter else None)


@functools.cache
def shaped(base: type) -> type:
    """The subclass of a PySide6 class that has PythonQt's shape, under the same name."""
    meta = base.staticMetaObject
    names = [meta.property(index).name() for index in range(meta.propertyCount())]
    attributes = {name: found for name in names if (found := attribute(base, name)) is not None}
    return type(base)(base.__name__, (PythonQtObject, base), attributes)


def shape(name: str):
    """The thing called ``name`` in PythonQt's ``qt`` module."""
    if name in OVERRIDES:
        return OVERRIDES[name]
    for module in QT_MODULES:
        found = getattr(module, name, None)
        if found is None:
            continue
        return shaped(found) if isinstance(found, type) and issubclass(found, QtCore.QObject) else found
    raise AttributeError(f"module 'qt' has no attribute {name!r}")


class QFileDialog(shaped(QtWidgets.QFileDialog)):
    """PythonQt's file dialogs return the names alone, PySide6's return the chosen filter with them."""

    @staticmethod
    def getOpenFileName(*arguments) -> str:
        return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]

    @staticmethod
    def getSaveFileName(*arguments) -> str:
        return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]

    @staticmethod
    def getOpenFileNames(*arguments) -> list[str]:
        return QtWidgets.QFileDialog.getOpenFileNames(*arguments)[0]


OVERRIDES = {"QFileDialog": QFileDialog}


def make_qt_module() -> types.ModuleType:
    module = types.ModuleType("qt", "Qt in PythonQt's shape.")
    module.__getattr__ = shape
    return module
