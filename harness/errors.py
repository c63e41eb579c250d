"""The errors that a person can be told about, each with the exit code it leads to.

Anything else that escapes is a bug in the harness.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every subcommand but ``bisect-step``."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INTERRUPTED = 130


class HarnessError(Exception):
    """Base of all errors meant for people: one line saying what, which input, what to do."""

    exit_code = ExitCode.INFRASTRUCTURE


class InputError(HarnessError):
    """An input is bad: no such kernel, a corrupt package, an unknown test id."""

    exit_code = ExitCode.USAGE


class InfrastructureError(HarnessError):
    """The host, the mirror or the guest failed, so nothing is known of the kernel."""


class HostError(InfrastructureError):
    """This host lacks something; ``afalg-harness doctor`` names what mends it."""


class FetchError(InfrastructureError):
    """A download failed though the input names something that should exist."""


class BuildError(InfrastructureError):
    """A kernel could not be configured or built from its source."""


class BootError(InfrastructureError):
    """A guest could not be started or did not get as far as the suite."""


class Interrupted(HarnessError):
    """A person or a signal ended what was being done."""

    exit_code = ExitCode.INTERRUPTED
