"""Changes between two kernels, and what each amounts to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.compare import compare, something_in_common
from harness.judge.exit_code import losses
from harness.model import (
    Cause,
    Change,
    ChangeClass,
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    Reason,
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


def refused(kind: str, name: str, error: str = "ENOENT") -> Reason:
    return Reason(Cause.NOT_BOUND, kind, name, error)


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


@pytest.mark.parametrize("path", ["hash.sendmsg", "skcipher.recv", "rng.recv"])
@pytest.mark.parametrize("now", [State.PRESENT, State.ABSENT, State.UNKNOWN])
def test_a_path_that_is_only_reported_shows_and_is_no_loss(path: str, now: State) -> None:
    def with_path(state: State) -> KernelResult:
        facts = Facts(af_alg_restrict=1, zero_copy={path: Fact(state, Control.FIRED)})
        return replace(samples.new(), facts=facts)

    was = State.ABSENT if now is State.PRESENT else State.PRESENT
    found = changes(with_path(was), with_path(now))
    assert found[f"zero_copy.{path}"].cls is (
        ChangeClass.FIXED if now is State.ABSENT else ChangeClass.NEW
    )
    assert found[f"zero_copy.{path}"].explanation


@pytest.mark.parametrize("control", [Control.FAILED, Control.NOT_RUN])
def test_cannot_be_told_any_more(control: Control) -> None:
    void = samples.path_fact(FILE, State.ABSENT, control)
    found = changes(samples.old(), samples.with_path(samples.new(), FILE, void))
    assert found[FACT].cls is ChangeClass.REGRESSED
    assert found[FACT].candidate == "unknown"
    assert "cannot be told any more" in found[FACT].explanation


def test_not_told_for_want_of_a_host_is_no_loss() -> None:
    works = Fact(State.WORKS, Control.FIRED)
    slow = Fact(State.UNKNOWN, Control.NOT_RUN, reason=Reason(Cause.HOST))
    hangs = replace(slow, reason=Reason(Cause.OTHER))
    before, after, stuck = (
        replace(samples.new(), facts=Facts(other={"consumers.luks_open.root": fact}))
        for fact in (works, slow, hangs)
    )
    assert changes(before, after)["consumers.luks_open.root"].cls is ChangeClass.NEW
    assert changes(before, stuck)["consumers.luks_open.root"].cls is ChangeClass.REGRESSED


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
        ("crashed", "failed", "fixed"),
        ("failed", "timeout", "regressed"),
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


@pytest.mark.parametrize(
    ("before", "cause", "cls"),
    [
        (Fact(State.ABSENT, Control.FIRED), Cause.SOURCE_COPIES, ChangeClass.INTENDED),
        (Fact(State.PRESENT, Control.FIRED), Cause.SOURCE_COPIES, ChangeClass.INTENDED),
        (Fact(State.PRESENT, Control.NOT_RUN), Cause.SOURCE_COPIES, ChangeClass.NEWLY_UNAVAILABLE),
        (Fact(State.ABSENT, Control.FIRED), Cause.OTHER, ChangeClass.NEWLY_UNAVAILABLE),
    ],
)
def test_a_source_that_copies_by_itself(before: Fact, cause: Cause, cls: ChangeClass) -> None:
    reason = Reason(cause, name="vmsplice")
    copies = Fact(State.UNREACHABLE, Control.FIRED, "vmsplice copies on this kernel", reason=reason)
    change = changes(
        as_baseline(samples.with_path(samples.new(), FILE, before)),
        samples.with_path(samples.new(), FILE, copies),
    )[FACT]
    assert change.cls is cls
    if cls is ChangeClass.INTENDED:
        assert "vmsplice hands over copies on the candidate" in change.explanation


def test_a_kernel_without_a_witness_loses_nothing_but_the_second_look() -> None:
    told = Fact(State.ABSENT, Control.FIRED)
    silent = Fact(State.UNREACHABLE, Control.NOT_RUN, "no kprobes", reason=Reason(Cause.NO_WITNESS))
    suite = "skcipher.suite"
    old = as_baseline(samples.with_path(samples.new(), suite, told))
    new = samples.with_path(samples.new(), suite, silent)
    comparison = compare(old, new)
    change = next(change for change in comparison.changes if change.id == f"zero_copy.{suite}")
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert change.explanation.endswith("no kprobes")
    assert not losses(comparison, [old, new])


def test_a_test_whose_source_copies_by_itself() -> None:
    name = samples.FUNCTIONAL[0]
    reason = Reason(Cause.SOURCE_COPIES, name="splice")
    skipped = samples.with_test(samples.new(), samples.skipped(name, "splice copies", reason))
    passed = samples.with_test(samples.new(), TestResult(name, Outcome.PASSED, 0.01))
    assert changes(as_baseline(passed), skipped)[name].cls is ChangeClass.INTENDED


def test_loss_without_a_signature_stays_unexplained() -> None:
    """DRBG is set, the version is 7.3: nothing shows why stdrng is gone."""
    candidate = replace(samples.new(), config=dict(samples.CONFIG))
    found = changes(samples.old(), candidate)
    assert found[samples.STDRNG_TEST].cls is ChangeClass.NEWLY_UNAVAILABLE
    assert found[samples.STDRNG_TEST].explanation == ""


@pytest.mark.parametrize("offers_aes", [True, False])
def test_cbcmac_of_aes_only(offers_aes: bool) -> None:
    """Only where cbcmac(aes) was seen to work is the loss of other ciphers' a change on purpose."""
    probe = "security/test_templates.py::test_authencesn_short_digest[cipher_null]"
    aes = "functional/test_hash.py::test_consistent[cbcmac(aes)]"
    plan = (*samples.PLAN, probe, aes)
    lost = samples.not_bound(probe, "hash", "cbcmac(cipher_null)")
    of_aes = {} if offers_aes else {"aes": samples.not_bound(aes, "hash", "cbcmac(aes)")}
    candidate = samples.results(plan, probe=lost, **of_aes)
    change = changes(
        replace(samples.old(), plan=plan, tests=samples.results(plan)),
        replace(samples.new(), plan=plan, tests=candidate),
    )[probe]
    expected = ChangeClass.INTENDED if offers_aes else ChangeClass.NEWLY_UNAVAILABLE
    assert change.cls is expected


