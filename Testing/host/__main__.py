"""The stand-in as a program: ``python -m host --no-main-window --python-script FILE ARGUMENTS...``, as Slicer's own."""

import sys

import host


def main(arguments: list[str]) -> int:
    """Run the script as Slicer does and return the application's exit status."""
    at = arguments.index("--python-script")
    app = host.start(main_window="--no-main-window" not in arguments[:at])
    script, *rest = arguments[at + 1 :]
    sys.argv = [script, *rest]
    return app.run_script(script)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
