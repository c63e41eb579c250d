"""splice(), sendfile() and vmsplice() into a request: right results, whatever is copied.

ffdd2bc37895 (7.2) made the kernel copy; programs were promised that nothing else changes.
sendfile() sends with MSG_MORE all but what it knows to be the last part, so a count above
the file's size leaves the message unfinished until an empty send. Before 6.5 all went
through sendpage(), one page at a time.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import itertools
import os
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pages
import pytest
from af_alg import ENCRYPT
from pages import PAGE
from samples import AAD, IV, NONCE, TAG, TEXT, cbc, encrypt, gcm, pattern, seal

if TYPE_CHECKING:
    from conftest import Bind

SPLICE_F_NONBLOCK = 2
SPLICE_F_MORE = 4
CONTENTS = pattern(5 * PAGE + 48)


def begin(bind: Bind, kind: str) -> tuple[af_alg.Request, bytes]:
    """A request that waits for text, and what the contents give."""
    if kind == "hash":
        return bind("hash", "sha256").request(), hashlib.sha256(CONTENTS).digest()
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    request = transform.request()
    if kind == "skcipher":
        request.send(op=ENCRYPT, iv=IV, more=True)
        return request, encrypt(transform, CONTENTS)
    request.send(AAD, op=ENCRYPT, iv=NONCE, assoclen=len(AAD), more=True)
    return request, AAD + seal(transform, CONTENTS, AAD)


KINDS = ["hash", "skcipher", "aead"]


@pytest.mark.parametrize("kind", KINDS)
def test_splice_in_parts(kind: str, bind: Bind) -> None:
    """Parts spliced with SPLICE_F_MORE, cut at odd places, make up one message."""
    request, expected = begin(bind, kind)
    cuts = [0, 1, 100, PAGE, PAGE + 7, 3 * PAGE + 7, len(CONTENTS)]
    with pages.scratch_memfd(CONTENTS) as file, pages.pipe() as (read_end, write_end):
        for start, end in itertools.pairwise(cuts):
            os.splice(file, write_end, end - start, offset_src=start)
            flags = SPLICE_F_MORE if end < len(CONTENTS) else 0
            moved = os.splice(read_end, request.fileno(), end - start, flags=flags)
            assert moved == end - start
    expect.same(expected, request.recv(len(expected)), f"{kind} of spliced parts")


@pytest.mark.parametrize("kind", KINDS)
def test_splice_between_sends(kind: str, bind: Bind) -> None:
    """Spliced parts and sent ones may take turns within a message."""
    request, expected = begin(bind, kind)
    cuts = [0, 10, 20, PAGE + 20, PAGE + 21, 2 * PAGE, 4 * PAGE + 5, len(CONTENTS)]
    with pages.scratch_memfd(CONTENTS) as file, pages.pipe() as (read_end, write_end):
        for i, (start, end) in enumerate(itertools.pairwise(cuts)):
            if i % 2:
                os.splice(file, write_end, end - start, offset_src=start)
                moved = os.splice(read_end, request.fileno(), end - start, flags=SPLICE_F_MORE)
                assert moved == end - start
            else:
                request.send(CONTENTS[start:end], more=True)
    if kind != "hash":
        request.send()
    expect.same(expected, request.recv(len(expected)), f"{kind} of parts spliced and sent")


@pytest.mark.parametrize("kind", KINDS)
def test_vmsplice(kind: str, bind: Bind) -> None:
    """Memory given to a pipe by vmsplice(), then spliced into a request."""
    request, expected = begin(bind, kind)
    with pages.pipe() as (read_end, write_end):
        memory = ctypes.create_string_buffer(CONTENTS, len(CONTENTS))
        spliced = libc.vmsplice(write_end, ctypes.addressof(memory), len(CONTENTS))
        assert spliced == len(CONTENTS)
        assert os.splice(read_end, request.fileno(), len(CONTENTS)) == len(CONTENTS)
        expect.same(expected, request.recv(len(expected)), f"{kind} of memory by vmsplice")


@pytest.mark.parametrize("kind", KINDS)
def test_sendfile_from_offset(kind: str, bind: Bind) -> None:
    """sendfile() from within a file, at an unaligned offset, to its very end."""
    request, expected = begin(bind, kind)
    with pages.scratch_memfd(b"x" * 777 + CONTENTS) as file:
        assert os.sendfile(request.fileno(), file, 777, len(CONTENTS)) == len(CONTENTS)
    expect.same(expected, request.recv(len(expected)), f"{kind} of a file from an offset")


@pytest.mark.parametrize("kind", KINDS)
def test_sendfile_beyond_the_end(kind: str, bind: Bind) -> None:
    """A count above the file's size leaves MSG_MORE set: an empty send ends the message."""
    request, expected = begin(bind, kind)
    with pages.scratch_memfd(CONTENTS) as file:
        moved = os.sendfile(request.fileno(), file, 0, len(CONTENTS) + 1)
    assert moved == len(CONTENTS), f"expected {len(CONTENTS)} bytes, saw {moved}"
    if kind == "aead":
        with expect.refused(errno.EAGAIN, "recv of a message left unfinished"):
            request.recv(len(expected))
    if kind != "hash":
        request.send()
    expect.same(expected, request.recv(len(expected)), f"{kind} of a file, count above its size")


