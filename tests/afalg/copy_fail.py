"""One authencesn decryption of a page of a file, and what the file holds afterwards.

What there is to see is told in security/test_page_cache_write.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import af_alg
import libc
import pages
from pages import PAGE
from probing import handing_over

ALGORITHM = "authencesn(hmac(sha256),cbc(aes))"
TAG = 32
IV = bytes(16)
#: Security parameter index, and the half of the sequence number that went astray.
AAD = b"\x00\x01\x02\x03" + b"\xe5\xe5\xe5\xe5"
TEXT = bytes(range(256))[:96] * 32
#: struct rtattr of crypto/authenc.c: length 8, CRYPTO_AUTHENC_KEYA_PARAM, big-endian
#: length of the cipher key; then the HMAC key and the cipher key.
KEY = (
    b"\x08\x00\x01\x00"
    + (16).to_bytes(4, "big")
    + bytes(range(0x20, 0x40))
    + bytes(range(0x40, 0x50))
)


@dataclass(frozen=True)
class Seen:
    """What was seen of one decryption."""

    place: str  # of the scratch file
    sealed: bytes  # what was written to the file
    opened: bytes  # what the request gave
    after: bytes  # what the file held then
    in_pipe: bytes  # what a second reference to the page gave once the file was overwritten
    source: str  # what sort of page it was (sharing.py)

    @property
    def fired(self) -> bool:
        """The control: what the file held was decrypted, from the page that was shared."""
        return self.opened == AAD + TEXT and self.in_pipe == bytes(len(self.sealed))

    @property
    def copied(self) -> bool:
        """The pipe kept what had been put into it: the page was not shared at all."""
        return self.in_pipe == self.after == self.sealed

    @property
    def changed(self) -> bool:
        """Decryption wrote to the file."""
        return self.after != self.sealed


def look() -> Seen:
    """Decrypt a page spliced from a file that is open for reading only.

    Raises NotOffered, NoSource, or what handing over raises.
    """
    with af_alg.Transform("aead", ALGORITHM) as transform:
        directory = pages.writable_directory(*pages.DISK_FILE_SYSTEMS, "tmpfs")
        if directory is None:
            raise pages.NoSource("disk", "no writable file system for the scratch file is mounted")
        transform.set_key(KEY)
        transform.set_authsize(TAG)
        sealed = seal(transform)
        with (
            pages.scratch_file(directory, sealed) as writable,
            pages.reopened_read_only(writable) as descriptor,
            pages.pipe() as (control, control_in),
        ):
            request = transform.request()
            request.send(AAD, op=af_alg.DECRYPT, iv=IV, assoclen=len(AAD), more=True)
            with handing_over("splice", "aead", ALGORITHM):
                feed(descriptor, request, control_in)
            opened = request.recv(len(AAD) + len(sealed))
            after = os.pread(descriptor, len(sealed), 0)
            pages.write_all(writable, bytes(len(sealed)))
            in_pipe = os.read(control, len(sealed))
    source = "tmpfs" if directory.file_system == "tmpfs" else "disk"
    return Seen(str(directory), sealed, opened, after, in_pipe, source)


def seal(transform: af_alg.Transform) -> bytes:
    """TEXT encrypted, and its tag."""
    request = transform.request()
    request.send(AAD + TEXT, op=af_alg.ENCRYPT, iv=IV, assoclen=len(AAD))
    return request.recv(len(AAD) + len(TEXT) + TAG)[len(AAD) :]


def feed(descriptor: int, request: af_alg.Request, control: int) -> None:
    """Splice the file's contents into the request; the control pipe gets a second reference."""
    size = len(TEXT) + TAG
    assert size < PAGE, "the file must lie in one page"
    with pages.pipe() as (read_end, write_end):
        assert os.splice(descriptor, write_end, size, offset_src=0) == size
        assert libc.tee(read_end, control, size) == size
        moved = os.splice(read_end, request.fileno(), size)
    assert moved == size, f"expected {size} bytes taken by the socket, saw {moved}"
