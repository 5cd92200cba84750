"""The application object ``slicer.app``, its modules and its scene."""

import importlib
import importlib.util
import logging
import os
import signal
import stat
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from host import ctk_widgets, mrml_widgets, pythonqt
from host.file_io import IOManager
from host.module_panel import ModulePanel
from host.mrml_scene import make_application_logic
from host.pythonqt import PythonQtObject, shaped
from host.ui_loader import UiLoader

LAYER_DIR = Path(__file__).parent / "layer"

RUNS_ON = 124
"""Exit status of a script that Slicer itself would not end after."""


class ModuleManager(shaped(QtCore.QObject)):
    moduleAboutToBeUnloaded = QtCore.Signal(str)


class ModuleSelector(shaped(QtCore.QObject)):
    moduleSelected = QtCore.Signal(str)


class MainWindow(shaped(QtWidgets.QMainWindow)):
    """The window that message boxes need; never shown."""

    def __init__(self):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector()

    def moduleSelector(self) -> ModuleSelector:
        return self._selector


class ModuleWidgetParent(mrml_widgets.qMRMLWidget):
    """``qSlicerScriptedLoadableModuleWidget``: the frame that holds a scripted module's widget."""

    isEntered = False

    def __init__(self, module):
        super().__init__()
        QtWidgets.QVBoxLayout(self)
        self._module = module
        self.setMRMLScene(slicer.mrmlScene)

    def reload(self) -> None:
        self._module.make_widget()

    def self(self):
        return self._module.widget


class ScriptedModule:
    """``qSlicerScriptedLoadableModule``: a module as ``slicer.modules`` lists it."""

    def __init__(self, path: Path):
        self.path = str(path)
        self.name = path.stem
        python_module = self._import()
        self.instance = getattr(python_module, self.name)(self)
        self.widget = None
        self._parent = None

    def _import(self) -> types.ModuleType:
        directory = str(Path(self.path).parent)
        if directory not in sys.path:
            sys.path.append(directory)
        if self.name in sys.modules:
            return sys.modules[self.name]
        return importlib.import_module(self.name)

    def widgetRepresentation(self):
        if self._parent is None:
            self._parent = ModuleWidgetParent(self)
            self.make_widget()
        return self._parent

    def make_widget(self) -> None:
        """A new widget in the module's frame, as at first sight and at reload."""
        self.widget = getattr(sys.modules[self.name], self.name + "Widget")(self._parent)
        setattr(slicer.modules, self.name + "Widget", self.widget)
        self.widget.setup()

    def enter(self) -> None:
        self._parent.isEntered = True
        self.widget.enter()

    def exit(self) -> None:
        self._parent.isEntered = False
        self.widget.exit()


class StartupEnvironment:
    """``QProcessEnvironment`` as ``slicer.util.startupEnvironment`` reads it."""

    keys = staticmethod(lambda: list(os.environ))
    value = staticmethod(lambda name: os.environ[name])


