"""A stand-in for 3D Slicer's application, as small as the E3Pose panel needs.

What is real: MRML, its logic and its displayable managers (the wheel ``slicer-core``), Slicer's own
``slicer.util`` (same wheel) and Qt (PySide6). What stands in: PythonQt's shape over PySide6 (`pythonqt`), the
CTK and qMRML widgets of the panel's ``.ui`` (`ctk_widgets`, `mrml_widgets`), and the application object with
its modules (`application`).

The Python layer (``ScriptedLoadableModule``, ``parameterNodeWrapper``, ``packaging``, ``i18n``) has two
settings:

* ours (`layer`), for ``make test`` on any machine;
* Slicer's own, where the environment variable ``SLICER_PYTHON_DIR`` names ``Base/Python`` of a Slicer source
  tree.

Use::

    import host

    app = host.start()                       # once a process; drawing needs no screen
    widget = app.open_module("E3Pose/E3Pose.py")
    widget.ui.estimateButton.click()
"""

from host.application import Application, start

__all__ = ["Application", "start"]