@pytest.mark.parametrize(
    ("before", "after", "intended"), [("y", "n", True), ("y", "y", False), ("n", "n", False)]
)
def test_built_without_modules(before: str, after: str, intended: bool) -> None:
    """A test that needs a module is lost on purpose only if the config shows it."""
    probe = "functional/test_bind.py::test_type_is_unloaded"
    plan = (*samples.PLAN, probe)
    built_in = samples.skipped(probe, "algif_aead is built in", Reason(Cause.NO_MODULE))
    old = replace(
        samples.old(),
        plan=plan,
        tests=samples.results(plan),
        config={**samples.CONFIG, "CONFIG_MODULES": before},
    )
    new = replace(
        samples.new(),
        plan=plan,
        tests=samples.results(plan, probe=built_in),
        config={**samples.CONFIG, "CONFIG_MODULES": after},
    )
    cls = changes(old, new)[probe].cls
    assert cls is (ChangeClass.INTENDED if intended else ChangeClass.NEWLY_UNAVAILABLE)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("skcipher.hole_in_rounded_read", State.ABSENT, State.PRESENT),
        ("skcipher.short_read_refused", State.PRESENT, State.ABSENT),
    ],
)
def test_facts_of_which_one_state_is_right(name: str, right: State, wrong: State) -> None:
    def kernel(state: State) -> KernelResult:
        facts = {name: Fact(state, Control.FIRED)}
        return replace(samples.new(), facts=replace(samples.new().facts, other=facts))

    better, worse = (
        changes(kernel(was), kernel(now))[name] for was, now in ((wrong, right), (right, wrong))
    )
    assert (better.cls, worse.cls) == (ChangeClass.FIXED, ChangeClass.REGRESSED)
    assert better.explanation
    assert worse.explanation
    assert better.explanation != worse.explanation


