"""Does a way into a pipe hand over the very page of its source, or a copy of it?

Asked without AF_ALG: a page is put into a pipe, overwritten at its source, and read from the
pipe. Proposals of June 2026 (linux-mm, linux-fsdevel) would have vmsplice(), and splice()
from the page cache, copy by themselves. Of such a kernel no probe's control can fire, and no
page of that source reaches a socket: that path is ``unreachable`` and not ``unknown``.

That a page was copied is believed only of one that was overwritten in place (its page frame
is the same before and after), and it is said which source does share its pages here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import af_alg
import pages
from pages import PAGE
from unavailable import Unavailable

from harness.guest.inside.words import Cause, Reason

_OLD = bytes(range(256)) * (PAGE // 256)
_NEW = bytes(reversed(_OLD))
_BY_VMSPLICE = frozenset({"memory", "gift"})
#: Sources whose pages may show that the probe can see shared ones, the likeliest first.
_CONTROLS = (("memfd", "splice"), ("memory", "vmsplice"), ("tmpfs", "splice"), ("disk", "splice"))


class SourceCopies(af_alg.NotOffered):
    """The way from a source into a pipe copies, as the control showed."""

    control = "fired"


@dataclass(frozen=True)
class _Handed:
    """Whether a pipe had the source's own page: None if that could not be told."""

    shared: bool | None
    words: str


class Sharing:
    """Asks each source once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Handed] = {}

    def refusal(self, sort: str, way: str = "splice") -> SourceCopies | None:
        """Why no page of a source (``pages.source``) reaches a socket by ``way``, if none does.

        None means that its pages are shared, or that it cannot be told.
        """
        call = call_of(sort, way)
        handed = self._look(sort, call)
        if handed.shared is not False:
            return None
        words = f"{call} copies on this kernel: {handed.words}; {self._control(sort, call)}"
        return SourceCopies(words, Reason(Cause.SOURCE_COPIES, name=call))

    def require(self, sort: str, way: str = "splice") -> None:
        """Raise SourceCopies if the source hands over copies."""
        refusal = self.refusal(sort, way)
        if refusal is not None:
            raise refusal

    def _control(self, sort: str, call: str) -> str:
        for other in _CONTROLS:
            if other != (sort, call) and self._look(*other).shared:
                return self._look(*other).words
        return "no source here shares its pages"

    def _look(self, sort: str, call: str) -> _Handed:
        if (sort, call) not in self._seen:
            self._seen[sort, call] = _probe(sort, call)
        return self._seen[sort, call]


def call_of(sort: str, way: str) -> str:
    """The system call that puts pages of a source into a pipe, for a probe's way to a socket."""
    if sort in _BY_VMSPLICE:
        return "vmsplice"
    return "sendfile" if way == "sendfile" else "splice"


def _probe(sort: str, call: str) -> _Handed:
    try:
        with pages.source(sort, _OLD) as source, pages.pipe() as (read_end, write_end):
            frame = source.frame(0)
            if call == "sendfile":  # into a pipe since 313d64a35d36 (5.12)
                assert isinstance(source, pages.FileSource)
                put = os.sendfile(write_end, source.descriptor, 0, PAGE)
            else:
                put = source.put(write_end, 0, PAGE)
            assert put == PAGE, f"expected {PAGE} bytes put into a pipe, saw {put}"
            source.overwrite(0, _NEW)
            in_place = frame != 0 and source.frame(0) == frame
            seen = os.read(read_end, PAGE)
            origin = source.origin
    except Unavailable as lack:
        return _Handed(None, str(lack))
    except OSError as error:
        return _Handed(None, f"{call} of {sort} into a pipe: {af_alg.errno_name(error)}")
    if seen == _NEW:
        return _Handed(True, f"a page of {origin} reads as overwritten in its pipe")
    if seen == _OLD and in_place:
        return _Handed(False, f"a page of {origin}, overwritten in place, reads as it was put")
    return _Handed(None, f"a page of {origin} was not overwritten in place")
