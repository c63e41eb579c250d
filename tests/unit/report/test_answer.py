"""The answer of each kernel, and the sentence of a run."""

from __future__ import annotations

from dataclasses import replace

from harness.errors import ExitCode
from harness.model import (
    Cause,
    Control,
    Fact,
    KernelResult,
    Outcome,
    Reason,
    Role,
    State,
    Status,
    TestResult,
)
from harness.report.answer import Answer, Word, answers, sentence
from tests.unit import samples


def only(kernel: KernelResult) -> Answer:
    (answer,) = answers(samples.run(kernel))
    return answer


def test_main_job() -> None:
    run = samples.main_job()
    baseline, candidate = answers(run)
    assert (baseline.word, baseline.exit_code) == (Word.BASELINE, ExitCode.OK)
    assert baseline.gating == ()
    assert candidate.word is Word.OK
    assert candidate.against == samples.OLD
    assert candidate.zero_copy.states == {State.ABSENT: 12}
    assert candidate.baseline_zero_copy is not None
    assert candidate.baseline_zero_copy.word == "present"
    assert candidate.page_cache.word == "safe"
    assert baseline.page_cache.word == "WRITABLE"
    assert candidate.changes is not None
    assert (candidate.changes.lost, candidate.changes.intended) == (0, 3)
    assert candidate.tests.passed + candidate.tests.skipped == len(samples.PLAN)
    assert sentence(run).startswith(f"{samples.NEW} is OK, against {samples.OLD}: zero-copy")


def test_gone_is_said_of_all_paths_alone() -> None:
    answer = only(samples.new())
    assert (answer.zero_copy.word, answer.zero_copy.unprobed) == ("none seen", 21)
    kernel = samples.new()
    for kind in samples.KINDS:
        for way in ("vmsplice", "vmsplice_gift", "tee", "splice_middle", "splice_last",
                    "splice_unaligned", "splice_mixed"):  # fmt: skip
            path = f"{kind}.{way}"
            kernel = samples.with_path(kernel, path, samples.path_fact(path, State.ABSENT))
    assert only(kernel).zero_copy.word == "gone"


def test_one_path_that_is_present_or_unknown() -> None:
    path = samples.PATHS[3]
    fact = samples.path_fact(path, State.PRESENT)
    assert only(samples.with_path(samples.new(), path, fact)).zero_copy.word == "present"
    void = samples.path_fact(path, State.ABSENT, Control.FAILED)
    told = only(samples.with_path(samples.new(), path, void)).zero_copy
    assert told.word == "unknown"
    assert "control failed" in told.why


def test_pages_of_other_tests_were_shared() -> None:
    fact = Fact(State.PRESENT, Control.FIRED, test="a::b")
    told = only(samples.with_path(samples.new(), "aead.suite", fact)).zero_copy
    assert told.word == "present"
    assert "aead.suite" in told.why


def test_without_af_alg_nothing_is_proven() -> None:
    answer = only(samples.no_af_alg())
    assert answer.zero_copy.word == "unreachable"
    assert answer.page_cache.word == "unreachable"


def test_nothing_probed() -> None:
    answer = only(samples.hung())
    assert answer.zero_copy.word == "not probed"
    assert answer.page_cache.word == "not probed"
    assert answer.word is Word.NOT_OK
    assert answer.tests.missing == len(samples.PLAN) - 3


def test_words() -> None:
    assert only(samples.unavailable()).word is Word.UNKNOWN
    assert only(samples.unavailable()).exit_code is ExitCode.INFRASTRUCTURE
    assert only(samples.unavailable(2)).exit_code is ExitCode.USAGE
    assert only(samples.regressed()).word is Word.NOT_OK
    stopped = replace(samples.new(), status=Status.INTERRUPTED, status_reason="SIGINT")
    assert only(stopped).word is Word.INTERRUPTED


