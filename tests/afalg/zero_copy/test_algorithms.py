"""Is a page shared with any other algorithm, all else being plain?

test_shapes.py goes through many manners with a dozen algorithms, here are all others in one
manner: those of the functional suite, templates over other ciphers, and whatever the kernel
lists in /proc/crypto by now. A page of a memfd is spliced in, overwritten, and the result
is that of the old page (copied) or of the new one (shared).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import libc
import pages
import pytest
import vectors
from pages import PAGE
from probing import handing_over, why_void
from shape_probe import CIPHERS, authenc_key
from unavailable import Unavailable, skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import RecordFact
    from sharing import Sharing

pytestmark = pytest.mark.widens_first_answer

_TEMPLATES = {
    "skcipher": ("kw(aes)", "adiantum(xchacha20,serpent)", "hctr2(camellia)", "xts(aria)"),
    "aead": (
        "ccm(camellia)",
        "gcm(camellia)",
        "authenc(hmac(sha256),ecb(cipher_null))",
        "essiv(authenc(hmac(sha256),cbc(aes)),sha256)",
        "echainiv(authenc(hmac(sha256),cbc(aes)))",
        "seqiv(rfc4106(gcm(aes)))",
    ),
}
_TABLE = {
    "skcipher": (*vectors.SKCIPHERS, *vectors.CONSISTENT_SKCIPHERS, *_TEMPLATES["skcipher"]),
    "aead": (*vectors.AEADS, *_TEMPLATES["aead"]),
}
#: What is made of these takes the place of what it is made of, for all who come after.
_NOT_MADE = ("pcrypt(", "cryptd(")
_AT_ONCE = 16
_KEY_LENGTHS = (16, 32, 24, 20, 8, 19, 36, 48, 64, 12)
_IV_LENGTHS = (16, 12, 8, 32, 0, 24)
_OLD, _NEW = bytes(PAGE), bytes([0xFF]) * PAGE
_AAD = bytes(range(16))


@dataclass(frozen=True)
class Seen:
    """State of an algorithm (present, absent, unreachable, unknown, corrupt), and why."""

    state: str
    words: str = ""
    reason: Reason | None = None


class Sweep:
    """Probes algorithms, each once."""

    def __init__(self, absent: set[tuple[str, str]], sharing: Sharing) -> None:
        self._absent = absent
        self._sharing = sharing
        self.seen: dict[tuple[str, str], Seen] = {}

    def of(self, kind: str, names: list[str]) -> dict[str, Seen]:
        """What was seen of each."""
        for name in names:
            if (kind, name) not in self.seen:
                self.seen[kind, name] = self._tell(kind, name)
        return {name: self.seen[kind, name] for name in names}

    def _tell(self, kind: str, name: str) -> Seen:
        if (kind, name) in self._absent:
            return Seen(
                "unreachable", "ENOENT earlier", Reason(Cause.NOT_BOUND, kind, name, "ENOENT")
            )
        try:
            with af_alg.Transform(kind, name) as transform:
                return self._probe(transform)
        except af_alg.NotOffered as refusal:
            return Seen("unreachable", str(refusal), refusal.reason)
        except Unavailable as lack:
            return Seen("unknown", str(lack), lack.reason)
        except (OSError, MemoryError) as error:
            void = why_void(error, kind, name)
            return Seen("unknown", str(void), void.reason)

    def _probe(self, transform: af_alg.Transform) -> Seen:
        set_some_key(transform)
        iv = some_iv(transform)
        of_old, of_new = by_copy(transform, iv, _OLD), by_copy(transform, iv, _NEW)
        if of_old == of_new:
            return Seen("unknown", "old and new contents give the same result", Reason(Cause.OTHER))
        result, shared = by_reference(transform, iv)
        if result == of_new:
            return Seen("present")
        if shared != _NEW:
            self._sharing.require("memfd")
            return Seen("unknown", "control did not fire", Reason(Cause.OTHER))
        if result == of_old:
            return Seen("absent")
        return Seen("corrupt", af_alg.difference(of_old, result))


def set_some_key(transform: af_alg.Transform) -> None:
    """Set a key of the first length that the algorithm takes. Raises Unavailable."""
    for length in _KEY_LENGTHS:
        key = bytes(range(1, length + 1))
        try:
            transform.set_key(authenc_key(bytes(32), key) if "authenc" in transform.name else key)
        except OSError as error:
            if af_alg.errno_name(error) not in {"EINVAL", "ENOKEY"}:
                raise
        else:
            return
    if "cipher_null" in transform.name:
        transform.set_key(authenc_key(bytes(32), b"") if "authenc" in transform.name else b"")
        return
    raise Unavailable("no length of its key is known", Reason(Cause.OTHER))


def some_iv(transform: af_alg.Transform) -> bytes:
    """An IV of the first length that the algorithm takes. Raises Unavailable."""
    for length in _IV_LENGTHS:
        iv = (b"\3" + bytes(length))[:length]  # the first byte says a length to ccm
        try:
            start(transform, iv).close()
        except OSError as error:
            if af_alg.errno_name(error) != "EINVAL":
                raise
        else:
            return iv
    raise Unavailable("no length of its IV is known", Reason(Cause.OTHER))


def start(transform: af_alg.Transform, iv: bytes) -> af_alg.Request:
    """A request that waits for the page, an AEAD's with associated data ahead."""
    request = transform.request()
    aad = _AAD if transform.kind == "aead" else b""
    if transform.name.startswith("seqiv("):
        aad = aad[:8]  # its IV becomes the other half of what rfc4106 authenticates
    assoclen = len(aad) or None
    request.send(aad, op=af_alg.ENCRYPT, iv=iv, assoclen=assoclen, more=True)
    return request


