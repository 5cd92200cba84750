"""The stand-in as a program: ``python -m host --no-main-window --python-script FILE ARGUMENTS...``, as Slicer's own."""

import runpy
import sys

import host


def main(arguments: list[str]) -> int:
    """Run the script as Slicer does and return the application's exit status."""
    app = host.start()
    script, *rest = arguments[arguments.index("--python-script") + 1 :]
    sys.argv = [script, *rest]
    runpy.run_path(script, run_name="__main__")
    return app.exit_status or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
