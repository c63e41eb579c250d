"""Runs as they come back from real kernels, for the tests of judging and reporting.

The states, outcomes and messages are those seen on the Debian kernels of the same release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.judge.compare import compare
from harness.judge.exit_code import exit_code
from harness.judge.expectations import Expectations
from harness.judge.settle import settled
from harness.judge.splats import charge
from harness.judge.verdict import judge_run
from harness.model import (
    SCHEMA,
    Cause,
    CodeFinding,
    CodeWord,
    ConsoleEvent,
    Control,
    Fact,
    Facts,
    GuestIdentity,
    HostInfo,
    KernelResult,
    Outcome,
    PackageFile,
    Reason,
    Role,
    RunResult,
    State,
    Status,
    TestResult,
)

OLD = "6.12.43+deb12-amd64"
NEW = "7.3.4+deb13-amd64"

KINDS = ("skcipher", "aead", "aead_aad")
WAYS = ("splice_file", "splice_tmpfs", "splice_memfd", "sendfile")
PATHS = tuple(f"{kind}.{way}" for kind in KINDS for way in WAYS)

COPY_FAIL_TEST = "security/test_page_cache_write.py::test_authencesn_leaves_the_file_alone"
STDRNG_TEST = "functional/test_rng.py::test_stdrng"
SALSA_TEST = "functional/test_skcipher.py::test_known_answer[salsa20]"
SHA256_TEST = "functional/test_hash.py::test_sha256"
POLICY_TEST = "policy/test_allowlist.py::test_sha256_as_booted"
FUNCTIONAL = (
    SHA256_TEST,
    "functional/test_hash.py::test_sha1",
    "functional/test_skcipher.py::test_known_answer[cbc(aes)]",
    "functional/test_aead.py::test_known_answer[gcm(aes)]",
    SALSA_TEST,
    STDRNG_TEST,
)
CONFIG = {
    "CONFIG_CRYPTO_USER_API": "m",
    "CONFIG_CRYPTO_USER_API_HASH": "m",
    "CONFIG_CRYPTO_USER_API_SKCIPHER": "m",
    "CONFIG_CRYPTO_USER_API_AEAD": "m",
    "CONFIG_CRYPTO_USER_API_RNG": "m",
    "CONFIG_CRYPTO_AES": "y",
    "CONFIG_CRYPTO_CBC": "y",
    "CONFIG_CRYPTO_SHA256": "y",
    "CONFIG_CRYPTO_DRBG": "y",
    "CONFIG_CRYPTO_SALSA20": "m",
}
NO_SOCKET = "socket(AF_ALG): EAFNOSUPPORT"
SOCKET_REFUSED = Reason(Cause.NO_SOCKET, errno="EAFNOSUPPORT")
WARNING = "WARNING: CPU: 1 PID: 77 at crypto/af_alg.c:300 af_alg_pull_tsgl+0x1/0x9"
KASAN = "BUG: KASAN: slab-use-after-free in af_alg_sendmsg+0x1f2/0x8c0 [af_alg]"


def path_test(path: str) -> str:
    """Id of the test that probes a zero-copy path."""
    kind, _, way = path.partition(".")
    return f"zero_copy/test_input.py::test_{kind}[{way}]"


PLAN = (*FUNCTIONAL, *(path_test(path) for path in PATHS), COPY_FAIL_TEST)


def with_code(kernel: KernelResult, word: CodeWord) -> KernelResult:
    """The kernel with that word of its code on every way of which it has paths."""
    evidence = {
        CodeWord.CAN: ("skcipher_sendmsg", "af_alg_sendmsg", "extract_iter_to_sg"),
        CodeWord.CANNOT: ("skcipher_sendmsg",),
        CodeWord.SILENT: (),
    }
    reason = "af_alg.ko: no symbol table" if word is CodeWord.SILENT else ""
    ways = ("skcipher.input", "aead.input", "skcipher.output")
    return replace(
        kernel, code=tuple(CodeFinding(way, word, evidence[word], reason) for way in ways)
    )


def path_fact(path: str, state: State, control: Control = Control.FIRED) -> Fact:
    """What the probe of a path recorded."""
    if state is State.UNREACHABLE:
        return Fact(state, control, NO_SOCKET, path_test(path), SOCKET_REFUSED)
    return Fact(state, control, "page of a file overwritten", path_test(path))


def facts(paths: State, write: State, restrict: int | None = None) -> Facts:
    """All facts of a kernel, every path in the same state."""
    void = {State.UNREACHABLE: Control.NOT_RUN, State.UNKNOWN: Control.FAILED}
    refused = paths is State.UNREACHABLE
    evidence, reason = (NO_SOCKET, SOCKET_REFUSED) if refused else ("authencesn", None)
    return Facts(
        af_alg_restrict=restrict,
        zero_copy={path: path_fact(path, paths, void.get(paths, Control.FIRED)) for path in PATHS},
        page_cache_write=Fact(
            write, void.get(write, Control.FIRED), evidence, COPY_FAIL_TEST, reason
        ),
    )


def results(plan: Iterable[str] = PLAN, **changed: TestResult) -> tuple[TestResult, ...]:
    """All tests of a plan passed; ``changed`` holds other results under any keyword."""
    other = {result.id: result for result in changed.values()}
    return tuple(other.get(test, TestResult(test, Outcome.PASSED, seconds=0.021)) for test in plan)


def skipped(test: str, message: str, reason: Reason | None = None) -> TestResult:
    """A test that was skipped."""
    return TestResult(test, Outcome.SKIPPED, seconds=0.002, message=message, reason=reason)


def not_bound(test: str, kind: str, name: str, error: str = "ENOENT") -> TestResult:
    """A test that was skipped because the kernel does not offer an algorithm."""
    reason = Reason(Cause.NOT_BOUND, kind, name, error)
    return skipped(test, f"bind {kind} {name!r}: {error}", reason)


def failed(test: str, message: str) -> TestResult:
    """A test that failed."""
    return TestResult(
        test, Outcome.FAILED, 0.03, message, f"test_hash.py:31: in test_sha256\nE   {message}"
    )


def with_test(kernel: KernelResult, result: TestResult) -> KernelResult:
    """The kernel with another result of one test."""
    tests = tuple(result if test.id == result.id else test for test in kernel.tests)
    return replace(kernel, tests=tests)


def with_path(kernel: KernelResult, path: str, fact: Fact | None) -> KernelResult:
    """The kernel with another fact of one path, or none."""
    paths = {name: old for name, old in kernel.facts.zero_copy.items() if name != path}
    if fact is not None:
        paths[path] = fact
    return replace(kernel, facts=replace(kernel.facts, zero_copy=paths))


def kernel(release: str, role: Role = Role.CANDIDATE) -> KernelResult:
    """A kernel on which everything is as it should be."""
    return KernelResult(
        spec=f"debian:{release}",
        release=release,
        role=role,
        status=Status.COMPLETED,
        boot_seconds=4.1,
        suite_seconds=6.02,
        wall_seconds=11.9,
        taint_before=0,
        taint=0,
        identity=GuestIdentity(release, "#1 SMP Debian", "x86_64", "console=ttyS0", "c0ffee"),
        facts=facts(State.ABSENT, State.ABSENT),
        plan=PLAN,
        tests=results(),
        packages=(PackageFile(f"linux-image-{release}", "1", "ab" * 32, "signed index"),),
        directory=f"kernels/{release}",
        reproduce=f"afalg-harness run debian:{release}",
        config=dict(CONFIG),
    )


def old() -> KernelResult:
    """6.12.43: zero-copy input and Copy Fail are there."""
    return replace(kernel(OLD, Role.BASELINE), facts=facts(State.PRESENT, State.PRESENT))


def new() -> KernelResult:
    """7.3.4: copies, the allowlist is there, DRBG is unset and salsa20 is gone."""
    config = {name: value for name, value in CONFIG.items() if "SALSA20" not in name}
    return replace(
        kernel(NEW),
        facts=facts(State.ABSENT, State.ABSENT, restrict=1),
        tests=results(
            rng=not_bound(STDRNG_TEST, "rng", "stdrng"),
            salsa=not_bound(SALSA_TEST, "skcipher", "salsa20"),
        ),
        config=config | {"CONFIG_CRYPTO_DRBG": "n"},
        packages=(
            PackageFile(f"linux-binary-{NEW}", "7.3.4-1", "ab" * 32, "signed index"),
            PackageFile(f"linux-modules-{NEW}", "7.3.4-1", "cd" * 32, "outside the signed index"),
        ),
    )


def no_af_alg() -> KernelResult:
    """A kernel that was built without AF_ALG."""
    return replace(
        kernel("7.2.12-custom"),
        facts=facts(State.UNREACHABLE, State.UNREACHABLE),
        tests=tuple(skipped(test, NO_SOCKET, SOCKET_REFUSED) for test in PLAN),
        config={name: "n" for name in CONFIG if "USER_API" in name},
        notes=(NO_SOCKET,),
    )


def crashed() -> KernelResult:
    """A kernel that died in the first zero-copy test, after a KASAN report."""
    fatal = path_test(PATHS[0])
    done = results(FUNCTIONAL)
    lost = [TestResult(test, Outcome.MISSING) for test in PLAN[len(FUNCTIONAL) + 1 :]]
    died = TestResult(fatal, Outcome.CRASHED, message="Kernel panic - not syncing: KASAN")
    return replace(
        kernel("6.12.43-kasan"),
        status=Status.CRASHED,
        status_reason="Kernel panic - not syncing: KASAN: panic_on_warn set ...",
        tests=(*done, died, *lost),
        facts=Facts(),
        console_events=(
            ConsoleEvent("warning", "WARNING: CPU: 0 PID: 1 at arch/x86/x.c:1", 1.5),
            ConsoleEvent("kasan", KASAN, 9.2, fatal, (KASAN, "Read of size 8", "Call Trace:")),
            ConsoleEvent("panic", "Kernel panic - not syncing: KASAN", 9.3, fatal),
        ),
    )


def hung() -> KernelResult:
    """A kernel that fell silent in a functional test."""
    stuck = TestResult(FUNCTIONAL[2], Outcome.TIMEOUT, message="nothing heard for 40 s")
    lost = [TestResult(test, Outcome.MISSING) for test in PLAN[3:]]
    return replace(
        kernel("7.3.4-hang"),
        status=Status.HUNG,
        status_reason=f"nothing heard for 40 s while running {FUNCTIONAL[2]}",
        tests=(*results(PLAN[:2]), stuck, *lost),
        facts=Facts(),
    )


def unavailable(exit_status: int = 3) -> KernelResult:
    """A kernel that could not be fetched (3), or that does not exist (2)."""
    return KernelResult(
        spec="debian:6.19.6+deb13-amd64",
        release="",
        role=Role.CANDIDATE,
        status=Status.UNAVAILABLE,
        status_reason="linux-modules-6.19.6+deb13-amd64: not in the archive any more",
        status_exit=exit_status,
        reproduce="afalg-harness run debian:6.19.6+deb13-amd64",
    )


def boot_failed() -> KernelResult:
    """A kernel whose guest never reported."""
    return KernelResult(
        spec="./bzImage",
        release="7.3.0-dirty",
        role=Role.CANDIDATE,
        status=Status.BOOT_FAILED,
        status_reason="Kernel panic - not syncing: VFS: Unable to mount root fs",
    )


def all_skipped() -> KernelResult:
    """A kernel on which every test was skipped and no probe told anything."""
    tests = tuple(skipped(test, "known answers are missing") for test in PLAN)
    return replace(kernel("7.3.4-skips"), tests=tests, facts=Facts())


def regressed() -> KernelResult:
    """A kernel that shares pages again and computes a wrong digest."""
    return with_test(
        replace(
            kernel("7.4.0-rc1-amd64"),
            facts=facts(State.PRESENT, State.ABSENT, restrict=1),
            taint=512,
            console_events=(
                ConsoleEvent(
                    "warning", "WARNING: CPU: 1 PID: 77 at crypto/x.c:3", 7.0, SHA256_TEST
                ),
            ),
        ),
        failed(SHA256_TEST, "expected e3b0c442, saw 00000000"),
    )


def run(*kernels: KernelResult, expectations: Expectations | None = None) -> RunResult:
    """A judged and compared run of ``kernels``; the first baseline among them is the one."""
    rules = expectations or Expectations()
    against = next((one for one in kernels if one.role is Role.BASELINE), None)
    charged = (
        charge(settled(one), rules, against if one is not against else None) for one in kernels
    )
    judged = judge_run(tuple(charged), rules)
    baseline = next((one for one in judged if one.role is Role.BASELINE), None)
    comparisons = tuple(
        compare(baseline, one)
        for one in judged
        if baseline is not None and one.role is Role.CANDIDATE
    )
    return RunResult(
        schema=SCHEMA,
        exit_code=int(exit_code(judged, comparisons)),
        started="2026-11-23T10:15:00+00:00",
        command="afalg-harness run debian:6.12.43+deb12-amd64 debian:7.3.4+deb13-amd64",
        seed=20260422,
        host=HostInfo("tcg", "KVM stops with an internal error", "7.2.22", "1.42", 2),
        kernels=judged,
        comparisons=comparisons,
        expectations=rules.entries(),
    )


def main_job() -> RunResult:
    """The main job: a kernel from before the removal against one from after it."""
    return run(old(), new())
