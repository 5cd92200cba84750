"""``python -m E3PoseLib …`` is ``e3pose …``."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