class Application(shaped(QtCore.QObject)):
    """``slicer.app``.

    ``message_boxes`` collects the text of every message box; each is answered by the next of ``answers``, and
    with Cancel where there is none left.
    """

    startupCompleted = QtCore.Signal()

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 13
    temporaryPath = tempfile.gettempdir()

    def __init__(self, qt_application, main_window: bool):
        super().__init__()
        self._qt = qt_application
        self._main_window = MainWindow() if main_window else None
        self._module_panel = ModulePanel()
        self._modules = ModuleManager()
        self._settings = QtCore.QSettings(
            str(Path(tempfile.mkdtemp()) / "Slicer.ini"), QtCore.QSettings.Format.IniFormat
        )
        self._message_boxes: list[str] = []
        self._answers: list = []
        self._exit_status: int | None = None
        self._application_logic, self._module_logics = make_application_logic(main_window)
        self._io = IOManager(self._application_logic)

    def mrmlScene(self):
        return self._application_logic.GetMRMLScene()

    def applicationLogic(self):
        return self._application_logic

    def coreIOManager(self) -> IOManager:
        return self._io

    ioManager = coreIOManager

    def layoutManager(self):
        return types.SimpleNamespace(mrmlSliceLogics=self._application_logic.GetSliceLogics)

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def clipboard(self):
        return self._qt.clipboard()

    def processEvents(self) -> None:
        self._qt.processEvents()

    def userSettings(self):
        return self._settings

    settings = revisionUserSettings = userSettings

    def testingEnabled(self) -> bool:
        return False

    def topLevelWidgets(self) -> list:
        return [widget for widget in self._qt.topLevelWidgets() if isinstance(widget, PythonQtObject)]

    def translate(self, context: str, text: str) -> str:
        return text

    def startupEnvironment(self) -> StartupEnvironment:
        return StartupEnvironment()

    def setOverrideCursor(self, cursor) -> None:
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._qt.restoreOverrideCursor()

    def commandOptions(self):
        return types.SimpleNamespace(testingEnabled=False, runPythonAndExit=True)

    @property
    def module_panel(self) -> ModulePanel:
        return self._module_panel

    @property
    def message_boxes(self) -> list[str]:
        return self._message_boxes

    @property
    def answers(self) -> list:
        return self._answers

    def exit(self, status: int) -> None:
        """Ends the event loop; as in Slicer, of no effect where none runs."""
        self._exit_status = status
        self._qt.exit(status)

    def run_script(self, path: str) -> int:
        """Run a script from the event loop as ``--python-script`` does; returns the exit status.

        Slicer runs on where the script ends or fails without asking for the exit; that is `RUNS_ON` here.
        """
        # Slicer, too, takes the interrupt away from Python once its modules are loaded.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        QtCore.QTimer.singleShot(0, lambda: self._execute(path))
        return self._qt.exec()

    def _execute(self, path: str) -> None:
        sys.path.insert(0, str(Path(path).parent))
        names = vars(sys.modules["__main__"])
        names["__file__"] = path
        try:
            # As Slicer does it: in the names of __main__. It reads in the platform's encoding; ASCII suits any.
            exec(Path(path).read_text(encoding="ascii"), names)
        except SystemExit as end:
            self.exit(int(end.code or 0))
        except BaseException:
            traceback.print_exc()
        if self._exit_status is None:
            print("The script ended without an exit: Slicer would run on.", file=sys.stderr)
            self._qt.exit(RUNS_ON)

    def load_module(self, path) -> ScriptedModule:
        """Load the scripted module in a file, as Slicer does at start."""
        module = ScriptedModule(Path(path).resolve())
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.modules, module.name + "Instance", module.instance)
        return module

    def open_module(self, path):
        """Load the module if need be, select it, and return its Python widget."""
        name = Path(path).stem
        module = getattr(slicer.modules, name.lower(), None) or self.load_module(path)
        if module.widgetRepresentation().parentWidget() is None:
            self._module_panel.show_module(module.widgetRepresentation(), module.helpText)
        self._module_panel.show()
        module.enter()
        return module.widget

    def wait_until(self, condition, timeout: float = 120.0) -> None:
        """Run the event loop until ``condition()``; TimeoutError where that takes longer than ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {timeout} s")
            self._qt.processEvents()
            time.sleep(0.001)

    def show_message_box(self, box) -> int:
        self._message_boxes.append(box.text)
        return int(self._answers.pop(0) if self._answers else QtWidgets.QMessageBox.StandardButton.Cancel)


def install_python_layer() -> str:
    """Put the Python layer of the chosen setting on ``slicer.__path__``; returns which one it is."""
    theirs = os.environ.get("SLICER_PYTHON_DIR")
    layer = Path(theirs) / "slicer" if theirs else LAYER_DIR
    if not (layer / "ScriptedLoadableModule.py").is_file():
        raise FileNotFoundError(f"SLICER_PYTHON_DIR={theirs} is not the Base/Python folder of a Slicer source tree")
    slicer.__path__.insert(0, str(layer))
    return "Slicer's" if theirs else "ours"


def install_python_slicer() -> None:
    """Put a ``PythonSlicer`` on the path: like Slicer's, a launcher whose child is the interpreter.

    Where a signal ends the child, Slicer's (a CTK AppLauncher) says so and exits with 1.
    """
    folder = Path(tempfile.mkdtemp())
    launcher = folder / "PythonSlicer"
    launcher.write_text(
        f'#!/bin/sh\n"{sys.executable}" "$@"\nstatus=$?\n'
        '[ $status -le 128 ] || { echo "error: [python-real] exit abnormally - Report the problem."; exit 1; }\n'
        "exit $status\n"
    )
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def start(main_window: bool = True) -> Application:
    """Start the stand-in application (once a process) and return it; drawing needs no screen."""
    if hasattr(slicer, "app"):
        return slicer.app
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    logging.getLogger().setLevel(logging.INFO)
    pythonqt.OVERRIDES["QUiLoader"] = UiLoader
    sys.modules["qt"] = pythonqt.make_qt_module()
    sys.modules["ctk"] = ctk_widgets.make_ctk_module()
    mrml_widgets.install(slicer)
    install_python_layer()
    install_python_slicer()
    QtCore.QCoreApplication.setOrganizationName("NA-MIC")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    qt_application = QtWidgets.QApplication.instance() or shaped(QtWidgets.QApplication)(["Slicer"])
    for name in ("modules", "moduleNames"):
        module = types.ModuleType(f"slicer.{name}")
        sys.modules[module.__name__] = module
        setattr(slicer, name, module)
    slicer.app = Application(qt_application, main_window)
    slicer.mrmlScene = slicer.app.mrmlScene()
    plots = slicer.app.applicationLogic().GetModuleLogic("Plots")
    slicer.modules.plots = types.SimpleNamespace(logic=lambda: plots)
    ctk_widgets.ctkMessageBox.exec_ = lambda box: slicer.app.show_message_box(box)
    return slicer.app
