"""What is heard of a running guest, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsoleLine:
    """One line of the guest's console (or of vng), without its line end."""

    seconds: float  # since the start of vng
    text: str


@dataclass(frozen=True)
class RecordLine:
    """One line from the results port, whole or not, without its line end."""

    seconds: float  # since the start of vng
    text: str


@dataclass(frozen=True)
class Stopped:
    """The host could not do what the guest asked of a disk, so QEMU stopped the guest."""

    seconds: float  # since the start of vng
    reason: str  # what the host lacks, and where


@dataclass(frozen=True)
class Ended:
    """All channels are closed: QEMU and vng are gone."""

    seconds: float


@dataclass(frozen=True)
class Expired:
    """The deadline passed before anything else was heard."""

    seconds: float


Message = ConsoleLine | RecordLine | Stopped | Ended | Expired
