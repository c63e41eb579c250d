"""The exit code, and what it counts as a loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.exit_code import compared_candidate, exit_code, losses
from harness.judge.expectations import load_expectations
from harness.model import ConsoleWatch, Facts, KernelResult, Role, Status
from tests.unit import samples


def code(*kernels: KernelResult) -> int:
    return samples.run(*kernels).exit_code


def interrupted() -> KernelResult:
    return replace(samples.new(), status=Status.INTERRUPTED)


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [
        ((samples.old(), samples.new()), 0),
        ((samples.new(),), 0),
        ((samples.new(), samples.old()), 0),  # a baseline may be as bad as it likes
        ((samples.old(), samples.regressed()), 1),
        ((samples.crashed(),), 1),
        ((samples.hung(),), 1),
        ((samples.all_skipped(),), 1),
        ((samples.unavailable(),), 3),
        ((samples.boot_failed(),), 3),
        ((samples.unavailable(2),), 2),
        ((samples.old(), samples.new(), samples.unavailable()), 3),
        ((samples.old(), samples.new(), samples.unavailable(), samples.unavailable(2)), 2),
        ((samples.old(), samples.regressed(), samples.unavailable()), 1),
        ((samples.old(), samples.regressed(), interrupted()), 130),
        ((samples.old(),), 3),  # no candidate
        ((), 3),
    ],
)
def test_precedence(kernels: tuple[KernelResult, ...], expected: int) -> None:
    assert code(*kernels) == expected


def test_baseline_that_could_not_be_run() -> None:
    assert code(replace(samples.boot_failed(), role=Role.BASELINE), samples.new()) == 3


@pytest.mark.parametrize(
    "baseline",
    [
        samples.crashed(),
        samples.hung(),
        replace(samples.new(), status=Status.CRASHED, plan=()),
        replace(samples.new(), collection_errors=("x.py: ImportError",)),
        replace(samples.new(), tests=samples.new().tests[1:]),
        replace(samples.new(), records_lost=1),
    ],
)
def test_baseline_that_ran_in_part(baseline: KernelResult) -> None:
    assert code(replace(baseline, role=Role.BASELINE), samples.new()) == 1


def test_baseline_that_died_and_yet_ran_everything() -> None:
    """A known hole that kills it costs nothing of the rest."""
    died = replace(samples.new(), status=Status.CRASHED, role=Role.BASELINE)
    assert code(died, samples.new()) == 0


def killed(kernel: KernelResult) -> KernelResult:
    """QEMU was killed under it from outside."""
    return replace(
        kernel, status=Status.INTERRUPTED, status_exit=3, tests=kernel.tests[:3], records_lost=1
    )


def silenced(kernel: KernelResult) -> KernelResult:
    """Booted with ``quiet``."""
    return replace(kernel, console_watch=ConsoleWatch(20, 0, kernel_log=True))


def test_no_fault_of_ours_is_a_kernels() -> None:
    assert code(samples.old(), killed(samples.new())) == 3
    assert code(killed(samples.old()), samples.new()) == 3
    assert code(samples.old(), silenced(samples.new())) == 3
    assert code(silenced(samples.old()), samples.new()) == 0
    # What speaks against a kernel does so all the same.
    assert code(samples.old(), killed(samples.regressed())) == 1
    assert code(samples.old(), silenced(samples.regressed())) == 1
    assert code(samples.old(), silenced(samples.new()), samples.regressed()) == 1
    # A user who stops the run stops all of it.
    assert code(samples.old(), killed(samples.new()), interrupted()) == 130


def test_selection_that_matches_nothing() -> None:
    nothing = replace(samples.new(), plan=(), tests=(), facts=Facts())
    assert code(nothing) == 2
    assert code(replace(nothing, role=Role.BASELINE), nothing) == 2
    # The baseline had tests: they vanished.
    assert code(samples.old(), nothing) == 1
    assert code(replace(nothing, collection_errors=("x.py: ImportError",))) == 1


def test_loss_until_explained() -> None:
    skip = samples.not_bound(samples.SHA256_TEST, "hash", "sha256")
    lost = samples.with_test(samples.new(), skip)
    assert code(samples.old(), lost) == 1
    explained = replace(lost, config={**lost.config, "CONFIG_CRYPTO_SHA256": "n"})
    assert code(samples.old(), explained) == 0


def test_unreachable_meets_the_expectation_but_is_a_loss_until_explained() -> None:
    """The default expectation is met, which allows no change: only an explicit one does."""
    without = replace(samples.no_af_alg(), plan=samples.PLAN[-1:], tests=())
    skip = samples.skipped(samples.PLAN[-1], samples.NO_SOCKET, samples.SOCKET_REFUSED)
    without = replace(without, tests=(skip,))
    before = replace(samples.new(), role=Role.BASELINE, plan=without.plan)
    before = replace(before, tests=samples.results(without.plan))
    assert code(before, without) == 0
    assert code(before, replace(without, config={})) == 1


def test_vanished_test() -> None:
    fewer = replace(samples.new(), plan=samples.PLAN[1:], tests=samples.new().tests[1:])
    assert code(samples.old(), fewer) == 1


def test_explicit_expectation_allows_a_change() -> None:
    baseline = replace(samples.new(), role=Role.BASELINE)
    rules = load_expectations(
        None,
        ["zero_copy.*=present", f"{samples.SHA256_TEST}=failed", "console.*=any", "taint.*=any"],
    )
    run = samples.run(baseline, samples.regressed(), expectations=rules)
    assert run.comparisons[0].changes
    assert losses(run.comparisons[0], run.kernels) == ()
    assert exit_code(run.kernels, run.comparisons) == 0


def test_two_kernels_of_one_release() -> None:
    """The comparison of one build is not judged by the expectations of the other."""
    baseline = replace(samples.new(), role=Role.BASELINE, spec="git:.@v7.3")
    bad = samples.with_test(
        replace(samples.new(), spec="git:.@bad"), samples.skipped(samples.SHA256_TEST, "no")
    )
    good = replace(samples.new(), spec="git:.@good")
    run = samples.run(baseline, bad, good)
    assert [len(losses(one, run.kernels)) for one in run.comparisons] == [1, 0]
    assert run.exit_code == 1
    found = [compared_candidate(one, run.kernels) for one in run.comparisons]
    assert [one.spec for one in found if one is not None] == ["git:.@bad", "git:.@good"]
