"""The words that guest and host share for what a test or a probe saw.

Standard library only: this travels into the guest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one planned test."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    CRASHED = "crashed"  # the kernel, or the test process, died in it
    TIMEOUT = "timeout"
    MISSING = "missing"  # planned, never reported


class Waited(StrEnum):
    """How long was waited for a test that timed out."""

    LIMIT = ""  # as long as a test may take; of every other test, too
    HUNG = "hung"  # longer than it takes elsewhere, and the guest was idle
    #: It was begun, and ended when the guest was as idle as in several that hung before it.
    NOT_WAITED_FOR = "not_waited_for"


class State(StrEnum):
    """State of a zero-copy path, or of another property that a probe looks for."""

    PRESENT = "present"
    ABSENT = "absent"
    #: The algorithm or interface cannot be used here, or the source hands over copies itself.
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"  # the probe did not run, or its positive control failed
    WORKS = "works"  # a program that uses AF_ALG did its job
    FAILS = "fails"  # it did not


class Control(StrEnum):
    """What a probe's positive control said."""

    FIRED = "fired"  # the probe could have seen the property in this guest
    FAILED = "failed"  # it could not have: the observation is void
    NOT_RUN = "not_run"


class Witness(StrEnum):
    """What the witness inside the kernel (kprobes) said of a probe's state."""

    AGREED = "agreed"
    DISAGREED = "disagreed"
    SILENT = "silent"  # it could not be asked: the evidence says why
    NONE = ""  # this probe has none


class Cause(StrEnum):
    """The sort of reason for which something could not be done."""

    NO_SOCKET = "no_socket"  # socket(AF_ALG) was refused
    NOT_BOUND = "not_bound"  # bind() was refused
    PROGRAM_RESTRICTED = "program_restricted"  # works at af_alg_restrict=0, fails as booted
    UNPRIVILEGED_RESTRICTED = "unprivileged_restricted"  # refused to all but root, as booted
    NO_MODULE = "no_module"  # the kernel has no modules, or this is built in or not there
    NO_OPTION = "no_option"  # the kernel was built without an option, which is the name
    NO_SYSCTL = "no_sysctl"  # af_alg_restrict is not there although af_alg is loaded
    NOT_FIXED = "not_fixed"  # the probe could kill a kernel without a fix that was not seen
    SOURCE_COPIES = "source_copies"  # a call (its name) puts copies into a pipe by itself
    NO_WITNESS = "no_witness"  # no kprobes, or the code is not such that they could tell
    HOST = "host"  # the guest or the harness lacks something: says nothing of the kernel
    OTHER = "other"


@dataclass(frozen=True)
class Reason:
    """Why something could not be done, as data: what judging rests on instead of prose."""

    cause: Cause
    type: str = ""  # of the algorithm: "skcipher"
    name: str = ""  # of the algorithm, module, program or call: "cbc(aes)"
    errno: str = ""  # "ENOENT"
    restrict: int | None = None  # af_alg_restrict at that moment, if it was not opened


@dataclass(frozen=True)
class Defect:
    """The defect that a test looked for, and whether it could have seen it."""

    cve: str  # "CVE-2025-39964"; two with a comma between them; "" if it has none
    fix: str  # mainline commit
    #: What the defect needs came about in this very run: a kernel that has it would have
    #: shown it. Else that the test passed is no evidence.
    provoked: bool
