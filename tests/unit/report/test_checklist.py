"""checklist.md: what a release waits for, and which layer blocks what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.conclude import judged_anew
from harness.judge.layers import Barrier, Layer, barriers
from harness.model import (
    Cause,
    GuestIdentity,
    KernelResult,
    Outcome,
    Reason,
    Role,
    RunResult,
    Status,
)
from harness.report.checklist import pieces
from harness.report.options import ReportOptions
from tests.stored_runs import stored_run
from tests.unit import samples


@pytest.fixture(scope="module")
def matrix() -> RunResult:
    """The stored run, judged anew."""
    return judged_anew(stored_run(), None)


def of_one(run: RunResult, release: str) -> str:
    """The checklist of a candidate of ``run``."""
    text = "".join(pieces(run, ReportOptions()))
    (found,) = [
        part
        for part in text.partition("\n## The answer")[0].split("# Release checklist, AF_ALG: ")
        if part.startswith(release)
    ]
    return found


def boxes(text: str) -> list[str]:
    """What stands in the boxes, in their order."""
    return [line[3] for line in text.splitlines() if line.startswith("- [")]


def kernel_of(run: RunResult, release: str) -> KernelResult:
    return next(kernel for kernel in run.kernels if kernel.release.startswith(release))


def test_a_good_kernel_has_every_box_ticked(matrix: RunResult) -> None:
    text = of_one(matrix, "6.12.117")
    assert text.splitlines()[0] == "6.12.117+deb13-amd64 is OK"
    assert boxes(text) == ["x"] * 7
    assert "because" not in text


def test_a_bad_kernel_says_which_points_do_not_hold_and_why(matrix: RunResult) -> None:
    text = of_one(matrix, "6.18.15")
    assert "is NOT OK" in text.splitlines()[0]
    open_points = [line for line in text.splitlines() if line.startswith("- [ ]")]
    assert "zero-copy input is gone: 0 of 33" in open_points[0]
    assert "page cache" in open_points[1]
    assert "CVE-2026-31431" in open_points[2]
    assert "NOT OK because:" in text


@pytest.mark.parametrize("why", ["nothing passed", "some never ran", "nobody asked at the end"])
def test_no_tick_for_what_is_not_known_of_the_tests(why: str) -> None:
    kernel = samples.new()
    if why == "nothing passed":
        tests = tuple(replace(test, outcome=Outcome.SKIPPED) for test in kernel.tests)
        kernel = replace(kernel, tests=tests)
    elif why == "some never ran":
        kernel = replace(kernel, tests=kernel.tests[:-1])
    else:
        kernel = replace(kernel, taint=None)
    text = of_one(samples.run(samples.old(), kernel), samples.NEW)
    (line,) = [line for line in text.splitlines() if "every test passes" in line]
    assert line.startswith("- [?]")


def test_it_says_what_is_judged(matrix: RunResult) -> None:
    """The packages with their checksums, and that no installed system is meant."""
    text = of_one(matrix, "7.3.4")
    kernel = kernel_of(matrix, "7.3.4")
    for package in kernel.packages:
        assert f"{package.name} {package.version}" in text.replace("\\", "")
        assert package.sha256 in text
    assert "no installed system" in text
    assert "modprobe.d" in text
    assert "compared with 6.12.43+deb12-amd64, which is not as a candidate must be" in text


def test_the_answer_stands_at_the_end(matrix: RunResult) -> None:
    text = "".join(pieces(matrix, ReportOptions()))
    assert text.count("## The answer") == 1
    assert "why not OK, and of how many kernels" in text.partition("## The answer")[2]


def test_without_a_baseline_it_is_not_known_what_was_lost() -> None:
    text = of_one(samples.run(samples.new()), samples.NEW)
    assert "compared with nothing" in text
    assert "- [?] nothing is lost against the last good one" in text


def test_what_was_not_probed_is_said_so() -> None:
    kernel = samples.new()
    kernel = replace(
        kernel,
        facts=replace(kernel.facts, page_cache_write=None),
        plan=tuple(test for test in kernel.plan if test != samples.COPY_FAIL_TEST),
        tests=tuple(test for test in kernel.tests if test.id != samples.COPY_FAIL_TEST),
    )
    text = of_one(samples.run(kernel), samples.NEW)
    assert "- [?] the page cache cannot be written through a request: not probed: CVE-2026" in text


def test_what_never_ran_ticks_no_box() -> None:
    text = of_one(samples.run(samples.old(), samples.unavailable()), samples.unavailable().spec)
    assert "x" not in boxes(text)
    assert boxes(text)
    assert "policy: not known, it never ran" in text


def test_layers_of_a_kernel_with_the_allowlist(matrix: RunResult) -> None:
    found = barriers(kernel_of(matrix, "7.3.4"))
    by_layer = {layer: [b for b in found if b.layer is layer] for layer in Layer}
    assert {b.by for b in by_layer[Layer.POLICY]} == {"crypto.af_alg_restrict=1 as booted"}
    told = " ".join(b.what for b in by_layer[Layer.POLICY])
    assert "that of 7.3" in told
    assert "of 27 names that root could bind, nobody could bind 7" in told
    assert "programs that work at 0: " in told
    assert any("stdrng" in b.what or "drbg" in b.what for b in by_layer[Layer.CONFIG])
    assert not by_layer[Layer.BOOT]


def test_layers_of_a_kernel_without_the_policy(matrix: RunResult) -> None:
    text = of_one(matrix, "6.12.117")
    assert "- policy: there is no af_alg_restrict" in text
    assert "- boot argument: none that concerns AF_ALG" in text


def test_what_the_policy_refuses_is_not_charged_to_the_config(matrix: RunResult) -> None:
    """ENOENT at level 1 may be the list's; only with the policy opened it is the kernel's."""
    kernel = kernel_of(matrix, "6.12.117")
    refused = Reason(Cause.NOT_BOUND, "skcipher", "made(up)", "ENOENT", 1)
    tests = (replace(kernel.tests[0], reason=refused), *kernel.tests[1:])
    assert "made(up)" not in str(barriers(replace(kernel, tests=tests)))
    opened = replace(refused, restrict=0)
    tests = (replace(kernel.tests[0], reason=opened), *kernel.tests[1:])
    assert "made(up)" in str(barriers(replace(kernel, tests=tests)))


@pytest.mark.parametrize(
    "word",
    [
        "module_blacklist=af_alg,algif_aead",
        "modprobe.blacklist=algif_skcipher",
        "initcall_blacklist=algif_aead_init",
        "sysctl.crypto.af_alg_restrict=2",
        "fips=1",
        "lockdown=confidentiality",
    ],
)
def test_boot_arguments_that_concern_af_alg_are_named(word: str) -> None:
    kernel = replace(
        samples.new(),
        identity=GuestIdentity(samples.NEW, "", "x86_64", f"console=ttyS0 {word} quiet", "n"),
    )
    assert [b.by for b in barriers(kernel) if b.layer is Layer.BOOT] == [word]
    ignored = replace(kernel, ignored_arguments=(word,))
    assert not [b for b in barriers(ignored) if b.layer is Layer.BOOT]
    text = "".join(pieces(samples.run(kernel), ReportOptions()))
    assert f"- boot argument, {word}" in text.replace("\\", "")


def test_a_config_without_af_alg_says_that_alone() -> None:
    config = {**samples.CONFIG, "CONFIG_CRYPTO_USER_API": "n"}
    found = barriers(replace(samples.new(), config=config))
    assert Barrier(Layer.CONFIG, "CONFIG_CRYPTO_USER_API is not set", "all of AF_ALG") in found
    config = {**samples.CONFIG, "CONFIG_CRYPTO_USER_API_RNG": "n"}
    found = barriers(replace(samples.new(), config=config))
    assert found[0].what == "the interface rng"


def test_a_death_is_told() -> None:
    crashed = samples.crashed()
    text = of_one(samples.run(samples.old(), crashed), crashed.release)
    assert "- [ ] it boots, and all that was planned ran: " in text
    assert crashed.status is Status.CRASHED


def test_a_baseline_that_did_not_boot_is_no_bad_kernel() -> None:
    lost = replace(samples.boot_failed(), role=Role.BASELINE)
    text = of_one(samples.run(lost, samples.new()), samples.NEW)
    assert "of which nothing certain is known" in text
    assert "as a candidate must be" not in text
    assert "- [?] nothing is lost against 7.3.0-dirty: not compared: " in text
