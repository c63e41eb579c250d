"""Standard streams that were closed, that nobody reads any more, or that take nothing.

Standard library only, so that it is at hand before anything else of ours is imported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator


def open_standard_streams() -> None:
    """Give us /dev/null for each standard stream that we were started without (``>&-``).

    Python has None for such a stream, and the next file that is opened gets its number:
    what a child of ours prints would end in that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, os.fdopen(number, mode))


def complain(line: str) -> None:
    """Print a line to stderr, if that takes it."""
    with contextlib.suppress(OSError):
        print(f"afalg-harness: {line}", file=sys.stderr, flush=True)


def drop_unwritten() -> None:
    """Send what a standard stream did not take to /dev/null.

    Python writes it again at its end, and would then exit with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """End this block, and no more, once nobody reads our output (``head``, a closed terminal).

    What is printed after that goes nowhere, and the exit code still says what was found.
    """
    try:
        yield
        sys.stdout.flush()
    except (OSError, SystemExit) as error:
        # rich makes an exit with code 1 of a broken pipe, which would say regression.
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if not isinstance(cause, BrokenPipeError) and not _hung_up(cause):
            raise
        drop_unwritten()


def _hung_up(error: BaseException | None) -> bool:
    """Whether an error of writing is that of a terminal that is no more."""
    return (
        isinstance(error, OSError)
        and error.errno == errno.EIO
        and any(stat.S_ISCHR(os.fstat(number).st_mode) for number in (1, 2))
    )


@contextlib.contextmanager
def nobody_need_listen() -> Iterator[None]:
    """End this block, and no more, if what it prints is not taken: progress is not a result."""
    try:
        with reader_may_leave():
            yield
    except OSError:
        drop_unwritten()