def test_nothing_is_lost_of_what_failed_before() -> None:
    was = samples.with_test(samples.old(), samples.failed(samples.STDRNG_TEST, "it is wrong"))
    candidate = replace(samples.new(), config={})
    change = changes(was, candidate)[samples.STDRNG_TEST]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert change.explanation == "nothing is lost, for it failed before: it is wrong"


def test_unknown_config_explains_nothing() -> None:
    found = changes(samples.old(), replace(samples.new(), config={}))
    assert found[samples.STDRNG_TEST].explanation == ""


def test_option_that_was_never_set_explains_nothing() -> None:
    config = {name: value for name, value in samples.CONFIG.items() if "DRBG" not in name}
    found = changes(replace(samples.old(), config=config), samples.new())
    assert found[samples.STDRNG_TEST].explanation == ""


def test_option_not_set_explains_without_making_it_intended() -> None:
    candidate = samples.with_test(
        samples.new(), samples.not_bound(samples.SHA256_TEST, "hash", "sha256")
    )
    config = {**candidate.config, "CONFIG_CRYPTO_SHA256": "n"}
    change = changes(samples.old(), replace(candidate, config=config))[samples.SHA256_TEST]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert "CONFIG_CRYPTO_SHA256 is not set" in change.explanation


def test_a_test_that_needs_an_option_of_the_kernel() -> None:
    option = "CONFIG_FAULT_INJECTION"
    test = samples.skipped(samples.SHA256_TEST, "no fail-nth", Reason(Cause.NO_OPTION, name=option))
    baseline = replace(samples.old(), config=samples.CONFIG | {option: "y"})
    change = changes(baseline, samples.with_test(samples.new(), test))[samples.SHA256_TEST]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert change.explanation == f"{option} is gone in the candidate's config"


@pytest.mark.parametrize(
    ("reason", "option", "explained"),
    [
        (refused("hash", "blake2b-512"), "CONFIG_CRYPTO_BLAKE2B", True),
        (refused("hash", "hmac(sha3-256)"), "CONFIG_CRYPTO_SHA3", True),
        (refused("aead", "authencesn(hmac(sha256),cbc(aes))"), "CONFIG_CRYPTO_AUTHENC", True),
        (refused("hash", "sha384"), "CONFIG_CRYPTO_SHA512", True),
        (refused("hash", "sha384"), "CONFIG_CRYPTO_USER_API_HASH", True),
        (refused("hash", "sha384"), "CONFIG_CRYPTO_USER_API_AEAD", False),
        (refused("hash", "sha384"), "CONFIG_CRYPTO_SHA256", False),
        (refused("hash", "sha512", "EINVAL"), "CONFIG_CRYPTO_SHA512", False),
        (Reason(Cause.OTHER, "hash", "sha512", "ENOENT"), "CONFIG_CRYPTO_SHA512", False),
        (None, "CONFIG_CRYPTO_SHA512", False),
    ],
)
def test_option_behind_an_algorithm(reason: Reason | None, option: str, explained: bool) -> None:
    """The reason counts, and not the words beside it."""
    baseline = replace(samples.old(), config=samples.CONFIG | {option: "m"})
    skip = samples.skipped(samples.SHA256_TEST, "bind hash 'sha512': ENOENT", reason)
    candidate = samples.with_test(samples.new(), skip)
    config = {name: value for name, value in candidate.config.items() if name != option}
    change = changes(baseline, replace(candidate, config=config))[samples.SHA256_TEST]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert (option in change.explanation) == explained


