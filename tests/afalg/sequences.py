"""Seeded sequences of AF_ALG calls, as text that a person can read.

A sequence is a few calls on one request socket. A kernel is given every subsequence of it,
too, so that two kernels' answers can later be compared down to the shortest sequence in
which they differ, without booting either again (harness/judge/transcripts.py)::

    skcipher cbc(aes) key16: send 24 enc iv16 more; recv 24; splice 24; wait 56 fed 24

No call blocks but ``wait``, which is ended when it is seen to sleep (player.py has what each
call does and how its answer reads). None leaves what CVE-2026-43077 (an AEAD's receive
buffer below its minimum when decrypting, 3d14bd48e3a7) lets an older kernel die of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

LONGEST = 6  # calls in a sequence
_COUNT = bytes(range(256)) * 2
_ROW = bytes(7 * i % 256 for i in range(251))
#: Input: position i of all that a sequence sends is (7 * i + i // 251) % 256 in every run.
#: Made row by row: byte by byte takes an emulated CPU half a second.
STREAM = b"".join(
    _ROW.translate(_COUNT[shift : shift + 256])
    for shift in (1758 * row % 256 for row in range(262))
)[: 8 * 8192]
#: Keys and IVs are the first bytes of this.
BYTES = bytes(range(1, 65))
#: More associated data than a kernel takes, since CVE-2026-52972 (e4c06479d705).
HUGE_ASSOCLEN = 0x80000000

ENCRYPT, DECRYPT, NEITHER = "enc", "dec", "op2"


@dataclass(frozen=True)
class Subject:
    """An algorithm with its key, and the sizes that are of interest to it."""

    type: str
    name: str
    key: int = 0  # bytes
    tag: int = 0  # bytes; of an AEAD
    iv: int = 0  # bytes
    rtattr: bool = False  # the key goes after authenc's header
    sends: tuple[int, ...] = (0, 1, 15, 16, 17, 24, 31, 32, 48)
    reads: tuple[int, ...] = (0, 1, 15, 16, 17, 24, 32, 48, 56, 100)

    def __str__(self) -> str:
        words = [self.type, self.name]
        if self.key:
            words.append(f"{'authenc-' if self.rtattr else ''}key{self.key}")
        if self.tag:
            words.append(f"tag{self.tag}")
        return " ".join(words)

    @property
    def streams(self) -> bool:
        """Whether data sent is kept until it is read, and so can be waited for."""
        return self.type in {"skcipher", "aead"}


_PAGES = (0, 1, 16, 24, 4080, 4095, 4096, 4097, 8192)
_AEAD_SENDS = (0, 1, 8, 15, 16, 17, 24, 32, 64)
_AEAD_READS = (0, 1, 16, 24, 40, 1024, 4096)
#: Room for whatever an AEAD can have been sent here.
_ROOM = 1024
_DIGEST_SENDS = (0, 0, 0, 1, 16, 63, 64, 65, 100)
_DIGEST_READS = (0, 1, 16, 31, 32, 33, 64)

_CBC = Subject("skcipher", "cbc(aes)", 16, iv=16)
_GCM = Subject("aead", "gcm(aes)", 16, 16, 12, sends=_AEAD_SENDS, reads=_AEAD_READS)
_SHA256 = Subject("hash", "sha256", sends=_DIGEST_SENDS, reads=_DIGEST_READS)

#: The algorithms; the seeds take turns with them.
SUBJECTS = (
    _CBC,
    _GCM,
    _SHA256,
    Subject("skcipher", "ctr(aes)", 16, iv=16),
    replace(_CBC, sends=_PAGES, reads=_PAGES),
    Subject(
        "aead",
        "authenc(hmac(sha256),cbc(aes))",
        48,
        16,
        16,
        rtattr=True,
        sends=_AEAD_SENDS,
        reads=_AEAD_READS,
    ),
    replace(_SHA256, name="hmac(sha256)", key=20),
    Subject("skcipher", "xts(aes)", 32, iv=16),
    Subject("skcipher", "ecb(aes)", 16),
    Subject("aead", "ccm(aes)", 16, 8, 16, sends=_AEAD_SENDS, reads=_AEAD_READS),
    replace(_SHA256, sends=_PAGES),
    replace(_GCM, sends=_PAGES, reads=(0, 16, 4096, 8192, 65536)),
    Subject("skcipher", "cts(cbc(aes))", 16, iv=16),
    Subject("skcipher", "chacha20", 32, iv=16, sends=(0, 1, 16, 63, 64, 65, 100, 128)),
    replace(_CBC, key=0),
    _CBC,
    _GCM,
    replace(_GCM, key=0, tag=0),
    replace(_SHA256, name="hmac(sha256)"),
    Subject("rng", "stdrng", sends=(0, 16), reads=(0, 1, 16, 128, 129, 300)),
)


@dataclass(frozen=True)
class Call:
    """One call on a request socket (or, for ``rekey``, on its parent)."""

    verb: str  # send, splice, recv, wait, clone, shutdown, rekey, sndbuf, rcvbuf
    size: int = 0  # bytes
    op: str = ""
    iv: int | None = None  # bytes
    assoclen: int | None = None  # bytes
    cmsg: int | None = None  # type of an empty control message
    more: bool = False
    pieces: int = 1  # of the receive buffer
    fed: int | None = None  # bytes sent meanwhile

    def __str__(self) -> str:
        words = [self.verb]
        if self.verb in {"send", "splice", "recv", "wait", "sndbuf", "rcvbuf"}:
            words.append(str(self.size))
        if self.op:
            words.append(self.op)
        if self.iv is not None:
            words.append(f"iv{self.iv}")
        if self.assoclen is not None:
            words.append(f"assoclen{self.assoclen}")
        if self.cmsg is not None:
            words.append(f"cmsg{self.cmsg}")
        if self.more:
            words.append("more")
        if self.pieces > 1:
            words.append(f"in {self.pieces}")
        if self.fed is not None:
            words.append(f"fed {self.fed}")
        return " ".join(words)

    @property
    def controls(self) -> bool:
        """Whether it has control messages."""
        return bool(self.op) or (self.iv, self.assoclen, self.cmsg) != (None, None, None)


def text_of(subject: Subject, calls: Sequence[Call]) -> str:
    """The text of a sequence."""
    return f"{subject}: {'; '.join(map(str, calls))}"


def draw(subject: Subject, random: Random) -> tuple[Call, ...]:
    """A sequence for a subject: it begins as a request mostly does."""
    calls = [_send(subject, random, opening=True)]
    while len(calls) < LONGEST:
        # A result is seen when it is read: most sequences end so.
        last = len(calls) == LONGEST - 1
        read = last and random.random() < 0.7
        call = _recv(subject, random) if read else _draw_call(subject, random)
        # A splice would wait for room in the send buffer, whatever its flags.
        if {"splice", "sndbuf"} <= {call.verb, *(other.verb for other in calls)}:
            continue
        calls.append(call)
    return tuple(calls)


def _draw_call(subject: Subject, random: Random) -> Call:
    kind = random.random()
    if kind < 0.44:
        return _send(subject, random, opening=random.random() < 0.2)
    if kind < 0.74:
        return _recv(subject, random)
    if kind < 0.85:
        return Call("splice", random.choice(subject.sends) or 16, more=random.random() < 0.6)
    if kind < (0.93 if subject.type == "skcipher" else 0.89) and subject.streams:
        fed = random.choice((None, *subject.sends))
        return Call("wait", random.choice(subject.reads[len(subject.reads) // 2 :]), fed=fed)
    if kind < 0.96 and max(subject.sends) >= 4096:
        return Call(random.choice(("sndbuf", "rcvbuf")), 1)
    odd = ("clone", "clone", "clone", "shutdown", "rekey") if subject.type == "hash" else _ODD
    return Call(random.choice(odd))


def _recv(subject: Subject, random: Random) -> Call:
    size = random.choice(subject.reads)
    pieces = random.choice((1, 1, 1, 1, 2, 3)) if size >= 3 else 1
    return Call("recv", size, pieces=pieces)


_ODD = ("clone", "shutdown", "rekey")


def _send(subject: Subject, random: Random, *, opening: bool) -> Call:
    """A sendmsg(); with control messages if it is to open a request."""
    size, more = random.choice(subject.sends), random.random() < 0.6
    if not opening or (subject.type == "hash" and random.random() < 0.9):
        return Call("send", size, more=more)
    call = Call(
        "send",
        size,
        op=ENCRYPT if random.random() < 0.75 else DECRYPT,
        iv=subject.iv or None,
        assoclen=_assoclen(subject, random),
        more=more,
    )
    return _odd_controls(call, subject, random) if random.random() < 0.25 else call


def _odd_controls(call: Call, subject: Subject, random: Random) -> Call:
    return random.choice(
        (
            replace(call, iv=subject.iv + 1),
            replace(call, iv=subject.iv + 1),
            replace(call, iv=max(subject.iv - 1, 0)),
            replace(call, iv=None),
            replace(call, op="", iv=subject.iv),
            replace(call, op=NEITHER),
            replace(call, cmsg=9),
            replace(call, op=ENCRYPT, assoclen=HUGE_ASSOCLEN),
        )
    )


def _assoclen(subject: Subject, random: Random) -> int | None:
    if subject.type != "aead":
        return None
    # Some are more than all that is ever sent.
    return random.choice((None, 0, 8, 16, 16, 100_000))


def programs(calls: Sequence[Call], subject: Subject) -> Iterator[tuple[Call, ...]]:
    """The subsequences that end with the last call, the shortest first, each once.

    What the kernel answers to the others is seen as well: each is the beginning of one.
    """
    seen: set[tuple[Call, ...]] = set()
    for length in range(len(calls)):
        for part in combinations(calls[:-1], length):
            program = (*part, calls[-1])
            if program not in seen and is_safe(program, subject):
                seen.add(program)
                yield program


def is_safe(calls: Sequence[Call], subject: Subject) -> bool:
    """Whether no kernel can die of it: CVE-2026-43077.

    An AEAD is read into a small buffer only if nothing has been sent but to be encrypted.
    """
    if subject.type != "aead":
        return True
    encrypting = True
    for order, call in enumerate(calls):
        if call.verb == "send" and call.controls:
            encrypting &= call.op == ENCRYPT and call.iv in {None, subject.iv} and call.cmsg is None
        elif call.verb in {"send", "splice"} or call.fed is not None:
            encrypting &= any(earlier.controls for earlier in calls[:order])
        if call.verb in {"recv", "wait"} and 0 < call.size < _ROOM and not encrypting:
            return False
    return True
