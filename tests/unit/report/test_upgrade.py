"""Reasons of results that were stored before reasons were data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge.compare import compare
from harness.model import (
    Cause,
    Change,
    ChangeClass,
    ConsoleWatch,
    Control,
    Fact,
    KernelResult,
    Reason,
    State,
)
from harness.report import results_file
from harness.report.upgrade import with_reasons
from tests.unit import samples

#: What a run of 6.12.43 against 7.3.4 stored whose suite told reasons in English only, cut
#: down to the changes that rest on them.
STORED = Path(__file__).with_name("run_without_reasons.json")


def test_a_stored_run_compares_as_it_did() -> None:
    run = results_file.load(STORED)
    (stored,) = run.comparisons
    changes = compare(*run.kernels).changes
    assert told(changes) == told(stored.changes)
    assert {change.cls for change in changes} == {
        ChangeClass.INTENDED,
        ChangeClass.NEWLY_UNAVAILABLE,
    }


def told(changes: Iterable[Change]) -> dict[str, tuple[ChangeClass, str]]:
    return {change.id: (change.cls, change.explanation) for change in changes}


def upgraded(kernel: KernelResult) -> KernelResult:
    (kernel,) = with_reasons(replace(samples.main_job(), kernels=(kernel,))).kernels
    return kernel


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (samples.NO_SOCKET, samples.SOCKET_REFUSED),
        ("bind rng 'stdrng': ENOENT", Reason(Cause.NOT_BOUND, "rng", "stdrng", "ENOENT")),
        (
            "bind hash 'sha256': ENOENT at af_alg_restrict=1",
            Reason(Cause.NOT_BOUND, "hash", "sha256", "ENOENT", restrict=1),
        ),
        (
            "bind hash 'sha256': ENOENT (at af_alg_restrict=0)",
            Reason(Cause.NOT_BOUND, "hash", "sha256", "ENOENT"),
        ),
        ("bind hash 'sha256': EINVAL", None),
        ("this kernel has no modules: nothing can be unloaded", Reason(Cause.NO_MODULE)),
        ("algif_aead is built in", Reason(Cause.NO_MODULE)),
        ("no algorithm that bind() would load: rmd160", Reason(Cause.NO_MODULE)),
        ("not today", None),
    ],
)
def test_skips(message: str, reason: Reason | None) -> None:
    kernel = samples.kernel(samples.NEW)
    old = samples.with_test(kernel, samples.skipped(samples.SHA256_TEST, message))
    assert upgraded(old) == samples.with_test(
        kernel, samples.skipped(samples.SHA256_TEST, message, reason)
    )


@pytest.mark.parametrize(
    ("name", "state", "evidence", "reason"),
    [
        ("aio", "unreachable", samples.NO_SOCKET, samples.SOCKET_REFUSED),
        ("aio", "absent", samples.NO_SOCKET, None),
        (
            "consumers.kcapi_rng.stdrng.root",
            "fails",
            "fails at af_alg_restrict=1 and at 0; bind rng 'stdrng': ENOENT",
            Reason(Cause.NOT_BOUND, "rng", "stdrng", "ENOENT"),
        ),
        (
            "consumers.kcapi_dgst.sha256.nobody",
            "fails",
            "fails at af_alg_restrict=1, works at 0; bind hash 'sha256': ENOENT",
            Reason(Cause.PROGRAM_RESTRICTED, restrict=1),
        ),
        (
            "policy.unprivileged_bind",
            "absent",
            "af_alg_restrict=1: of 27 names that root could bind, nobody could bind 1",
            Reason(Cause.UNPRIVILEGED_RESTRICTED, restrict=1),
        ),
        ("policy.unprivileged_bind", "absent", "no af_alg_restrict: of 27 names", None),
        ("policy.unprivileged_bind", "present", "af_alg_restrict=1: of 27 names", None),
    ],
)
def test_facts(name: str, state: str, evidence: str, reason: Reason | None) -> None:
    kernel = samples.kernel(samples.NEW)
    fact = Fact(State(state), Control.FIRED, evidence)
    facts = replace(kernel.facts, other={name: fact})
    seen = upgraded(replace(kernel, facts=facts)).facts
    assert seen.other[name] == replace(fact, reason=reason)
    assert seen.af_alg_restrict == facts.af_alg_restrict
    assert seen.zero_copy == facts.zero_copy


def test_what_this_version_stored_is_left_as_it_is() -> None:
    """English beside data, or beside the watch of the console, is no reason any more."""
    skip = samples.skipped(samples.SHA256_TEST, samples.NO_SOCKET)
    with_another = samples.with_test(samples.new(), skip)
    watched = replace(
        samples.with_test(samples.kernel(samples.NEW), skip),
        console_watch=ConsoleWatch(1, 1, kernel_log=True),
    )
    for kernel in (with_another, watched):
        assert upgraded(kernel) == kernel
