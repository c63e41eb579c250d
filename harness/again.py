"""The command that does to one kernel what a run did."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from harness.guest.payload import Selection
from harness.kernels.sources import KernelSources
from harness.run_options import RunOptions


def again(options: RunOptions, spec: str, release: str) -> str:
    """The command that runs the kernel ``spec`` again, in every respect as ``options`` say.

    Where ``release`` is known, that very one of Debian is named: a suite's newest one moves on.
    What changes nothing for one kernel is left out (``--jobs``, ``--cache``, ``--out``).
    """
    return shlex.join(["afalg-harness", "run", exact_spec(spec, release), *_options(options)])


def exact_spec(spec: str, release: str) -> str:
    """What goes on naming the kernel of ``release``: a suite's newest one moves on."""
    return f"debian:{release}" if spec.startswith("debian:") and release else spec


def settings(options: RunOptions) -> str:
    """The options that bear on what is observed of a kernel, whatever is expected of it.

    Not what the kernel, the guest image and the accelerator turn out to be.
    """
    return shlex.join([*_settings(options), *_each("--append", options.append)])


def _settings(options: RunOptions) -> Iterator[str]:
    selection = options.selection
    # -k is all that there is of these; it may not begin with "-" in a word of its own.
    for name, value in zip(selection.arguments[::2], selection.arguments[1::2], strict=True):
        yield from [f"{name}{value}"] if value.startswith("-") else [name, value]
    yield from _each("--suite", selection.suites)
    if selection.seed != Selection.seed:
        yield from _one("--seed", str(selection.seed))
    if selection.test_seconds != Selection.test_seconds:
        yield from _one("--test-timeout", _seconds(selection.test_seconds))
    if options.suite_timeout is not None:
        yield from _one("--timeout", _seconds(options.suite_timeout))
    if options.repeat != RunOptions.repeat:
        yield from _one("--repeat", str(options.repeat))
    if options.boots != RunOptions.boots:
        yield from _one("--boots", str(options.boots))


def _options(options: RunOptions) -> Iterator[str]:
    yield from _settings(options)
    explicit = [rule for rule in options.expectations.rules if rule.explicit]
    files = dict.fromkeys(rule.source for rule in explicit if rule.source != "--expect")
    yield from _each("--expectations", files)
    overrides = [rule for rule in explicit if rule.source == "--expect"]
    yield from _each("--expect", (f"{rule.pattern}={rule.value}" for rule in overrides))
    if options.accel != "auto":
        yield from _one("--accel", options.accel)
    yield from _each("--append", options.append)
    if options.root != "image":
        yield from _one("--root", options.root)
    if options.guest_suite is not None:
        yield from _one("--guest-suite", options.guest_suite)
    if options.sources.mirror is not None:
        yield from _one("--mirror", options.sources.mirror)
    if options.sources.kconfigs != KernelSources.kconfigs:
        yield from _each("--kconfig", options.sources.kconfigs)


def _each(name: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from _one(name, value)


def _one(name: str, value: str) -> tuple[str, ...]:
    """An option with its value, which argparse would take for another option if it began so."""
    return (f"{name}={value}",) if value.startswith("-") else (name, value)


def _seconds(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
