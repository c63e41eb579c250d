"""Does a request socket read the sender's page, or a copy made when it was sent?

Since ffdd2bc37895 (7.2, and stable 6.12.96, 6.18.39, 6.1.178) af_alg_sendmsg() copies all
skcipher and aead input; before, MSG_SPLICE_PAGES put the spliced page itself into the
request. splice() works either way, so only what happens to the page tells: each probe
hands a page over, overwrites it at its source, and then reads the result. A result of the
new contents means that the page was shared (state ``present``), of the old ones that it
was copied (``absent``). A state is an observation and no failure: it is judged on the
host. A result of neither is a corruption and fails.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import af_alg
import libc
import pages
import pytest
from pages import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import RecordFact

OLD = bytes(range(256)) * (PAGE // 256)
NEW = bytes(reversed(OLD))
PATHS = ("splice_file", "splice_tmpfs", "splice_memfd", "sendfile")


@dataclass(frozen=True)
class Target:
    """An input of an algorithm into which a page is fed.

    ``kind`` names it in the fact; ``assoclen`` says how much of the input is associated
    data, ``before`` is input sent (and so copied) ahead of the page.
    """

    kind: str
    type: str
    algorithm: str
    iv: bytes
    before: bytes = b""
    assoclen: int | None = None
    tag: int = 0

    def start(self, transform: af_alg.Transform) -> af_alg.Request:
        """A request that waits for the page."""
        request = transform.request()
        request.send(self.before, op=af_alg.ENCRYPT, iv=self.iv, assoclen=self.assoclen, more=True)
        return request

    def result(self, request: af_alg.Request) -> bytes:
        """The output of a request that has its page."""
        return request.recv(len(self.before) + PAGE + self.tag)

    def expected(self, transform: af_alg.Transform, page: bytes) -> bytes:
        """The output for a page that was sent by copy."""
        request = self.start(transform)
        request.send(page)
        return self.result(request)

    def head(self, output: bytes) -> str:
        """The first bytes of the page's part of an output, as hex."""
        return output[len(self.before) :][:8].hex()


SKCIPHER = Target("skcipher", "skcipher", "cbc(aes)", iv=bytes(16))
AEAD = Target("aead", "aead", "gcm(aes)", iv=bytes(12), before=bytes(16), assoclen=16, tag=16)
#: The page is associated data as a whole and there is no text: it comes back in the clear.
AEAD_AAD = Target("aead_aad", "aead", "gcm(aes)", iv=bytes(12), assoclen=PAGE, tag=16)


@pytest.mark.parametrize("path", PATHS)
def test_skcipher(path: str, record_fact: RecordFact) -> None:
    """Is a page given to an skcipher as text still read after it was sent? (cbc(aes))"""
    probe(SKCIPHER, path, record_fact)


@pytest.mark.parametrize("path", PATHS)
def test_aead(path: str, record_fact: RecordFact) -> None:
    """Is a page given to an AEAD as text still read after it was sent? (gcm(aes))"""
    probe(AEAD, path, record_fact)


@pytest.mark.parametrize("path", PATHS)
def test_aead_aad(path: str, record_fact: RecordFact) -> None:
    """Is a page given to an AEAD as associated data still read after it was sent? (gcm(aes))"""
    probe(AEAD_AAD, path, record_fact)


def probe(target: Target, path: str, record_fact: RecordFact) -> None:
    """Feed a page, overwrite it, read the result, and record which contents it is of."""
    fact = f"zero_copy.{target.kind}.{path}"

    def give_up(state: str, reason: str) -> NoReturn:
        record_fact(fact, state=state, evidence=reason)
        pytest.skip(reason)

    try:
        transform = af_alg.Transform(target.type, target.algorithm)
    except af_alg.NotOffered as reason:
        give_up("unreachable", str(reason))
    with transform, pages.pipe() as (control, control_in), ExitStack() as stack:
        try:
            page = stack.enter_context(source(path))
        except NoSource as reason:
            give_up("unknown", str(reason))
        transform.set_key(bytes(range(16)))
        of_old = target.expected(transform, OLD)
        of_new = target.expected(transform, NEW)
        request = target.start(transform)
        try:
            feed(path, page.descriptor, request, control_in)
        except OSError as error:
            give_up("unreachable", f"{path} into {target.algorithm}: {af_alg.errno_name(error)}")
        pages.write_all(page.descriptor, NEW)
        seen = target.result(request)
        shared = os.read(control, PAGE)

    fired = shared == NEW
    state = {of_new: "present", of_old: "absent"}.get(seen, "unknown") if fired else "unknown"
    record_fact(
        fact,
        state=state,
        control="fired" if fired else "failed",
        evidence=(
            f"{target.algorithm}, page of {page.origin} overwritten after {path}: result "
            f"{target.head(seen)}, of the old page {target.head(of_old)}, of the new one "
            f"{target.head(of_new)}; control read {shared[:8].hex()}, old {OLD[:8].hex()}, "
            f"new {NEW[:8].hex()}"
        ),
    )
    assert seen in {of_old, of_new}, (
        "result of neither the old nor the new page: against the old, "
        + af_alg.difference(of_old, seen)
        + "; against the new, "
        + af_alg.difference(of_new, seen)
    )
    if not fired:
        pytest.skip(
            "control did not fire: the page was not shared up to the socket, "
            + af_alg.difference(NEW, shared)
        )


def feed(path: str, descriptor: int, request: af_alg.Request, control: int) -> None:
    """Hand the page to the request, and a second reference to it to the control pipe.

    splice: tee() duplicates the very pipe buffer that goes into the socket. sendfile has
    its pipe inside the kernel: there the control is a splice of the same page.
    """
    if path == "sendfile":
        assert os.splice(descriptor, control, PAGE, offset_src=0) == PAGE
        moved = os.sendfile(request.fileno(), descriptor, 0, PAGE)
    else:
        with pages.pipe() as (read_end, write_end):
            assert os.splice(descriptor, write_end, PAGE, offset_src=0) == PAGE
            assert libc.tee(read_end, control, PAGE) == PAGE
            moved = os.splice(read_end, request.fileno(), PAGE)
    assert moved == PAGE, f"expected {PAGE} bytes taken by the socket, saw {moved}"


class NoSource(Exception):
    """The guest has no place for a file of the sort that a path is about."""


@dataclass(frozen=True)
class Page:
    """A file of one page, and where it lies."""

    descriptor: int
    origin: str


@contextmanager
def source(path: str) -> Iterator[Page]:
    """A fresh file of the old contents, of the sort that the path is about."""
    if path == "splice_memfd":
        with pages.scratch_memfd(OLD) as descriptor:
            yield Page(descriptor, "a memfd")
        return
    wanted = ("tmpfs",) if path == "splice_tmpfs" else pages.DISK_FILE_SYSTEMS
    directory = pages.writable_directory(*wanted)
    if directory is None:
        raise NoSource(f"no writable file system of type {', '.join(wanted)} is mounted")
    with pages.scratch_file(directory, OLD) as descriptor:
        yield Page(descriptor, f"a file on {directory}")
