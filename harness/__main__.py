"""Starts the ``afalg-harness`` command, also as ``python -m harness``."""

from __future__ import annotations

import sys
import traceback

#: What ``bisect-step`` exits with where it is not the kernel that failed.
_ABORT = 129


def main() -> int:
    """Run the command; returns its exit code.

    An installation that is broken (a package that is missing, a checkout amid a merge) ends
    Python with 1, which ``git bisect run`` would take for a bad kernel.
    """
    try:
        from harness.cli import main as run  # noqa: PLC0415
    except (ImportError, SyntaxError):
        traceback.print_exc()
        return _ABORT if sys.argv[1:2] == ["bisect-step"] else 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
