"""What the zero-copy paths are, which of them are judged, and what their states mean.

A path is named as in its fact without ``zero_copy.``: ``skcipher.splice_file``.
"""

from __future__ import annotations

from harness.model import State

_PREFIX = "zero_copy."

_KINDS = {
    "skcipher": "the text of an skcipher",
    "aead": "the text of an AEAD",
    "aead_aad": "the associated data of an AEAD",
    "hash": "the data of a hash",
    "rng": "the input of a random number generator",
}
_WAYS = {
    "splice_file": "a page-cache page of a disk file, spliced",
    "splice_tmpfs": "a page of a tmpfs file, spliced",
    "splice_memfd": "a page of a memfd, spliced",
    "sendfile": "a page of a disk file, by sendfile()",
    "vmsplice": "anonymous memory, by vmsplice()",
    "vmsplice_gift": "anonymous memory, by vmsplice() as a gift",
    "tee": "a page of a disk file, by a tee'd pipe",
    "splice_middle": "a page amid a spliced message of many pages",
    "splice_last": "the last page of a spliced message of many pages",
    "splice_unaligned": "spliced pages, begun at an odd offset",
    "splice_mixed": "a page spliced between parts that were sent",
    "splice": "a pipe, spliced",
    "sendmsg": "memory, by sendmsg()",
}
_RECEIVED = {
    "skcipher": "the result of an skcipher, by recv()",
    "aead": "the result of an AEAD, by recv()",
    "hash": "the digest of a hash, by recv()",
    "rng": "random numbers, by recv()",
}

#: Copied input proves behaviour, not a commit: 6.1.154 to 6.1.177 copy by accident.
_INPUT = {
    State.ABSENT: "input is copied, as since ffdd2bc37895 (7.2) and its backports",
    State.PRESENT: "input shares the sender's pages, as before ffdd2bc37895 (7.2)",
}
_HASH_INPUT = {
    State.ABSENT: "a hash reads a copy of the sender's pages",
    State.PRESENT: (
        "a hash reads the sender's own pages during the call; "
        "ffdd2bc37895 (7.2) left hash as it was"
    ),
}
_OUTPUT = {
    State.ABSENT: "the result is copied to the reader when it is ready",
    State.PRESENT: (
        "the result is written into the reader's pages, which are pinned; "
        "ffdd2bc37895 (7.2) left output as it was"
    ),
}
_ANY = {
    State.UNREACHABLE: "this kernel offers no such way, or not this algorithm",
    State.UNKNOWN: (
        "not told: the probe did not run, its control failed, or witness and probe disagree"
    ),
}


def _split(path: str) -> tuple[str, str]:
    kind, _, way = path.removeprefix(_PREFIX).partition(".")
    return kind, way


def is_output(path: str) -> bool:
    """Whether data comes out of the kernel by it."""
    return _split(path)[1].startswith(("recv", "output"))


def is_judged(path: str) -> bool:
    """Whether the verdict rests on it: every input of skcipher and AEAD, and nothing else."""
    return _split(path)[0].startswith(("skcipher", "aead")) and not is_output(path)


def describe(path: str) -> str:
    """What goes which way by it, in one phrase; "" for a path that is not known here."""
    kind, way = _split(path)
    if is_output(path):
        return _RECEIVED.get(kind, "")
    if kind not in _KINDS or way not in _WAYS:
        return ""
    return f"{_WAYS[way]}, as {_KINDS[kind]}"


def explain(path: str, state: State) -> str:
    """What ``state`` means for it, in one line."""
    kind, _ = _split(path)
    if is_output(path):
        told = _OUTPUT
    elif kind == "hash":
        told = _HASH_INPUT
    elif is_judged(path):
        told = _INPUT
    else:
        told = {}
    return told.get(state) or _ANY.get(state, "")
