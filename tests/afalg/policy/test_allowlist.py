"""Who may bind what at each level of af_alg_restrict (2f204fe718f5, 7.3).

bind() asks af_alg_check_restriction() before it looks the algorithm up: at level 1 a name
must be on the list of its interface, whole, and the caller must have CAP_NET_ADMIN or
CAP_SYS_ADMIN in the initial user namespace unless the entry is for everybody. Whatever is
refused is ENOENT, as if the algorithm did not exist; so each refusal is held against the
same bind() at level 0, and says nothing where that is ENOENT, too. What is on the list is
taken from the variant that the kernel turns out to have (harness/guest/inside/allowlists.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import af_alg
import credentials
import pytest
from allowlist import OTHER_SPELLINGS, RARELY_LOADED, UNLISTED
from credentials import Credential
from restriction import (
    BOUND,
    KINDS,
    Answers,
    Policy,
    attempt,
    attempt_all,
    bound,
    listing,
    read_proc_crypto,
    unload,
)
from unavailable import RESTRICT, skip

from harness.guest.inside.allowlists import (
    ALL_LISTED,
    NO_LIST,
    UNKNOWN_LIST,
    Name,
    describe_change,
)
from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import RecordFact

pytestmark = pytest.mark.policy_as_booted

PRIVILEGED = (credentials.NET_ADMIN, credentials.SYS_ADMIN)
UNPRIVILEGED = (
    credentials.ROOT_WITHOUT,
    credentials.OTHER_CAPABILITIES,
    credentials.NOT_EFFECTIVE,
    credentials.NAMESPACE_ROOT,
    credentials.ROOT_IN_NAMESPACE,
)


def name_id(name: Name) -> str:
    """``hash-sha256``."""
    return f"{name.kind}-{name.algorithm}"


def who(credential: Credential) -> str:
    """The credential's name, as a test id."""
    return credential.name


def assert_bound(expected: set[Name], answers: Answers, what: str, kind: str = "") -> None:
    """Exactly the expected names could be bound, and all others were ENOENT."""
    answers = {name: answer for name, answer in answers.items() if kind in {"", name.kind}}
    seen = bound(answers)
    expected = expected & answers.keys()
    assert seen == expected, (
        f"{what}: bound though it should not be: {listing(seen - expected)}; "
        f"refused though it should not be: {listing(expected - seen)}"
    )
    other = {f"{name}: {answer}" for name, answer in answers.items() if name not in seen}
    strange = sorted(line for line in other if not line.endswith(": ENOENT"))
    assert not strange, f"{what}: expected ENOENT, saw {', '.join(strange)}"


# Level 1, name by name


@pytest.mark.parametrize("name", ALL_LISTED, ids=name_id)
def test_listed(name: Name, policy: Policy) -> None:
    """Level 1: a name on the kernel's list can be bound by root, another is ENOENT."""
    policy.skip_unless_offered(name)
    answer = policy.answers(1, credentials.ROOT)[name]
    expected = BOUND if policy.list_found().variant.access(name).privileged else "ENOENT"
    assert answer == expected, f"bind {name} as root at level 1: expected {expected}, saw {answer}"


@pytest.mark.parametrize("name", ALL_LISTED, ids=name_id)
def test_listed_unprivileged(name: Name, policy: Policy) -> None:
    """Level 1: an unprivileged process can bind it if the entry says so, else it is ENOENT."""
    policy.skip_unless_offered(name)
    answer = policy.answers(1, credentials.NOBODY)[name]
    expected = BOUND if policy.list_found().variant.access(name).everybody else "ENOENT"
    assert answer == expected, f"bind {name} at level 1: expected {expected}, saw {answer}"


@pytest.mark.parametrize("name", UNLISTED, ids=name_id)
def test_unlisted(name: Name, policy: Policy) -> None:
    """Level 1: a name that is not on the list is ENOENT, even for root."""
    for credential in (credentials.ROOT, credentials.NOBODY):
        answer = policy.answers(1, credential)[name]
        assert answer == "ENOENT", (
            f"bind {name} as {credential.name} at level 1: expected ENOENT, saw {answer}"
        )
    policy.skip_unless_offered(name)