def test_a_baseline_that_does_not_count_is_never_not_ok() -> None:
    bad = samples.with_test(samples.old(), samples.failed(samples.SHA256_TEST, "wrong"))
    baseline, candidate = answers(samples.run(bad, samples.new()))
    assert baseline.word is Word.BASELINE
    assert baseline.gating == ()
    assert candidate.word is Word.OK


def test_lost_against_the_baseline_is_not_ok() -> None:
    gone = Reason(Cause.NOT_BOUND, "hash", "sha256", "EINVAL")
    kernel = samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, "x", gone))
    run = samples.run(samples.old(), kernel)
    _, answer = answers(run)
    assert answer.word is Word.NOT_OK
    assert answer.changes is not None and answer.changes.lost == 1
    assert [cause.ids for cause in answer.gating] == [(samples.SHA256_TEST,)]
    assert "NOT OK" in sentence(run)


def test_a_loss_that_is_a_reason_already_is_told_once() -> None:
    failed = samples.failed(samples.SHA256_TEST, "wrong")
    run = samples.run(samples.old(), samples.with_test(samples.new(), failed))
    _, answer = answers(run)
    assert answer.changes is not None and answer.changes.lost == 1
    assert [cause.ids for cause in answer.gating] == [(samples.SHA256_TEST,)]
    assert "and 1 more" not in sentence(run)


def test_a_candidate_beside_a_baseline_that_was_not_had() -> None:
    absent = replace(samples.unavailable(), role=Role.BASELINE)
    baseline, candidate = answers(samples.run(absent, samples.new()))
    assert baseline.word is Word.UNKNOWN
    assert baseline.exit_code is ExitCode.INFRASTRUCTURE
    assert (candidate.word, candidate.exit_code) == (Word.UNKNOWN, ExitCode.INFRASTRUCTURE)


def test_programs_and_what_is_left_by_reference() -> None:
    restricted = Reason(Cause.PROGRAM_RESTRICTED, restrict=1)
    other = {
        "consumers.kcapi_dgst.sha1.root": Fact(State.WORKS, Control.FIRED),
        "consumers.kcapi_dgst.sha1.nobody": Fact(State.FAILS, Control.FIRED, reason=restricted),
        "consumers.kcapi_rng.stdrng.root": Fact(State.FAILS, Control.FIRED),
    }
    kernel = samples.new()
    kernel = replace(kernel, facts=replace(kernel.facts, other=other))
    for path in ("hash.splice_file", "skcipher.recv", "aead.recv"):
        kernel = samples.with_path(kernel, path, Fact(State.PRESENT, Control.FIRED))
    answer = only(kernel)
    assert (answer.programs.work, answer.programs.restricted, answer.programs.fail) == (1, 1, 1)
    assert answer.programs.level == 1
    assert answer.by_reference == ("hash input", "skcipher and aead output")


def test_tests_taint_and_splats() -> None:
    answer = only(samples.regressed())
    assert (answer.tests.failed, answer.tests.splats) == (1, 1)
    assert (answer.tests.taint, answer.tests.gained) == (512, ("W",))
    kernel = samples.with_test(
        samples.new(), TestResult(samples.SHA256_TEST, Outcome.TIMEOUT, message="40 s")
    )
    assert only(kernel).tests.failed == 1


def test_sentence_of_several() -> None:
    run = samples.run(samples.old(), samples.new(), samples.regressed(), samples.unavailable())
    assert sentence(run) == "of 3 candidates 1 is OK, 1 is NOT OK, 1 is UNKNOWN"
    alike = samples.run(samples.old(), samples.new(), samples.kernel("7.2.12"))
    assert sentence(alike) == "all 2 candidates are OK"
    assert sentence(samples.run(samples.old())) == "no candidate was judged"
    bad = [replace(samples.regressed(), release=f"7.4.{n}", spec=f"{n}") for n in range(2)]
    assert sentence(samples.run(samples.old(), *bad)) == "all 2 candidates are NOT OK"
