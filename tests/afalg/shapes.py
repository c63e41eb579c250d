"""Shapes: the manners in which pages can be handed to a request socket, as data.

A kernel may take pages by reference depending on anything that af_alg_sendmsg() and its
callers can see. Each dimension here is one such thing. The table (shapes_table.py, made by
ci/covering_array.py) is a covering array: in it every value occurs, and every pair of values
that can occur together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

from shapes_table import ROWS

SKCIPHERS = ("cbc(aes)", "ctr(aes)", "ecb(aes)", "xts(aes)", "cts(cbc(aes))", "chacha20")
WIDE = "adiantum(xchacha12,aes)"
AEADS = (
    "gcm(aes)",
    "ccm(aes)",
    "rfc4106(gcm(aes))",
    "authenc(hmac(sha256),cbc(aes))",
    "rfc7539(chacha20,poly1305)",
)

#: Dimension -> its values. The first value of each is the plain one.
DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    # What the pages are. "both": associated data up to their middle, text from there on.
    "input": ("skcipher", "aead", "aad", "both"),
    "algorithm": (*SKCIPHERS, WIDE, *AEADS),
    "direction": ("encrypt", "decrypt"),
    "source": ("disk", "tmpfs", "memfd", "memory", "gift", "large"),
    "way": ("splice", "sendfile", "tee", "io_uring"),
    # Which request of its socket this is.
    "request": ("first", "second", "fifth"),
    # What was sent ahead of the pages; "nothing": not even control messages.
    "before": ("control", "nothing", "part", "page", "spliced"),
    # How the message ends: with the pages, with an empty send(), with more data.
    "after": ("last", "end", "data"),
    "length": ("page", "short", "pages", "many"),
    "offset": ("start", "aligned", "odd"),
    "pieces": ("one", "calls", "small"),
    # What would not block: the socket (O_NONBLOCK), or the call (SPLICE_F_NONBLOCK).
    "waiting": ("blocks", "socket", "call"),
    "who": ("root", "nobody", "namespace_root"),
    "policy": ("opened", "as_booted"),
    # When and how the key is set: ahead of accept(), after it, by its serial number.
    "key": ("first", "late", "serial"),
    "socket": ("accepted", "duplicated", "passed", "inherited", "ring"),  # accept by io_uring
    "buffer": ("default", "small", "large"),
    # What else of the socket is not as it was made.
    "option": ("none", "receive_buffer", "send_timeout", "priority", "mark"),
    # Whether another request of the same transform waits with pages of its own.
    "others": ("alone", "beside"),
    "read": ("whole", "buffers", "parts"),
}

#: How a value reads in "only ...".
WORDS: Mapping[tuple[str, str], str] = {
    ("direction", "encrypt"): "when encrypting",
    ("direction", "decrypt"): "when decrypting",
    ("request", "first"): "in the first request of a socket",
    ("request", "second"): "in the second request of a socket",
    ("request", "fifth"): "in the fifth request of a socket",
    ("who", "root"): "for root",
    ("who", "nobody"): "for nobody",
    ("who", "namespace_root"): "for root of a user namespace",
    ("waiting", "socket"): "on a non-blocking socket",
    ("waiting", "call"): "with SPLICE_F_NONBLOCK",
    ("policy", "as_booted"): "at af_alg_restrict as booted",
    ("policy", "opened"): "at af_alg_restrict=0",
    ("key", "late"): "with a key set after accept()",
    ("key", "serial"): "with a key by serial number",
    ("others", "beside"): "beside another request",
    ("way", "io_uring"): "by io_uring",
    ("socket", "ring"): "on a socket accepted by io_uring",
    ("option", "receive_buffer"): "with SO_RCVBUF set",
    ("option", "send_timeout"): "with SO_SNDTIMEO set",
    ("option", "priority"): "with SO_PRIORITY set",
    ("option", "mark"): "with SO_MARK set",
}


@dataclass(frozen=True)
class Shape:
    """One manner of handing pages over: a value of each dimension."""

    input: str = "skcipher"
    algorithm: str = "cbc(aes)"
    direction: str = "encrypt"
    source: str = "disk"
    way: str = "splice"
    request: str = "first"
    before: str = "control"
    after: str = "last"
    length: str = "page"
    offset: str = "start"
    pieces: str = "one"
    waiting: str = "blocks"
    who: str = "root"
    policy: str = "opened"
    key: str = "first"
    socket: str = "accepted"
    buffer: str = "default"
    option: str = "none"
    others: str = "alone"
    read: str = "whole"

    @property
    def kind(self) -> str:
        """The kind of input in the names of paths: skcipher, aead, aead_aad."""
        return {"aad": "aead_aad", "both": "aead_aad"}.get(self.input, self.input)

    @property
    def path(self) -> str:
        """The zero-copy path that it is a shape of: ``skcipher.splice_file``."""
        if self.way in {"sendfile", "tee"}:
            return f"{self.kind}.{self.way}"
        ways = {
            "disk": "splice_file",
            "tmpfs": "splice_tmpfs",
            "large": "splice_tmpfs",  # a huge page of one
            "memfd": "splice_memfd",
            "memory": "vmsplice",
            "gift": "vmsplice_gift",
        }
        return f"{self.kind}.{ways[self.source]}"

    def values(self) -> tuple[str, ...]:
        """Its value of each dimension, in their order."""
        return tuple(getattr(self, name) for name in DIMENSIONS)

    def __str__(self) -> str:
        plain = Shape()
        apart = ("input", "algorithm", "direction", "source", "way")
        differing = [
            value
            for name, value in zip(DIMENSIONS, self.values(), strict=True)
            if name in apart or value != getattr(plain, name)
        ]
        return " ".join(differing)


_Known = Mapping[str, str]  # dimension -> value, of those that are settled
_CHAINED = ("cbc(aes)", "ctr(aes)", "ecb(aes)")


def _one_of(known: _Known, name: str, *values: str) -> bool:
    return known.get(name, values[0]) in values


def _when(known: _Known, name: str, *values: str) -> bool:
    return name in known and known[name] in values


#: What cannot occur together, each rule with its reason. A rule gets what is settled and
#: says no only if that is enough to say so.
RULES: tuple[tuple[str, Callable[[_Known], bool]], ...] = (
    (
        "an skcipher has text alone, an AEAD is of another type",
        lambda k: not _when(k, "input", "skcipher") or _one_of(k, "algorithm", *SKCIPHERS, WIDE),
    ),
    (
        "an AEAD's inputs take an AEAD",
        lambda k: not _when(k, "input", "aead", "aad", "both") or _one_of(k, "algorithm", *AEADS),
    ),
    (
        "associated data of rfc4106 is 16 or 20 bytes",
        lambda k: not _when(k, "algorithm", "rfc4106(gcm(aes))") or _one_of(k, "input", "aead"),
    ),
    (
        "memory has no file to send; a file sent ends its message and goes as one",
        lambda k: (
            not _when(k, "way", "sendfile")
            or (
                _one_of(k, "source", "disk", "tmpfs", "memfd", "large")
                and _one_of(k, "after", "last")
                and _one_of(k, "pieces", "one")
                and _one_of(k, "waiting", "blocks", "socket")
            )
        ),
    ),
    (
        "without control messages a socket decrypts, with an IV of zeros and no associated data",
        lambda k: (
            not _when(k, "before", "nothing")
            or (
                _one_of(k, "direction", "decrypt")
                and _one_of(k, "input", "skcipher", "aead")
                and _one_of(k, "request", "first")
                and not _when(k, "algorithm", "ccm(aes)", "rfc4106(gcm(aes))")
            )
        ),
    ),
    (
        "with the smallest buffer a socket takes more only while nothing of it is used",
        lambda k: (
            not _when(k, "buffer", "small")
            or (
                _one_of(k, "input", "skcipher", "aad", "both")
                and _one_of(k, "length", "short")
                and _one_of(k, "before", "nothing", "control")
                and _one_of(k, "after", "last", "end")
                and _one_of(k, "pieces", "one")
                and _one_of(k, "way", "splice", "tee", "io_uring")
            )
        ),
    ),
    (
        "as booted the policy may let but these through (2f204fe718f5, 7.3)",
        lambda k: (
            not _when(k, "policy", "as_booted")
            or _one_of(k, "algorithm", *_CHAINED, "xts(aes)", WIDE, "ccm(aes)")
        ),
    ),
    (
        "and of these only some to the unprivileged",
        lambda k: (
            not (_when(k, "policy", "as_booted") and _when(k, "who", "nobody", "namespace_root"))
            or _one_of(k, "algorithm", "xts(aes)", WIDE)
        ),
    ),
    (
        "a mark takes CAP_NET_ADMIN",
        lambda k: not _when(k, "option", "mark") or _one_of(k, "who", "root"),
    ),
    (
        "output is read in parts where the cipher goes on from one to the next",
        lambda k: (
            not _when(k, "read", "parts")
            or (_one_of(k, "input", "skcipher") and _one_of(k, "algorithm", *_CHAINED))
        ),
    ),
)


def is_possible(known: _Known) -> bool:
    """Whether the values that are settled can occur together."""
    return all(rule(known) for _, rule in RULES)


def can_be_completed(known: dict[str, str]) -> bool:
    """Whether there is a whole shape with these values."""
    if not is_possible(known):
        return False
    name = next((name for name in DIMENSIONS if name not in known), None)
    if name is None:
        return True
    return any(can_be_completed({**known, name: value}) for value in DIMENSIONS[name])


#: Two dimensions, each with a value.
Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs(shape: Shape) -> set[Pair]:
    """Every pair of values that occurs in it."""
    return set(combinations(zip(DIMENSIONS, shape.values(), strict=True), 2))


def possible_pairs(inputs: Sequence[str]) -> list[Pair]:
    """Every pair of values that can occur together where the input is one of ``inputs``."""
    dimensions = {**DIMENSIONS, "input": tuple(inputs)}
    single = [(name, value) for name, values in dimensions.items() for value in values]
    return [
        (one, other)
        for one, other in combinations(single, 2)
        if one[0] != other[0]
        and any(can_be_completed({"input": kind, **dict((one, other))}) for kind in inputs)
    ]


def load() -> tuple[Shape, ...]:
    """The covering array."""
    header, *rows = ROWS.splitlines()
    names = header.split()
    assert names == [field.name for field in fields(Shape)], "the table is of other dimensions"
    return tuple(Shape(*row.split()) for row in rows)


def explain(present: Sequence[Shape], absent: Sequence[Shape]) -> str:
    """What tells the shapes that share pages from those that do not, in the fewest dimensions.

    ``only when decrypting``; "" where all are present or none is.
    """
    if not present or not absent:
        return ""
    names = [name for name in DIMENSIONS if name != "input"]
    for number in (1, 2, 3):
        found = [
            told
            for chosen in combinations(names, number)
            if (told := _separates(chosen, present, absent)) is not None
        ]
        if found:
            # That with the fewest values is the plainest.
            return "only " + " and ".join(min(found, key=lambda told: (sum(map(len, told)), told)))
    return f"for no reason that up to three dimensions tell; one is: {present[0]}"


def _separates(
    names: Iterable[str], present: Sequence[Shape], absent: Sequence[Shape]
) -> list[str] | None:
    values = {name: sorted({getattr(shape, name) for shape in present}) for name in names}
    if any(all(getattr(shape, name) in values[name] for name in values) for shape in absent):
        return None
    return [" or ".join(_worded(name, value) for value in values[name]) for name in values]


def _worded(name: str, value: str) -> str:
    return WORDS.get((name, value), f"with {name} {value}")