# Level 1, the list as a whole


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_name(kind: str, policy: Policy) -> None:
    """Level 1: of all names of an interface root can bind those on the list and no other."""
    answers = policy.answers(1, credentials.ROOT)
    assert_bound(policy.expected(privileged=True), answers, f"{kind} as root", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_name_unprivileged(kind: str, policy: Policy) -> None:
    """Level 1: of all names the unprivileged can bind those meant for them and no other."""
    answers = policy.answers(1, credentials.NOBODY)
    assert_bound(policy.expected(privileged=False), answers, f"{kind} as nobody", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_driver_names(kind: str, policy: Policy) -> None:
    """Level 1: the driver name of an implementation is ENOENT, even for root."""
    open_now = policy.answers(0, credentials.ROOT)
    answers = policy.answers(1, credentials.ROOT)
    drivers = {name for name in policy.drivers(kind) if open_now[name] == BOUND}
    seen = {name for name in drivers if answers[name] != "ENOENT"}
    assert not seen, f"not ENOENT: {listing(seen)}"
    if not drivers:
        skip(
            f"no {kind} driver can be bound by its name at af_alg_restrict=0",
            Reason(Cause.OTHER, type=kind),
        )


def test_exact_name(policy: Policy) -> None:
    """Level 1: other spellings of listed names (case, blanks, prefix, expanded) are ENOENT."""
    answers = policy.answers(1, credentials.ROOT)
    longer = {
        driver
        for driver in policy.drivers("hash")
        for name in ALL_LISTED
        if driver.algorithm.startswith(name.algorithm) and policy.offered(driver) == BOUND
    }
    others = (*OTHER_SPELLINGS, *longer)
    seen = [f"{name}: {answers[name]}" for name in others if answers[name] != "ENOENT"]
    assert not seen, f"expected ENOENT, saw {', '.join(seen)}"
    if not longer:
        skip(
            "no name that begins with a listed one can be bound at af_alg_restrict=0",
            Reason(Cause.OTHER, type="hash"),
        )


# Level 1, by credential


@pytest.mark.parametrize("credential", PRIVILEGED, ids=who)
def test_privileged(credential: Credential, policy: Policy) -> None:
    """Level 1: one capability in the initial user namespace is enough for the whole list."""
    answers = policy.answers(1, credential)
    assert_bound(policy.expected(privileged=True), answers, credential.name)


@pytest.mark.parametrize("credential", UNPRIVILEGED, ids=who)
def test_unprivileged(credential: Credential, policy: Policy) -> None:
    """Level 1: whoever lacks both capabilities there, now, counts as unprivileged."""
    answers = policy.answers(1, credential)
    assert_bound(policy.expected(privileged=False), answers, credential.name)


def test_credential_of_who_binds(policy: Policy) -> None:
    """Level 1: who binds counts, not who opened the socket."""
    names = [policy.keyless_hash(everybody=whose) for whose in (False, True)]
    with policy.at(1), af_alg.open_socket() as sock:
        assert attempt_all(names, sock) == [BOUND, BOUND]
        seen = credentials.run_as(credentials.NOBODY, lambda: attempt_all(names, sock))
        assert seen == ["ENOENT", BOUND], f"a socket of root's bound by nobody: {seen}"


def test_bound_socket_handed_down(policy: Policy) -> None:
    """Level 1: a socket that root bound serves an unprivileged process."""
    name = policy.keyless_hash(everybody=False)

    def digest() -> str:
        with transform.request() as request:
            request.send(b"abc")
            return request.recv(64).hex()

    with policy.at(1), af_alg.Transform(*name) as transform:
        expected = digest()
        seen = credentials.run_as(credentials.NOBODY, digest)
    assert seen == expected, f"expected {expected}, saw {seen}"


@pytest.mark.parametrize("credential", [credentials.ROOT, credentials.NOBODY], ids=who)
def test_refusal_loads_nothing(credential: Credential, policy: Policy) -> None:
    """Level 1: a refused bind() does not make the kernel load the algorithm."""
    tried: list[str] = []
    for name in RARELY_LOADED:
        loaded_for_good = unload(name)
        if loaded_for_good:
            tried.append(loaded_for_good)
            continue
        with policy.at(1):
            seen = credentials.run_as(credential, partial(attempt_all, [name]))
            loaded = name in read_proc_crypto()[0]
        assert seen == ["ENOENT"], f"bind {name}: expected ENOENT, saw {seen}"
        assert not loaded, f"bind {name} was refused, but the algorithm was loaded"
        with policy.at(0), af_alg.open_socket() as sock:
            answer = attempt(sock, name)
        if answer == BOUND:
            assert name in read_proc_crypto()[0]
            return
        tried.append(f"bind {name}: {answer}")
    skip(
        f"no algorithm that bind() would load: {', '.join(tried)}",
        Reason(Cause.NO_MODULE),
    )


# The other levels


@pytest.mark.parametrize("credential", [credentials.NOBODY, credentials.NAMESPACE_ROOT], ids=who)
def test_level_0(credential: Credential, policy: Policy) -> None:
    """Level 0: the unprivileged can bind whatever root can."""
    as_root = policy.answers(0, credentials.ROOT)
    refused = bound(as_root) - bound(policy.answers(0, credential))
    assert not refused, f"bound by root, refused to {credential.name}: {listing(refused)}"
    assert bound(as_root) > policy.expected(privileged=True), "level 0 offers no more than level 1"


@pytest.mark.parametrize("credential", [credentials.ROOT, credentials.NOBODY], ids=who)
def test_level_2(credential: Credential, policy: Policy) -> None:
    """Level 2: nothing can be bound on a socket that is older than the level."""
    assert_bound(set(), policy.answers(2, credential), credential.name)
    assert bound(policy.answers(0, credentials.ROOT)), "nothing can be bound at level 0 either"


# Every kernel


def test_variant(policy_answers: Policy, record_fact: RecordFact) -> None:
    """Which of the lists that are known does this kernel have? (before 7.3: none)"""
    fact = "policy.allowlist"
    try:
        af_alg.open_socket().close()
    except af_alg.NotOffered as refusal:
        if not RESTRICT.exists():
            record_fact(fact, state="unreachable", evidence=str(refusal), reason=refusal.reason)
            refusal.skip()
    if not RESTRICT.exists():
        as_root = bound(policy_answers.answers(None, credentials.ROOT))
        record_fact(
            fact,
            state="absent",
            control="fired" if as_root else "failed",
            evidence=f"no af_alg_restrict; root can bind {len(as_root)} names",
            value=NO_LIST,
        )
        return
    found = policy_answers.list_found()
    variant, differs = found.variant, describe_change(found.differing)
    alike = ", ".join(other.name for other in found.alike)
    record_fact(
        fact,
        state="present",
        control="fired",
        evidence=f"nearest to {variant.name} ({variant.commit}), but: {differs}"
        if differs
        else f"{variant.name} ({variant.commit})"
        + (f"; what this kernel offers does not tell it from {alike}" if alike else ""),
        value=UNKNOWN_LIST if differs else variant.name,
    )
    assert not differs, (
        f"no known list; it differs from {variant.name} ({variant.commit}) in: {differs}"
    )


def test_unprivileged_as_booted(policy_answers: Policy, record_fact: RecordFact) -> None:
    """As booted, can an unprivileged process bind whatever root can? (before 7.3: yes)"""
    fact = "policy.unprivileged_bind"
    try:
        af_alg.open_socket().close()
    except af_alg.NotOffered as refusal:
        record_fact(fact, state="unreachable", evidence=str(refusal), reason=refusal.reason)
        refusal.skip()
    level = int(RESTRICT.read_text()) if RESTRICT.exists() else None
    # At level 0 and without the sysctl the same names are tried as a kernel offers in all.
    as_root = bound(policy_answers.answers(level, credentials.ROOT))
    seen = bound(policy_answers.answers(level, credentials.NOBODY))
    refused = as_root - seen
    policy = "no af_alg_restrict" if level is None else f"af_alg_restrict={level}"
    record_fact(
        fact,
        state="absent" if refused else "present",
        control="fired" if as_root else "failed",
        evidence=(
            f"{policy}: of {len(as_root)} names that root could bind, nobody could bind "
            f"{len(as_root & seen)}"
        ),
        reason=Reason(Cause.UNPRIVILEGED_RESTRICTED, restrict=level) if refused and level else None,
    )
    assert as_root, "root could bind nothing"
    assert seen <= as_root, f"bound by nobody and not by root: {listing(seen - as_root)}"
    if not level:
        assert not refused, f"{policy}, but refused to nobody: {listing(refused)}"
