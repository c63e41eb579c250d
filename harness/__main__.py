"""Starts the ``afalg-harness`` command, also as ``python -m harness``."""

from __future__ import annotations

import sys
import traceback

from harness.output import open_standard_streams

#: Exit codes for an installation that is broken: infrastructure, and the same for git.
_BROKEN, _BROKEN_FOR_GIT = 3, 129
_INTERRUPTED = 130


def main() -> int:
    """Run the command; returns its exit code.

    An installation that is broken (a package that is missing, a checkout amid a merge) ends
    Python with 1, which says regression, and to ``git bisect run`` a bad kernel.
    """
    open_standard_streams()
    try:
        from harness.cli import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception:  # noqa: BLE001  (SyntaxError, ImportError, and what a module may raise)
        traceback.print_exc()
        print("afalg-harness: the installation is broken; install it again", file=sys.stderr)
        return _BROKEN_FOR_GIT if sys.argv[1:2] == ["bisect-step"] else _BROKEN
    return run()


if __name__ == "__main__":
    sys.exit(main())