def by_copy(transform: af_alg.Transform, iv: bytes, text: bytes) -> bytes:
    """The result for a text that is sent."""
    with start(transform, iv) as request:
        request.send(text)
        return request.recv(2 * PAGE)


def by_reference(transform: af_alg.Transform, iv: bytes) -> tuple[bytes, bytes]:
    """The result for a page that is overwritten, and what a second reference to it shows."""
    with (
        pages.source("memfd", _OLD) as source,
        pages.pipe() as (read_end, write_end),
        pages.pipe() as (control, control_in),
        start(transform, iv) as request,
    ):
        with handing_over("splice", transform.kind, transform.name):
            assert source.put(write_end, 0, PAGE) == PAGE
            assert libc.tee(read_end, control_in, PAGE) == PAGE
            assert os.splice(read_end, request.fileno(), PAGE) == PAGE
        source.overwrite(0, _NEW)
        return request.recv(2 * PAGE), os.read(control, PAGE)


def listed(kind: str) -> list[str]:
    """What the kernel lists of a kind and the table does not have."""
    names = []
    for entry in Path("/proc/crypto").read_text().split("\n\n"):
        fields = {
            key.strip(): value.strip()
            for key, _, value in (line.partition(":") for line in entry.splitlines())
        }
        name = fields.get("name", "")
        mine = fields.get("type") == kind and fields.get("internal") == "no"
        if mine and not name.startswith(("__", *_NOT_MADE)) and name not in names:
            names.append(name)
    tried = {*_TABLE[kind], *(cipher.name for cipher in CIPHERS.values())}
    return [name for name in names if name not in tried]


@pytest.fixture(scope="module")
def sweep(absent: set[tuple[str, str]], sharing: Sharing) -> Sweep:
    """One for all tests here: what one of them probed is not probed again."""
    return Sweep(absent, sharing)


_GROUPS = {
    f"{kind}-{at // _AT_ONCE + 1}": (kind, list(names[at : at + _AT_ONCE]))
    for kind, names in _TABLE.items()
    for at in range(0, len(names), _AT_ONCE)
}


@pytest.mark.parametrize("group", _GROUPS)
def test_group(group: str, sweep: Sweep) -> None:
    """Is the result that of the old page or of the new one, with each algorithm of a group?"""
    judge(sweep.of(*_GROUPS[group]))


@pytest.mark.parametrize("kind", _TABLE)
def test_kind(kind: str, sweep: Sweep, record_fact: RecordFact) -> None:
    """Is a page still read after it was spliced in, with any algorithm of this kind?"""
    seen = sweep.of(kind, [*_TABLE[kind], *listed(kind)])
    record(kind, seen, record_fact)
    judge(seen)


def judge(seen: dict[str, Seen]) -> None:
    """Fail for a result of neither page; skip if nothing could be told."""
    corrupt = [f"{name}: {one.words}" for name, one in seen.items() if one.state == "corrupt"]
    assert not corrupt, f"result of neither the old nor the new page: {'; '.join(corrupt)}"
    if seen and not any(one.state in {"present", "absent"} for one in seen.values()):
        first = next(iter(seen.values()))
        skip(f"no algorithm could be told: {first.words}", first.reason or Reason(Cause.OTHER))


def record(kind: str, seen: dict[str, Seen], record_fact: RecordFact) -> None:
    """Record what these algorithms told, if any of them did."""

    def named(state: str) -> list[str]:
        return [name for name, one in seen.items() if one.state == state]

    shared, copied, untold = named("present"), named("absent"), named("unknown")
    if not shared and not copied:
        return
    evidence = f"shared with {len(shared)} of {len(shared) + len(copied)} more algorithms"
    if shared and copied:
        evidence += (
            f" (only {few(shared)})" if len(shared) <= len(copied) else f" (not {few(copied)})"
        )
    if untold:
        evidence += f"; {len(untold)} not told: {few(untold)} ({seen[untold[0]].words})"
    lacking = [seen[name].reason for name in untold if of_the_host(seen[name])]
    state = "present" if shared else "unknown" if lacking else "absent"
    record_fact(
        f"zero_copy.{kind}.splice_memfd",
        state=state,
        control="fired",
        evidence=evidence,
        reason=lacking[0] if state == "unknown" else None,
    )


def of_the_host(one: Seen) -> bool:
    """Whether the guest lacked something, so that nothing is known of the algorithm."""
    return one.reason is not None and one.reason.cause is Cause.HOST


def few(names: list[str]) -> str:
    """Some of many names."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
