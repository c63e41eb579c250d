"""The registry of facts: all that the harness knows of a fact by its name.

What is expected of it, which state is right, what its absence is worth without a control,
which suite records it and what its states mean are said here and nowhere else. Names are
full ones (``zero_copy.skcipher.splice_file``). A fact of which nothing is said here, a
user's own for instance, is reported, and judged if the user expects something of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache

from immutabledict import immutabledict

from harness.model import State


class Weight(StrEnum):
    """What rests on a fact."""

    JUDGED = "judged"  # the verdict: a candidate must have the right state
    COMPARED = "compared"  # a candidate must not lose the right state that its baseline has
    REPORTED = "reported"  # nothing: no state of it makes a run fail


class Section(StrEnum):
    """Under which heading reports show a fact."""

    ZERO_COPY = "zero-copy path"
    OTHER = "other facts"
    PROGRAMS = "programs that use AF_ALG"


_PREFIXES = {Section.ZERO_COPY: "zero_copy.", Section.PROGRAMS: "consumers."}


@dataclass(frozen=True, kw_only=True)
class FactKind:
    """All facts whose name matches ``pattern`` (wildcards as in a shell)."""

    pattern: str
    weight: Weight = Weight.REPORTED
    #: The state that is better than its opposite; None: no direction is known to be right.
    right: State | None = None
    #: ``absent`` proves nothing unless a control showed that the probe could have fired.
    needs_control: bool = True
    #: A probe saw it; otherwise the witness inside the kernel did, alone.
    probed: bool = True
    #: What to run to have it recorded (``Selection.suites``); () is the whole suite.
    suites: tuple[str, ...] = ()
    section: Section = Section.OTHER
    #: What each state means, in one line.
    meanings: Mapping[State, str] = field(default_factory=immutabledict)

    @property
    def expected(self) -> State | None:
        """The state that a candidate must have if nobody says otherwise."""
        return self.right if self.weight is Weight.JUDGED else None

    @property
    def promised(self) -> State | None:
        """The state that a kernel with the fixes has; None for a fact that nobody vouches for."""
        return None if self.weight is Weight.REPORTED else self.right


#: Copied input proves behaviour, not a commit: 6.1.154 to 6.1.177 copy by accident. Their
#: code agrees: the compiler left out the branch that is never taken (seen on 6.1.176).
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
_SUITE = {
    State.ABSENT: "whatever the tests spliced in was copied, by the witness inside the kernel",
    State.PRESENT: (
        "some of what the tests spliced in was not copied, by the witness inside the kernel; "
        "as before ffdd2bc37895 (7.2)"
    ),
}
_PATH = {
    State.UNREACHABLE: (
        "this kernel offers no such way, or not this algorithm, or copies ahead of the socket"
    ),
    State.UNKNOWN: (
        "not told: the probe did not run, its control failed, or a witness says otherwise"
    ),
}


def _path(
    pattern: str, weight: Weight, meanings: Mapping[State, str], *, probed: bool = True
) -> FactKind:
    """Zero-copy paths: nobody wants data shared, whether or not that was ever promised."""
    return FactKind(
        pattern=f"zero_copy.{pattern}",
        weight=weight,
        right=State.ABSENT,
        probed=probed,
        suites=("zero_copy",),
        section=Section.ZERO_COPY,
        meanings=immutabledict({**_PATH, **meanings}),
    )


def _program(pattern: str) -> FactKind:
    """Programs: on 7.3 many fail by design, so that only a baseline shows what is lost."""
    return FactKind(
        pattern=pattern,
        weight=Weight.COMPARED,
        right=State.WORKS,
        suites=("consumers",),
        section=Section.PROGRAMS,
    )


#: The first that matches counts, so the particular stands before the general.
KINDS = (
    # Where data comes out is still written without a copy (7.3), and nothing is promised of it.
    _path("*.recv*", Weight.REPORTED, _OUTPUT),
    _path("*.output*", Weight.REPORTED, _OUTPUT),
    _path("*.suite", Weight.JUDGED, _SUITE, probed=False),
    _path("skcipher*.*", Weight.JUDGED, _INPUT),
    _path("aead*.*", Weight.JUDGED, _INPUT),
    _path("hash.*", Weight.REPORTED, _HASH_INPUT),
    _path("*", Weight.REPORTED, {}),
    FactKind(
        pattern="page_cache_write",
        weight=Weight.JUDGED,
        right=State.ABSENT,
        suites=("security",),
        meanings=immutabledict(
            {
                State.ABSENT: (
                    "Copy Fail, CVE-2026-31431, is closed, "
                    "as since a664bf3d603d (7.0) and its backports"
                ),
                State.PRESENT: "Copy Fail, CVE-2026-31431, is open, as before a664bf3d603d (7.0)",
            }
        ),
    ),
    FactKind(
        pattern="skcipher.hole_in_rounded_read",
        weight=Weight.COMPARED,
        right=State.ABSENT,
        suites=("functional",),
        meanings=immutabledict(
            {
                State.ABSENT: (
                    "a read that is rounded down to whole blocks leaves no hole, "
                    "as since 2f90facc7b94 (7.3)"
                ),
                State.PRESENT: (
                    "a read that is rounded down to whole blocks leaves a hole, "
                    "as before 2f90facc7b94 (7.3)"
                ),
            }
        ),
    ),
    FactKind(
        pattern="skcipher.failed_read_restarts",
        weight=Weight.REPORTED,
        right=State.ABSENT,
        suites=("faults",),
        meanings=immutabledict(
            {
                State.ABSENT: "after a read that found no memory a stream cipher goes on",
                State.PRESENT: (
                    "after a read that found no memory for its state a stream cipher begins its "
                    "keystream anew"
                ),
            }
        ),
    ),
    FactKind(
        pattern="hash.short_send_restarts",
        weight=Weight.REPORTED,
        right=State.ABSENT,
        suites=("functional",),
        meanings=immutabledict(
            {
                State.ABSENT: "a hash message of which a send took a part can be completed",
                State.PRESENT: (
                    "a hash message is dropped when a send finds no memory midway, which still "
                    "says that it took a part, as since c662b043cdca (6.5): "
                    "the digest is that of the rest"
                ),
            }
        ),
    ),
    FactKind(
        pattern="skcipher.short_read_refused",
        weight=Weight.COMPARED,
        right=State.PRESENT,
        suites=("functional",),
        meanings=immutabledict(
            {
                State.PRESENT: (
                    "a read below a block is refused, as since 8eceab19eba9 (7.0), CVE-2026-31677"
                ),
                State.ABSENT: (
                    "a read below a block is answered, as before 8eceab19eba9 (7.0), CVE-2026-31677"
                ),
            }
        ),
    ),
    _program("consumers.*"),
    FactKind(pattern="aio.*", suites=("functional",)),
    FactKind(pattern="skcipher.*", suites=("functional",)),
    FactKind(pattern="functional.*", suites=("functional",)),
    FactKind(
        pattern="policy.allowlist",
        weight=Weight.COMPARED,
        right=State.PRESENT,
        suites=("policy",),
        meanings=immutabledict(
            {
                State.PRESENT: "af_alg_restrict=1 refuses names, as since 2f204fe718f5 (7.3)",
                State.ABSENT: "there is no af_alg_restrict, as before 2f204fe718f5 (7.3)",
            }
        ),
    ),
    FactKind(pattern="policy.*", suites=("policy",)),
    FactKind(pattern="software_only", suites=("security",)),
    # The guest reports it before any test; the smallest test will do.
    FactKind(pattern="af_alg_restrict", suites=("zero_copy/test_rng.py::test_input[splice]",)),
)
#: Of a fact that is not named above.
UNKNOWN_KIND = FactKind(pattern="*", needs_control=False)


@cache
def kind_of(name: str) -> FactKind:
    """What is known of the fact ``name``; ``UNKNOWN_KIND`` if that is nothing."""
    return next((kind for kind in KINDS if fnmatchcase(name, kind.pattern)), UNKNOWN_KIND)


def short_name(name: str) -> str:
    """What to call a fact below the heading of its section: ``skcipher.splice_file``."""
    return name.removeprefix(_PREFIXES.get(kind_of(name).section, ""))


def explain(name: str, state: State) -> str:
    """What ``state`` means for the fact ``name``, in one line; "" if that is not known."""
    return kind_of(name).meanings.get(state, "")


_KINDS_OF_DATA = {
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
    "suite": "pages, spliced by any test of the suite",
}
_RECEIVED = {
    "skcipher": "the result of an skcipher, by recv()",
    "aead": "the result of an AEAD, by recv()",
    "hash": "the digest of a hash, by recv()",
    "rng": "random numbers, by recv()",
}


def describe(name: str) -> str:
    """What goes which way by a zero-copy path, in one phrase; "" for other facts."""
    if kind_of(name).section is not Section.ZERO_COPY:
        return ""
    data, _, way = short_name(name).partition(".")
    if way.startswith(("recv", "output")):
        return _RECEIVED.get(data, "")
    if data not in _KINDS_OF_DATA or way not in _WAYS:
        return ""
    return f"{_WAYS[way]}, as {_KINDS_OF_DATA[data]}"


_PAGES_OF_FILES = ("splice_file", "splice_tmpfs", "splice_memfd")
#: Those that are tried in many shapes as well (test_shapes.py).
_SHAPED_WAYS = (*_PAGES_OF_FILES, "sendfile", "vmsplice", "vmsplice_gift", "tee")
_PROBED_WAYS = (
    *_SHAPED_WAYS,
    *("splice_middle", "splice_last", "splice_unaligned", "splice_mixed"),
)
_JOBS = (
    *(f"kcapi_dgst.{name}" for name in ("sha1", "sha256", "sha3_256", "hmac_sha256")),
    *(f"kcapi_enc.{mode}_aes" for mode in ("cbc", "ctr", "ecb", "gcm", "xts")),
    *("kcapi_rng.stdrng", "sha512hmac.file", "openssl.afalg_cbc_aes", "stress_ng.af_alg"),
    *(f"cryptsetup.{what}" for what in ("benchmark_aes_cbc", "benchmark_aes_xts", "luks_format")),
)
#: Every fact that the built-in suite can record: what else is asked for is misspelt.
NAMES = (
    *(
        f"zero_copy.{kind}.{way}"
        for kind in ("skcipher", "aead", "aead_aad")
        for way in _PROBED_WAYS
    ),
    *(f"zero_copy.hash.{way}" for way in ("sendmsg", *_PAGES_OF_FILES, "vmsplice")),
    *(f"zero_copy.rng.{way}" for way in ("sendmsg", "splice")),
    *(f"zero_copy.{kind}.suite" for kind in ("skcipher", "aead")),
    *(f"zero_copy.{kind}.recv" for kind in _RECEIVED),
    *("page_cache_write", "software_only", "af_alg_restrict"),
    *("policy.unprivileged_bind", "policy.allowlist"),
    *("aio.libaio", "aio.libaio_skcipher", "functional.uncovered_algorithms"),
    *("skcipher.hole_in_rounded_read", "skcipher.short_read_refused"),
    *("skcipher.failed_read_restarts", "hash.short_send_restarts"),
    *(f"consumers.{job}.{user}" for job in _JOBS for user in ("root", "nobody")),
    "consumers.cryptsetup.luks_open.root",
)

_PROBE = re.compile(r"zero_copy/test_input\.py::test_(\w+)\[(\w+)\]")
_SHAPES = re.compile(r"zero_copy/test_shapes\.py::test_input\[(\w+)\]")
_HANDOVERS = re.compile(r"zero_copy/test_handovers\.py::test_all\[(\w+)\]")
_FIRST = re.compile(r"zero_copy/test_input\.py::")
_WIDER = re.compile(r"zero_copy/test_(?:algorithms|shapes)\.py::")
_COPY_FAIL = "security/test_page_cache_write.py::test_authencesn_leaves_the_file_alone"


@cache
def recorded_by(test: str) -> tuple[str, ...]:
    """The judged facts that a test of the built-in suite is there to record, by its id."""
    names: list[str] = []
    if probe := _PROBE.fullmatch(test):
        names = [f"zero_copy.{probe[1]}.{probe[2]}"]
    elif shapes := _SHAPES.fullmatch(test):
        names = [f"zero_copy.{shapes[1]}.{way}" for way in _SHAPED_WAYS]
    elif handovers := _HANDOVERS.fullmatch(test):
        names = [f"zero_copy.{handovers[1]}.suite"]
    elif test == _COPY_FAIL:
        names = ["page_cache_write"]
    return tuple(name for name in names if name in NAMES)


def in_first_answer(test: str) -> bool:
    """Whether a test of the built-in suite says whether a path or the page cache is open.

    Those are the tests marked ``first_answer``, which run before all others. Each path is
    looked at in one shape, with one algorithm.
    """
    return test == _COPY_FAIL or _FIRST.match(test) is not None


def widens_first_answer(test: str) -> bool:
    """Whether a test of the built-in suite says the same of more shapes or algorithms.

    Those are the tests marked ``widens_first_answer``, which run next. Of judged facts both
    leave open only what the whole suite tells (``zero_copy.skcipher.suite``).
    """
    return _WIDER.match(test) is not None


def has_first_answer(file: str) -> bool:
    """Whether a test of either kind is in ``file`` of the built-in suite."""
    test = f"{file}::"
    return _COPY_FAIL.startswith(test) or in_first_answer(test) or widens_first_answer(test)


@cache
def way_of(name: str) -> str:
    """The way of a kernel's code by which a zero-copy path goes: ``skcipher.input``.

    "" for other facts.
    """
    if kind_of(name).section is not Section.ZERO_COPY:
        return ""
    data, _, path = short_name(name).partition(".")
    direction = "output" if path.startswith(("recv", "output")) else "input"
    return f"{data.removesuffix('_aad')}.{direction}"