def test_option_that_lost_its_suffix_is_still_set() -> None:
    baseline = replace(samples.old(), config={"CONFIG_CRYPTO_SM3_GENERIC": "m"})
    skip = samples.not_bound(samples.SHA256_TEST, "hash", "sm3")
    candidate = samples.with_test(samples.new(), skip)
    candidate = replace(candidate, config={"CONFIG_CRYPTO_SM3": "m"})
    assert changes(baseline, candidate)[samples.SHA256_TEST].explanation == ""
    gone = replace(candidate, config={"CONFIG_CRYPTO_AES": "y"})
    assert "CONFIG_CRYPTO_SM3" in changes(baseline, gone)[samples.SHA256_TEST].explanation


def test_allowlist_explains_only_tests_at_a_restricted_level() -> None:
    plan = (*samples.PLAN, samples.POLICY_TEST)
    baseline = replace(samples.old(), plan=plan, tests=samples.results(plan))
    enoent = samples.not_bound(samples.SHA256_TEST, "hash", "sha256")
    at_level_1 = Reason(Cause.NOT_BOUND, "hash", "sha256", "ENOENT", restrict=1)
    candidate = replace(
        samples.new(),
        plan=plan,
        tests=samples.results(
            plan,
            policy=samples.skipped(samples.POLICY_TEST, "ENOENT", at_level_1),
            opened=enoent,
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
    # The warning at boot is another matter.
    assert len(found) == 2, "tests and facts lost to the crash are the verdict's business"


@pytest.mark.parametrize("kernel", [samples.unavailable(), samples.boot_failed()])
def test_nothing_to_compare(kernel: KernelResult) -> None:
    assert not changes(samples.old(), kernel)
    assert not changes(as_baseline(kernel), samples.new())


def test_candidate_that_hung_while_collecting_did_not_lose_its_tests() -> None:
    kernel = replace(samples.new(), status=Status.HUNG, plan=(), tests=(), facts=Facts())
    found = compare(as_baseline(samples.new()), kernel).changes
    assert not [change for change in found if change.cls is ChangeClass.VANISHED]


PROGRAM = "consumers.kcapi_dgst.sha256.nobody"
AT_LEVEL_1 = Reason(Cause.PROGRAM_RESTRICTED, "hash", "sha256", "ENOENT", restrict=1)
NO_STDRNG = refused("rng", "stdrng")


def with_program(
    kernel: KernelResult,
    state: str,
    reason: Reason | None = None,
    control: Control = Control.FIRED,
    evidence: str = "fails at af_alg_restrict=1",
) -> KernelResult:
    test = "consumers/test_programs.py::test_kcapi_dgst[sha256-nobody]"
    fact = Fact(State(state), control, evidence, test, reason)
    facts = replace(kernel.facts, other={PROGRAM: fact})
    return replace(
        kernel, facts=facts, plan=(*kernel.plan, test), tests=samples.results((*kernel.plan, test))
    )


@pytest.mark.parametrize(
    ("was", "now", "cls"),
    [
        ("works", "fails", "regressed"),
        ("fails", "works", "fixed"),
        ("unreachable", "works", "new"),
        ("unreachable", "fails", "new"),
        ("works", "unreachable", "newly_unavailable"),
        ("works", "unknown", "regressed"),
        ("unknown", "fails", None),
        ("works", "works", None),
    ],
)
def test_programs(was: str, now: str, cls: str | None) -> None:
    baseline = with_program(as_baseline(samples.new()), was)
    change = changes(baseline, with_program(samples.new(), now)).get(PROGRAM)
    assert (change.cls if change else None) == cls


def test_program_that_regressed_says_why() -> None:
    baseline = with_program(as_baseline(samples.new()), "works")
    candidate = with_program(samples.new(), "fails", evidence="fails; exit 254, no key")
    found = changes(baseline, candidate)
    assert found[PROGRAM].explanation == "fails; exit 254, no key"


def test_program_stopped_by_the_allowlist() -> None:
    found = changes(
        with_program(samples.old(), "works"), with_program(samples.new(), "fails", AT_LEVEL_1)
    )
    assert found[PROGRAM].cls is ChangeClass.INTENDED
    assert "2f204fe718f5" in found[PROGRAM].explanation
    assert "works at 0" in found[PROGRAM].explanation


def test_program_that_fails_with_the_policy_opened_too() -> None:
    found = changes(
        with_program(samples.old(), "works"), with_program(samples.new(), "fails", NO_STDRNG)
    )
    assert found[PROGRAM].cls is ChangeClass.INTENDED
    assert "2f204fe718f5" not in found[PROGRAM].explanation
    assert "CONFIG_CRYPTO_DRBG is not set" in found[PROGRAM].explanation
    candidate = replace(samples.new(), config=dict(samples.CONFIG))
    unexplained = changes(
        with_program(samples.old(), "works"), with_program(candidate, "fails", NO_STDRNG)
    )
    assert unexplained[PROGRAM].cls is ChangeClass.REGRESSED


def test_program_stopped_by_a_list_that_the_baseline_had() -> None:
    baseline = with_program(as_baseline(samples.new()), "works")
    found = changes(baseline, with_program(samples.new(), "fails", AT_LEVEL_1))
    assert found[PROGRAM].cls is ChangeClass.REGRESSED


def test_program_whose_algorithm_is_configured_out() -> None:
    reason = refused("hash", "sha256")
    candidate = replace(samples.new(), config=samples.CONFIG | {"CONFIG_CRYPTO_SHA256": "n"})
    change = changes(
        with_program(samples.old(), "works"), with_program(candidate, "fails", reason)
    )[PROGRAM]
    assert change.cls is ChangeClass.NEWLY_UNAVAILABLE
    assert "CONFIG_CRYPTO_SHA256 is not set" in change.explanation


def test_program_that_did_without_af_alg_tells_nothing() -> None:
    baseline = with_program(as_baseline(samples.new()), "works", control=Control.FAILED)
    assert PROGRAM not in changes(baseline, with_program(samples.new(), "fails"))


def test_program_fails_on_a_kernel_without_af_alg() -> None:
    candidate = with_program(samples.no_af_alg(), "fails", samples.SOCKET_REFUSED)
    baseline = with_program(as_baseline(samples.new()), "works")
    found = changes(baseline, candidate)
    assert found["af_alg_restrict"].cls is ChangeClass.NEWLY_UNAVAILABLE
    assert found[PROGRAM].cls is ChangeClass.NEWLY_UNAVAILABLE


@pytest.mark.parametrize(
    "reason", [Reason(Cause.UNPRIVILEGED_RESTRICTED, restrict=1), Reason(Cause.OTHER), None]
)
def test_unprivileged_bind_restricted(reason: Reason | None) -> None:
    name = "policy.unprivileged_bind"

    def kernel(base: KernelResult, state: State, why: Reason | None) -> KernelResult:
        fact = Fact(state, Control.FIRED, "af_alg_restrict=1: of 27 names", reason=why)
        return replace(base, facts=replace(base.facts, other={name: fact}))

    baseline = kernel(samples.old(), State.PRESENT, None)
    found = changes(baseline, kernel(samples.new(), State.ABSENT, reason))
    intended = reason is not None and reason.cause is Cause.UNPRIVILEGED_RESTRICTED
    assert found[name].cls is (ChangeClass.INTENDED if intended else ChangeClass.NEW)


def put_to(kernel: KernelResult, plan: tuple[str, ...], command: str = "") -> KernelResult:
    """The kernel of a run that planned less."""
    facts = kernel.facts
    paths = {name: fact for name, fact in facts.zero_copy.items() if fact.test in plan}
    write = facts.page_cache_write if samples.COPY_FAIL_TEST in plan else None
    return replace(
        kernel,
        plan=plan,
        tests=samples.results(plan),
        facts=replace(facts, zero_copy=paths, page_cache_write=write),
        reproduce=f"afalg-harness run {kernel.spec} {command}" if command else "",
    )


HASH = tuple(test for test in samples.PLAN if test.startswith("functional/test_hash.py"))
FILE_TESTS = tuple(test for test in samples.PLAN if test.startswith("zero_copy/"))


@pytest.mark.parametrize("command", ["", "--suite zero_copy"])
def test_two_runs_of_the_same_kernel_that_selected_different_tests(command: str) -> None:
    whole = put_to(samples.new(), samples.PLAN, "--seed 1" if command else "")
    part = put_to(samples.new(), FILE_TESTS, command)
    rest = tuple(test for test in samples.PLAN if test not in FILE_TESTS)
    for pair, only in (((whole, part), (rest, ())), ((part, whole), ((), rest))):
        found = compare(as_baseline(pair[0]), pair[1], same_run=False)
        assert found.changes == ()
        assert (found.only_baseline, found.only_candidate) == only
    # In one run the same is a loss.
    lost = compare(as_baseline(whole), part)
    assert {change.cls for change in lost.changes} == {ChangeClass.VANISHED}


@pytest.mark.parametrize(
    ("commands", "vanished"),
    [
        (("--suite functional", "--suite functional"), True),
        (("", ""), True),  # a file whose other tests are there
        (("--suite functional", "--suite functional --suite security"), True),
        (("--suite functional", "--suite functional -k sha1"), False),
        (("--suite functional", f"--suite {HASH[1]}"), False),
        (("--suite functional", f"'--suite={HASH[1]}'"), False),
    ],
)
def test_what_vanished_and_what_was_not_selected(commands: tuple[str, str], vanished: bool) -> None:
    before = put_to(as_baseline(samples.new()), HASH, commands[0])
    after = put_to(samples.new(), HASH[1:], commands[1])
    found = compare(before, after, same_run=False)
    assert [change.cls for change in found.changes] == [ChangeClass.VANISHED] * vanished
    assert found.only_baseline == (() if vanished else HASH[:1])


def test_a_whole_module_that_vanished_from_the_same_selection() -> None:
    before = put_to(as_baseline(samples.new()), samples.PLAN, "--seed 1")
    after = put_to(samples.new(), FILE_TESTS, "--seed 2")
    found = compare(before, after, same_run=False)
    assert {change.cls for change in found.changes} == {ChangeClass.VANISHED}


def test_nothing_in_common() -> None:
    one, other = (put_to(samples.new(), plan) for plan in (HASH, FILE_TESTS))
    one, other = (replace(kernel, transcripts={}) for kernel in (one, other))
    assert not something_in_common(one, other)
    assert something_in_common(one, samples.new())
    assert something_in_common(one, samples.boot_failed())


@pytest.mark.parametrize("name", ["my.own", "zero_copy.hash.sendmsg", "aio.libaio"])
@pytest.mark.parametrize("now", [State.UNKNOWN, State.UNREACHABLE, State.FAILS, State.ABSENT])
def test_no_state_of_a_fact_that_is_only_reported_is_a_loss(name: str, now: State) -> None:
    def run(state: State) -> KernelResult:
        fact = {name: Fact(state, Control.FIRED, test=samples.SHA256_TEST)}
        return replace(samples.new(), facts=replace(samples.new().facts, other=fact))

    result = samples.run(as_baseline(run(State.PRESENT)), run(now))
    assert [change.id for change in result.comparisons[0].changes] == [name]
    assert losses(result.comparisons[0], result.kernels) == ()
    # The test that cannot run any more speaks for itself.
    skipped = samples.with_test(run(now), samples.skipped(samples.SHA256_TEST, "why"))
    lost = samples.run(as_baseline(run(State.PRESENT)), skipped)
    assert [change.id for change in losses(lost.comparisons[0], lost.kernels)] == [
        samples.SHA256_TEST
    ]


@pytest.mark.parametrize("now", [State.PRESENT, State.ABSENT, State.WORKS, State.FAILS])
def test_what_becomes_reachable_is_no_loss_unless_a_verdict_rests_on_it(now: State) -> None:
    def change(name: str) -> ChangeClass:
        def kernel(state: State) -> KernelResult:
            fact = {name: Fact(state, Control.FIRED)}
            return replace(samples.new(), facts=Facts(af_alg_restrict=1, other=fact))

        return changes(kernel(State.UNREACHABLE), kernel(now))[name].cls

    assert change("consumers.x.root") is ChangeClass.NEW
    assert change("skcipher.short_read_refused") is ChangeClass.NEW
    expected = ChangeClass.NEW if now is State.ABSENT else ChangeClass.REGRESSED
    assert change("zero_copy.skcipher.tee") is expected


def test_of_two_outcomes_of_one_name_the_worse_counts() -> None:
    good = samples.new()
    bad = samples.failed(samples.SHA256_TEST, "no")
    for tests in ((bad, *good.tests), (*good.tests, bad)):
        found = changes(as_baseline(good), replace(good, tests=tests))
        assert found[samples.SHA256_TEST].cls is ChangeClass.REGRESSED


LIST = "policy.allowlist"


def with_list(value: str, state: State = State.PRESENT, level: int | None = 1) -> KernelResult:
    fact = Fact(state, Control.FIRED, evidence=f"saw {value}", value=value)
    kernel = samples.new()
    facts = replace(kernel.facts, af_alg_restrict=level, other={**kernel.facts.other, LIST: fact})
    return replace(kernel, facts=facts)


def test_a_known_step_of_the_allowlist_is_intended() -> None:
    found = changes(as_baseline(with_list("7.3")), with_list("sha512hmac"))[LIST]
    assert found.cls is ChangeClass.INTENDED
    assert (found.baseline, found.candidate) == ("present (7.3)", "present (sha512hmac)")
    assert found.explanation == (
        "allowlist 'sha512hmac' (80fb9a858071): hash 'hmac(sha512)' for everybody"
    )


@pytest.mark.parametrize(
    ("before", "after"), [("sha512hmac", "7.3"), ("7.3", "unknown"), ("unknown", "7.3")]
)
def test_any_other_step_of_the_allowlist_is_not_intended(before: str, after: str) -> None:
    found = changes(as_baseline(with_list(before)), with_list(after))[LIST]
    assert found.cls is ChangeClass.REGRESSED
    assert found.explanation == f"saw {after}"


def test_the_same_allowlist_and_one_not_named_are_no_change() -> None:
    assert LIST not in changes(as_baseline(with_list("7.3")), with_list("7.3"))
    assert LIST not in changes(as_baseline(with_list("")), with_list("7.3"))


def test_the_first_allowlist_is_intended_and_its_loss_a_regression() -> None:
    none = with_list("none", State.ABSENT, level=None)
    came = changes(as_baseline(none), with_list("7.3"))[LIST]
    assert (came.cls, came.candidate) == (ChangeClass.INTENDED, "present")
    assert "2f204fe718f5" in came.explanation
    strange = changes(as_baseline(none), with_list("unknown"))[LIST]
    assert strange.cls is not ChangeClass.INTENDED
    lost = changes(as_baseline(with_list("7.3")), none)[LIST]
    assert lost.cls is ChangeClass.REGRESSED


def test_a_name_that_a_step_of_the_allowlist_took() -> None:
    """An algorithm that became refused at level 1 is charged to the step that changed it."""
    test = samples.FUNCTIONAL[0]
    for name, cls in (
        ("cbc(paes)", ChangeClass.INTENDED),
        ("cbc(aes)", ChangeClass.NEWLY_UNAVAILABLE),
    ):
        reason = Reason(Cause.NOT_BOUND, "skcipher", name, "ENOENT", restrict=1)
        lost = samples.with_test(with_list("7.3"), samples.skipped(test, "ENOENT", reason))
        found = changes(as_baseline(with_list("paes")), lost)[test]
        assert found.cls is cls
