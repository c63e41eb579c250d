"""Changes between two kernels, and what each amounts to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.compare import compare
from harness.model import (
    Change,
    ChangeClass,
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    Role,
    State,
    Status,
    TestResult,
)
from tests.unit import samples

FILE = "skcipher.splice_file"
FACT = f"zero_copy.{FILE}"


def changes(baseline: KernelResult, candidate: KernelResult) -> dict[str, Change]:
    found = compare(baseline, candidate).changes
    by_id = {change.id: change for change in found}
    assert len(by_id) == len(found), "a change is listed twice"
    return by_id


def as_baseline(kernel: KernelResult) -> KernelResult:
    return replace(kernel, role=Role.BASELINE)


def test_main_job() -> None:
    found = changes(samples.old(), samples.new())
    assert found[FACT].cls is ChangeClass.FIXED
    assert (found[FACT].baseline, found[FACT].candidate) == ("present", "absent")
    assert "ffdd2bc37895" in found[FACT].explanation
    assert found["page_cache_write"].cls is ChangeClass.FIXED
    assert "CVE-2026-31431" in found["page_cache_write"].explanation
    assert found["af_alg_restrict"].cls is ChangeClass.INTENDED
    assert "2f204fe718f5" in found["af_alg_restrict"].explanation
    assert found[samples.STDRNG_TEST].cls is ChangeClass.INTENDED
    assert "CONFIG_CRYPTO_DRBG is not set" in found[samples.STDRNG_TEST].explanation
    assert found[samples.SALSA_TEST].cls is ChangeClass.INTENDED
    assert "CONFIG_CRYPTO_SALSA20 is gone" in found[samples.SALSA_TEST].explanation
    assert len(found) == len(samples.PATHS) + 4


def test_same_kernel_has_no_changes() -> None:
    assert not changes(as_baseline(samples.new()), samples.new())


def test_path_shared_again() -> None:
    found = changes(as_baseline(samples.new()), samples.regressed())
    assert found[FACT].cls is ChangeClass.REGRESSED
    assert found[samples.SHA256_TEST].cls is ChangeClass.REGRESSED
    assert found[samples.SHA256_TEST].explanation == "expected e3b0c442, saw 00000000"


def test_hash_and_output_paths_are_not_charged_to_the_removal() -> None:
    def with_paths(state: State) -> KernelResult:
        fact = Fact(state, Control.FIRED)
        paths = {"hash.send": fact, "skcipher.recv": fact}
        return replace(samples.new(), facts=Facts(af_alg_restrict=1, zero_copy=paths))

    found = changes(with_paths(State.PRESENT), with_paths(State.ABSENT))
    assert len(found) == 2
    for change in found.values():
        assert change.cls is ChangeClass.FIXED
        assert "ffdd2bc37895" not in change.explanation


@pytest.mark.parametrize("control", [Control.FAILED, Control.NOT_RUN])
def test_cannot_be_told_any_more(control: Control) -> None:
    void = samples.path_fact(FILE, State.ABSENT, control)
    found = changes(samples.old(), samples.with_path(samples.new(), FILE, void))
    assert found[FACT].cls is ChangeClass.REGRESSED
    assert found[FACT].candidate == "unknown"
    assert "cannot be told any more" in found[FACT].explanation


def test_planned_probe_that_recorded_nothing() -> None:
    found = changes(samples.old(), samples.with_path(samples.new(), FILE, None))
    assert found[FACT].cls is ChangeClass.REGRESSED
    assert found[FACT].candidate == "not recorded"


def test_unknown_baseline_proves_nothing() -> None:
    void = samples.path_fact(FILE, State.PRESENT, Control.FAILED)
    assert FACT not in changes(samples.with_path(samples.old(), FILE, void), samples.new())


@pytest.mark.parametrize(
    ("was", "now", "cls"),
    [
        ("passed", "failed", "regressed"),
        ("passed", "error", "regressed"),
        ("passed", "timeout", "regressed"),
        ("passed", "crashed", "regressed"),
        ("passed", "missing", "regressed"),
        ("failed", "crashed", "regressed"),
        ("passed", "skipped", "newly_unavailable"),
        ("failed", "skipped", "newly_unavailable"),
        ("failed", "passed", "fixed"),
        ("timeout", "passed", "fixed"),
        ("skipped", "passed", "new"),
        ("skipped", "failed", "new"),
        ("missing", "failed", None),
        ("missing", "passed", None),
        ("missing", "skipped", None),
        ("missing", "crashed", None),
        ("failed", "error", None),
        ("passed", "passed", None),
    ],
)
def test_outcomes(was: str, now: str, cls: str | None) -> None:
    def kernel(outcome: str) -> KernelResult:
        return samples.with_test(
            samples.new(), TestResult(samples.SHA256_TEST, Outcome(outcome), message="why")
        )

    change = changes(kernel(was), kernel(now)).get(samples.SHA256_TEST)
    assert (change.cls if change else None) == cls


def test_vanished_and_new() -> None:
    more = replace(
        samples.new(),
        plan=(*samples.PLAN[1:], "x.py::y"),
        tests=samples.results((*samples.PLAN[1:], "x.py::y")),
    )
    found = changes(samples.old(), more)
    assert found[samples.PLAN[0]].cls is ChangeClass.VANISHED
    assert found["x.py::y"].cls is ChangeClass.NEW


def test_loss_without_a_signature_stays_unexplained() -> None:
    """DRBG is set, the version is 7.3: nothing shows why stdrng is gone."""
    candidate = replace(samples.new(), config=dict(samples.CONFIG))
    found = changes(samples.old(), candidate)
    assert found[samples.STDRNG_TEST].cls is ChangeClass.NEWLY_UNAVAILABLE
    assert found[samples.STDRNG_TEST].explanation == ""


def test_unknown_config_explains_nothing() -> None:
    found = changes(samples.old(), replace(samples.new(), config={}))
    assert found[samples.STDRNG_TEST].explanation == ""


def test_option_that_was_never_set_explains_nothing() -> None:
    config = {name: value for name, value in samples.CONFIG.items() if "DRBG" not in name}
    found = changes(replace(samples.old(), config=config), samples.new())
    assert found[samples.STDRNG_TEST].explanation == ""


def test_option_not_set_explains_without_making_it_intended() -> None:
    candidate = samples.with_test(
        samples.new(), samples.skipped(samples.SHA256_TEST, "bind hash 'sha256': ENOENT")
    )
    config = candidate.config | {"CONFIG_CRYPTO_SHA256": "n"}
    change = changes(samples.old(), replace(candidate, config=config))[samples.SHA256_TEST]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert "CONFIG_CRYPTO_SHA256 is not set" in change.explanation


@pytest.mark.parametrize(
    ("reason", "option", "explained"),
    [
        ("bind hash 'blake2b-512': ENOENT", "CONFIG_CRYPTO_BLAKE2B", True),
        ("bind hash 'hmac(sha3-256)': ENOENT", "CONFIG_CRYPTO_SHA3", True),
        ("bind aead 'authencesn(hmac(sha256),cbc(aes))': ENOENT", "CONFIG_CRYPTO_AUTHENC", True),
        ("bind hash 'sha384': ENOENT", "CONFIG_CRYPTO_SHA512", True),
        ("bind hash 'sha384': ENOENT", "CONFIG_CRYPTO_USER_API_HASH", True),
        ("bind hash 'sha384': ENOENT", "CONFIG_CRYPTO_USER_API_AEAD", False),
        ("bind hash 'sha384': ENOENT", "CONFIG_CRYPTO_SHA256", False),
        ("bind hash 'sha512': EINVAL", "CONFIG_CRYPTO_SHA512", False),
        ("known answers are missing", "CONFIG_CRYPTO_SHA512", False),
    ],
)
def test_option_behind_an_algorithm(reason: str, option: str, explained: bool) -> None:
    baseline = replace(samples.old(), config=samples.CONFIG | {option: "m"})
    candidate = samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, reason))
    config = {name: value for name, value in candidate.config.items() if name != option}
    change = changes(baseline, replace(candidate, config=config))[samples.SHA256_TEST]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert (option in change.explanation) == explained


def test_option_that_lost_its_suffix_is_still_set() -> None:
    reason = "bind hash 'sm3': ENOENT"
    baseline = replace(samples.old(), config={"CONFIG_CRYPTO_SM3_GENERIC": "m"})
    candidate = samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, reason))
    candidate = replace(candidate, config={"CONFIG_CRYPTO_SM3": "m"})
    assert changes(baseline, candidate)[samples.SHA256_TEST].explanation == ""
    gone = replace(candidate, config={"CONFIG_CRYPTO_AES": "y"})
    assert "CONFIG_CRYPTO_SM3" in changes(baseline, gone)[samples.SHA256_TEST].explanation


def test_allowlist_explains_only_tests_at_a_restricted_level() -> None:
    plan = (*samples.PLAN, samples.POLICY_TEST)
    baseline = replace(samples.old(), plan=plan, tests=samples.results(plan))
    enoent = "bind hash 'sha256': ENOENT"
    candidate = replace(
        samples.new(),
        plan=plan,
        tests=samples.results(
            plan,
            policy=samples.skipped(samples.POLICY_TEST, f"{enoent} at af_alg_restrict=1"),
            opened=samples.skipped(samples.SHA256_TEST, enoent),
        ),
    )
    found = changes(baseline, candidate)
    assert found[samples.POLICY_TEST].cls is ChangeClass.INTENDED
    assert "2f204fe718f5" in found[samples.POLICY_TEST].explanation
    assert found[samples.SHA256_TEST].cls is ChangeClass.NEWLY_UNAVAILABLE
    # A baseline that has the list already: the list is not what changed.
    both = replace(baseline, facts=replace(baseline.facts, af_alg_restrict=1))
    assert changes(both, candidate)[samples.POLICY_TEST].explanation == ""


def test_aio_removed_needs_the_observation() -> None:
    test = "functional/test_aio.py::test_aio_read"

    def kernel(state: State, outcome: Outcome) -> KernelResult:
        fact = {"aio": Fact(state, Control.FIRED, test="functional/test_aio.py::test_probe")}
        result = TestResult(test, outcome, message="io_submit: EINVAL")
        return replace(samples.new(), plan=(test,), tests=(result,), facts=Facts(other=fact))

    before = kernel(State.PRESENT, Outcome.PASSED)
    gone = changes(before, kernel(State.ABSENT, Outcome.SKIPPED))
    assert gone[test].cls is gone["aio"].cls is ChangeClass.INTENDED
    assert "fcc77d33a34c" in gone[test].explanation
    still = changes(before, kernel(State.PRESENT, Outcome.SKIPPED))
    assert still[test].cls is ChangeClass.NEWLY_UNAVAILABLE


def test_kernel_without_af_alg() -> None:
    found = changes(samples.old(), samples.no_af_alg())
    assert found[FACT].cls is ChangeClass.NEWLY_UNAVAILABLE
    assert "CONFIG_CRYPTO_USER_API is not set" in found[FACT].explanation
    # One loss, one line: the probe's skip is not listed beside its fact.
    assert samples.path_test(FILE) not in found
    assert samples.SHA256_TEST in found


def test_policy_more_open() -> None:
    open_now = replace(samples.new(), facts=replace(samples.new().facts, af_alg_restrict=0))
    change = changes(as_baseline(samples.new()), open_now)["af_alg_restrict"]
    assert (change.cls, change.baseline, change.candidate) == ("regressed", "1", "0")


def test_crashed_candidate_compares_what_finished() -> None:
    found = changes(samples.old(), samples.crashed())
    assert found[samples.path_test(samples.PATHS[0])].cls is ChangeClass.REGRESSED
    assert len(found) == 1, "tests and facts lost to the crash are the verdict's business"


@pytest.mark.parametrize("kernel", [samples.unavailable(), samples.boot_failed()])
def test_nothing_to_compare(kernel: KernelResult) -> None:
    assert not changes(samples.old(), kernel)
    assert not changes(as_baseline(kernel), samples.new())


def test_candidate_that_hung_while_collecting_did_not_lose_its_tests() -> None:
    kernel = replace(samples.new(), status=Status.HUNG, plan=(), tests=(), facts=Facts())
    found = compare(as_baseline(samples.new()), kernel).changes
    assert not [change for change in found if change.cls is ChangeClass.VANISHED]
