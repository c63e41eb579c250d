"""How a probe of zero copy ends: with a state, or with why there is none.

A state is unreachable only where the kernel does not offer the algorithm or the call. Any
other error (no memory left, no descriptors, a disk that fails) says nothing of where pages
go: the state is unknown then.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import af_alg
from unavailable import Unavailable, reason_of, skip
from witness import Testimony, agreed

from harness.guest.inside.words import Cause, Reason, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import RecordFact

#: What a kernel answers to a call that it does not have for such a socket.
_NOT_OFFERED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})
#: What a guest answers that has run out of something, whatever the kernel's code is like.
_LACKING = frozenset(
    {
        *(errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE),
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR),
    }
)


class Void(Unavailable):
    """A probe cannot tell its state."""

    def __init__(
        self,
        text: str,
        reason: Reason | None = None,
        *,
        control: str = "not_run",
        witness: Witness = Witness.NONE,
    ) -> None:
        super().__init__(text, reason or Reason(Cause.OTHER))
        self.control = control
        self.witness = witness


def untold(text: str) -> NoReturn:
    """Skip the running test, whose probe ended without a state."""
    __tracebackhide__ = True
    skip(text, Reason(Cause.OTHER))


@contextmanager
def handing_over(what: str, kind: str, name: str) -> Iterator[None]:
    """Calls that put pages into a socket of an algorithm; errors become NotOffered or Void."""
    try:
        yield
    except OSError as error:
        refused = error.errno in _NOT_OFFERED
        reason = _reason(error, kind, name)
        text = f"{what} into {name}: {reason.errno}"
        raise (af_alg.NotOffered if refused else Void)(text, reason) from error


def _reason(error: OSError | MemoryError, kind: str = "", name: str = "") -> Reason:
    """What an error says, of an algorithm if it is about one."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    cause = Cause.HOST if number in _LACKING else Cause.OTHER
    return Reason(cause, kind, name, errno.errorcode.get(number or 0, str(number)))


def why_void(error: OSError | MemoryError, kind: str, name: str) -> Void:
    """What a probe of an algorithm that ended in an error says: nothing."""
    return Void(_told(error), _reason(error, kind, name))


def _told(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


@dataclass(frozen=True)
class Probe:
    """The search for the state of one path."""

    fact: str
    record_fact: RecordFact

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Record why the state cannot be told, if that shows inside, and skip the test.

        Whatever fails otherwise fails the test, and the state is unknown all the same.
        """
        try:
            yield
        except af_alg.NotOffered as refusal:
            self._give_up("unreachable", refusal)
        except Unavailable as lack:
            self._give_up("unknown", lack)
        except (OSError, MemoryError) as error:
            failure = Void(f"the probe itself failed: {_told(error)}", _reason(error))
            if failure.reason.cause is Cause.HOST:
                self._give_up("unknown", failure)
            self._record("unknown", failure)
            raise
        except BaseException as failed:  # its time is up, for instance
            reason = reason_of(failed) or Reason(Cause.OTHER)
            self._record("unknown", Void(f"the probe itself failed: {_told(failed)}", reason))
            raise

    def _give_up(self, state: str, why: Unavailable) -> NoReturn:
        self._record(state, why)
        why.skip()

    def _record(self, state: str, why: Unavailable) -> None:
        self.record_fact(
            self.fact,
            state=state,
            control=why.control,
            evidence=str(why),
            reason=why.reason,
            witness=why.witness,
        )

    def conclude(self, told: str, testimony: Testimony, *, control: str, evidence: str) -> str:
        """Record what the probe told, or unknown if the witness contradicts; returns which."""
        state = agreed(told, testimony)
        self.record_fact(
            self.fact,
            state=state,
            control=control,
            evidence=f"{evidence}; {testimony}",
            reason=Reason(Cause.OTHER) if state == "unknown" else None,
            witness=testimony.on(told),
        )
        return state