def test_sendfile_of_an_empty_file(bind: Bind) -> None:
    """sendfile() of an empty file sends nothing, and the message goes on."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:20], op=ENCRYPT, iv=IV, more=True)
    with pages.scratch_memfd(b"") as file:
        assert os.sendfile(request.fileno(), file, 0, 100) == 0
    request.send(TEXT[20:])
    expect.same(encrypt(transform, TEXT), request.recv(64), "encryption")


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_many_pages(kind: str, bind: Bind) -> None:
    """Forty pages spliced at once, above the 16 of one list, give the right result."""
    text = pattern(40 * PAGE)
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    request = transform.request()
    request.send(op=ENCRYPT, iv=IV if kind == "skcipher" else NONCE, more=True)
    with pages.scratch_memfd(text) as file, pages.pipe() as (read_end, write_end):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 64 * PAGE)
        assert os.splice(file, write_end, len(text), offset_src=0) == len(text)
        taken = 0
        while taken < len(text):
            taken += os.splice(read_end, request.fileno(), len(text) - taken, flags=SPLICE_F_MORE)
    request.send()
    expected = encrypt(transform, text) if kind == "skcipher" else seal(transform, text)
    assert len(expected) == len(text) + (TAG if kind == "aead" else 0)
    expect.same(expected, request.recv(len(expected)), f"{kind} of forty spliced pages")


def test_splice_without_key(bind: Bind) -> None:
    """splice() into a request without a key is ENOKEY, and takes nothing from the pipe."""
    transform = bind("skcipher", "cbc(aes)")
    request = transform.request()
    with pages.pipe() as (read_end, write_end):
        os.write(write_end, TEXT)
        with expect.refused(errno.ENOKEY, "splice without a key"):
            os.splice(read_end, request.fileno(), len(TEXT))
        transform.set_key(bytes(range(16)))
        request.send(op=ENCRYPT, iv=IV, more=True)
        assert os.splice(read_end, request.fileno(), len(TEXT)) == len(TEXT)
    expect.same(encrypt(transform, TEXT), request.recv(64), "encryption")


def test_splice_to_the_bound_socket(bind: Bind) -> None:
    """splice() into a bound socket is EOPNOTSUPP (EINVAL if it has no sendpage)."""
    transform = cbc(bind)
    with pages.pipe() as (read_end, write_end):
        os.write(write_end, TEXT)
        with pytest.raises(OSError) as error:
            os.splice(read_end, transform.sock.fileno(), len(TEXT))
        assert error.value.errno in (errno.EOPNOTSUPP, errno.EINVAL)


def test_splice_of_a_second_message(bind: Bind) -> None:
    """splice() after a complete message that was not read is EINVAL."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT, op=ENCRYPT, iv=IV)
    with pages.pipe() as (read_end, write_end):
        os.write(write_end, TEXT)
        with expect.refused(errno.EINVAL, "splice of a second message"):
            os.splice(read_end, request.fileno(), len(TEXT))
    expect.same(encrypt(transform, TEXT), request.recv(64), "the first message")


def test_splice_out(bind: Bind) -> None:
    """A result spliced from the request into a pipe is right."""
    transform = cbc(bind)
    request = transform.request()
    text = pattern(2 * PAGE)
    request.send(text, op=ENCRYPT, iv=IV)
    seen = b""
    with pages.pipe() as (read_end, write_end):
        moved = os.splice(request.fileno(), write_end, len(text), flags=SPLICE_F_NONBLOCK)
        seen = os.read(read_end, moved)
    expect.same(encrypt(transform, text)[: len(seen)], seen, "spliced from the request")
    assert len(seen) >= PAGE
