"""Results of earlier versions -> results of this one.

Schema 1 had one boot in a kernel's own fields. Reasons are made up for where there are none:
in results stored by the version before reasons were data.

That version's suite said why it could not do something in English alone, and what rests on
it was read out of that. Here it is, for such results only: what a kernel's result of this
version does not say as data was not observed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from immutabledict import immutabledict

from harness.model import (
    SCHEMA,
    Cause,
    Fact,
    KernelIdentity,
    KernelResult,
    Outcome,
    Reason,
    RunResult,
    State,
    Status,
    TestResult,
)

_NOT_BOUND = re.compile(r"bind (\w+) '([^']+)': ENOENT")
_NO_SOCKET = re.compile(r"socket\(AF_ALG\): EAFNOSUPPORT")
_RESTRICTED = re.compile(r"af_alg_restrict ?(?:=|is) ?([12])")
_PROGRAM_RESTRICTED = re.compile(r"fails at af_alg_restrict=([12]), works at 0")
_NEEDS_MODULES = re.compile(
    r"this kernel has no modules|is built in$|is no module\b|no algorithm that bind\(\) would load"
)


def upgraded(run: RunResult) -> RunResult:
    """The run as this version would have stored it, as far as that can be made up for."""
    if run.schema < SCHEMA:
        kernels = tuple(_with_boots(kernel) for kernel in run.kernels)
        run = replace(run, schema=SCHEMA, kernels=kernels)
    return with_reasons(run)


def _with_boots(kernel: KernelResult) -> KernelResult:
    """Schema 1: the kernel's own fields are those of its last boot, which ran the suite."""
    if not kernel.boots:
        return kernel
    *earlier, last = (replace(boot, number=number) for number, boot in enumerate(kernel.boots, 1))
    outcomes = {
        test.id: test.outcome for test in kernel.tests if test.outcome is not Outcome.MISSING
    }
    last = replace(
        last,
        killed=kernel.status_exit is not None and last.status is Status.INTERRUPTED,
        stopped=kernel.status_exit is None and last.status is Status.INTERRUPTED,
        fatal_test=kernel.fatal_test,
        planned=len(kernel.plan),
        outcomes=outcomes,
    )
    boots = (*earlier, last)
    events = tuple(event for boot in boots for event in boot.console_events)
    identity: KernelIdentity | None = None
    if kernel.identity is not None:
        packages = tuple(package.sha256 for package in kernel.packages)
        identity = KernelIdentity(packages=packages, architecture=kernel.identity.machine)
    walls = [boot.wall_seconds for boot in boots if boot.wall_seconds is not None]
    return replace(
        kernel,
        boots=boots,
        console_events=events,
        wall_seconds=round(sum(walls), 3) if walls else None,
        kernel=identity,
    )


def with_reasons(run: RunResult) -> RunResult:
    """The run, reasons added to each kernel's result that was stored without any."""
    kernels = tuple(_upgraded(kernel) if _is_old(kernel) else kernel for kernel in run.kernels)
    return replace(run, kernels=kernels)


def _is_old(kernel: KernelResult) -> bool:
    facts = kernel.facts.named().values()
    reasons = (*(test.reason for test in kernel.tests), *(fact.reason for fact in facts))
    return kernel.console_watch is None and not any(reasons)


def _upgraded(kernel: KernelResult) -> KernelResult:
    facts = kernel.facts
    write = facts.page_cache_write
    return replace(
        kernel,
        tests=tuple(_with_reason_of_skip(test) for test in kernel.tests),
        facts=replace(
            facts,
            zero_copy=_with_reasons_of_facts(facts.zero_copy),
            page_cache_write=write and _with_reason_of_fact("page_cache_write", write),
            other=_with_reasons_of_facts(facts.other),
        ),
    )


def _with_reason_of_skip(test: TestResult) -> TestResult:
    if test.outcome is not Outcome.SKIPPED:
        return test
    return replace(test, reason=_reason(test.message))


def _with_reasons_of_facts(facts: Mapping[str, Fact]) -> Mapping[str, Fact]:
    return immutabledict({name: _with_reason_of_fact(name, fact) for name, fact in facts.items()})


def _with_reason_of_fact(name: str, fact: Fact) -> Fact:
    if name == "policy.unprivileged_bind" and fact.state is State.ABSENT:
        level = _level(fact.evidence)
        reason = Reason(Cause.UNPRIVILEGED_RESTRICTED, restrict=level) if level else None
    elif fact.state not in {State.UNREACHABLE, State.FAILS}:
        reason = None
    elif name.startswith("consumers."):
        reason = _reason_of_program(fact.evidence)
    else:
        reason = _reason(fact.evidence)
    return replace(fact, reason=reason)


def _reason_of_program(evidence: str) -> Reason | None:
    restricted = _PROGRAM_RESTRICTED.search(evidence)
    if restricted:
        return Reason(Cause.PROGRAM_RESTRICTED, restrict=int(restricted[1]))
    reason = _reason(evidence)
    # The level that it names is the one as booted, and it failed with the policy opened, too.
    return reason and replace(reason, restrict=None)


def _reason(text: str) -> Reason | None:
    if _NO_SOCKET.search(text):
        return Reason(Cause.NO_SOCKET, errno="EAFNOSUPPORT")
    refused = _NOT_BOUND.search(text)
    if refused:
        return Reason(Cause.NOT_BOUND, refused[1], refused[2], "ENOENT", _level(text))
    return Reason(Cause.NO_MODULE) if _NEEDS_MODULES.search(text) else None


def _level(text: str) -> int | None:
    level = _RESTRICTED.search(text)
    return int(level[1]) if level else None
