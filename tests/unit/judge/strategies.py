"""Results made at random: whatever a stored run may hold, likely and unlikely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from harness.judge.expectations import DEFAULTS, Expectation, Expectations
from harness.model import (
    Boot,
    Cause,
    ConsoleEvent,
    ConsoleWatch,
    Control,
    Fact,
    Facts,
    GuestIdentity,
    KernelResult,
    Outcome,
    Reason,
    Role,
    State,
    Status,
    TestResult,
    Witness,
)

#: Few names, so that plans, results and facts meet.
TESTS = (
    "zero_copy/test_input.py::test_skcipher[tee]",
    "zero_copy/test_input.py::test_aead[tee]",
    "functional/test_hash.py::test_consistent[cbcmac(aes)]",
    "functional/test_aio.py::test_aio",
    "mine.py::test_x",
    "",
)
PATHS = ("skcipher.tee", "aead.recv", "hash.splice", "", "x")
FACTS = (
    "aio.libaio",
    "consumers.kcapi.root",
    "policy.unprivileged_bind",
    "skcipher.short_read_refused",
    "hash.short_send_restarts",
    "my.own",
    "zero_copy.aead.tee",
    "page_cache_write",
    "",
)
KINDS = ("panic", "oops", "warning", "kasan", "")
TITLES = (
    "WARNING: CPU: 1 PID: 77 at crypto/x.c:3",
    "WARNING: CPU: 0 PID: 9 at crypto/x.c:4",
    "Oops: int3: 0000 [#1] SMP",
    "Kernel panic - not syncing: x",
)
_TEXT = st.sampled_from(("", " ", "bind hash 'sha256': ENOENT", "a\nb", "af_alg_restrict=1"))
_TEXT_OR_ANY = _TEXT | st.text(max_size=8)

reasons = st.builds(
    Reason, st.sampled_from(Cause), _TEXT, _TEXT, _TEXT, st.none() | st.integers(0, 2)
)
facts = st.builds(
    Fact,
    state=st.sampled_from(State),
    control=st.sampled_from(Control),
    evidence=_TEXT_OR_ANY,
    test=st.sampled_from(TESTS),
    reason=st.none() | reasons,
    witness=st.sampled_from(Witness),
)
fact_tables = st.builds(
    Facts,
    af_alg_restrict=st.none() | st.integers(-1, 3),
    zero_copy=st.dictionaries(st.sampled_from(PATHS), facts, max_size=3),
    page_cache_write=st.none() | facts,
    other=st.dictionaries(st.sampled_from(FACTS) | st.text(max_size=3), facts, max_size=3),
)
results = st.builds(
    TestResult,
    id=st.sampled_from(TESTS),
    outcome=st.sampled_from(Outcome),
    message=_TEXT_OR_ANY,
    reason=st.none() | reasons,
)
events = st.builds(
    ConsoleEvent,
    kind=st.sampled_from(KINDS),
    title=st.sampled_from(TITLES) | st.text(max_size=5),
    seconds=st.sampled_from((0.5, 5.0, 50.0)),
    test=st.sampled_from(TESTS),
    lines=st.lists(_TEXT_OR_ANY | st.just(" f+0x1/0x2"), max_size=2).map(tuple),
)
event_lists = st.lists(events, max_size=2).map(tuple)
identities = st.just(GuestIdentity("7.3.4", "#1", "x86_64", "", "n"))
boots = st.builds(
    Boot,
    status=st.sampled_from(Status),
    status_reason=_TEXT,
    accel=st.sampled_from(("tcg", "kvm", "")),
    identity=st.none() | identities,
    console_events=event_lists,
)
_ANSWERS = st.sampled_from(
    (
        "16",
        "0",
        "EINVAL",
        "waits, fed 24, EINVAL",
        "waits, fed EPIPE, EINVAL",
        "24 0badcafe",
        "waits, 48 0badcafe hole 16-24",
        "waits, fed 8, 24 0badcafe",
        "waits, waits, 3",
        "",
    )
) | st.text(max_size=5)
_CALLS = st.sampled_from(("send 24 more", "recv 24", "wait 56", "send 16 assoclen2147483648", ""))
_SUBJECTS = st.sampled_from(("skcipher ctr(aes): ", "aead gcm(aes): ", "x: ", ""))
_JOINED = st.lists(_CALLS, max_size=3).map("; ".join)
transcripts = st.dictionaries(
    st.builds(str.__add__, _SUBJECTS, _JOINED) | st.text(max_size=5),
    st.lists(_ANSWERS, max_size=3).map("; ".join),
    max_size=4,
)
_TAINTS = st.none() | st.sampled_from((0, 512, 1, 513, 1 << 40, -1))


#: What each field of a result may hold.
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "spec": st.sampled_from(("a", "b")),
    "release": st.sampled_from(("7.3.4", "6.12.43+deb12", "", "x")),
    "status": st.sampled_from(Status),
    "status_reason": _TEXT,
    "status_exit": st.none() | st.sampled_from((2, 3, 130)),
    "fatal_test": st.sampled_from(TESTS),
    "boot_seconds": st.none() | st.just(1.0),
    "suite_seconds": st.none() | st.just(9.0),
    "taint_before": _TAINTS,
    "taint": _TAINTS,
    "identity": st.none() | identities,
    "console_events": event_lists,
    "console_watch": st.none()
    | st.builds(ConsoleWatch, st.integers(0, 3), st.integers(0, 3), st.booleans()),
    "ignored_arguments": st.lists(_TEXT, max_size=1).map(tuple),
    "boots": st.lists(boots, max_size=2).map(tuple),
    "facts": fact_tables,
    "transcripts": transcripts,
    "plan": st.lists(st.sampled_from(TESTS), max_size=4).map(tuple),
    "collection_errors": st.sampled_from(((), ("x.py: ImportError",))),
    "tests": st.lists(results, max_size=4).map(tuple),
    "records_lost": st.integers(0, 2),
    "reproduce": st.sampled_from(("", "x 'y", "run x --suite zero_copy", "run -k")),
    "config": st.sampled_from(({}, {"CONFIG_CRYPTO_USER_API": "y"}, {"CONFIG_MODULES": "y"})),
}
_WHICH = st.one_of(
    st.sets(st.sampled_from(sorted(_FIELDS)), max_size=4),
    st.just(set(_FIELDS)),
)


@st.composite
def kernels(draw: st.DrawFn, role: Role | None = None) -> KernelResult:
    """A good kernel of which some fields, or all, hold anything."""
    good = KernelResult(
        spec="a",
        release="7.3.4",
        role=role or draw(st.sampled_from(Role)),
        status=Status.COMPLETED,
        boot_seconds=1.0,
        suite_seconds=9.0,
        taint_before=0,
        taint=0,
        identity=GuestIdentity("7.3.4", "#1", "x86_64", "", "n"),
        plan=TESTS,
        facts=Facts(
            zero_copy={
                path: Fact(State.ABSENT, Control.FIRED, "copied", test)
                for path, test in (("skcipher.tee", TESTS[0]), ("aead.tee", TESTS[1]))
            }
        ),
        tests=tuple(TestResult(test, Outcome.PASSED) for test in TESTS),
    )
    return replace(good, **{name: draw(_FIELDS[name]) for name in sorted(draw(_WHICH))})


_PATTERNS = (
    *TESTS,
    *FACTS,
    "*",
    "console.*",
    "console.warning.12345678",
    "taint.*",
    "differential/*",
    "zero_copy.*",
    "[",
    "functional/*",
)
_VALUES = (*(value for value in State if value is not State.UNKNOWN), Outcome.FAILED, "any")
expectations = st.lists(
    st.builds(
        Expectation,
        pattern=st.sampled_from(_PATTERNS),
        value=st.sampled_from(_VALUES),
        reason=_TEXT,
        source=st.sampled_from(("--expect", "file.toml")),
    ),
    max_size=2,
).map(lambda rules: Expectations((*DEFAULTS, *rules)))
