"""What bind() answers at each level of af_alg_restrict, to each credential.

af_alg_restrict and its lists came with 2f204fe718f5 (7.3): 0 lets everything through, 1 the
names on the lists of the algif modules, 2 nothing. A whole table of names is tried by one
child process, on one socket, and its answers are kept: a fork costs more than the table.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import credentials
import libc
from allowlist import MORE_NAMES, OTHER_SPELLINGS, UNLISTED
from unavailable import RESTRICT, skip

from harness.guest.inside.allowlists import ALL_LISTED, Access, Match, Name, match
from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

    from credentials import Credential

KINDS = ("aead", "hash", "rng", "skcipher")
BOUND = "ok"

#: Types in /proc/crypto by the interface that offers them; a hash is shash or ahash.
_TYPES = {"aead": "aead", "ahash": "hash", "shash": "hash", "rng": "rng", "skcipher": "skcipher"}

Answers = dict[Name, str]


def attempt(sock: socket.socket, name: Name) -> str:
    """bind(): "ok" or the errno's name. Without requests a socket can be bound again and again."""
    try:
        libc.bind(
            sock.fileno(),
            af_alg.socket_address(name.algorithm.encode() + b"\0", name.kind.encode()),
        )
    except OSError as error:
        return af_alg.errno_name(error)
    return BOUND


def attempt_all(names: Iterable[Name], sock: socket.socket | None = None) -> list[str]:
    """bind() to each name in turn, on a socket of the calling process's own if none is given."""
    if sock is not None:
        return [attempt(sock, name) for name in names]
    with af_alg.open_socket() as own:
        return [attempt(own, name) for name in names]


def bound(answers: Answers, kind: str = "") -> set[Name]:
    """The names that could be bound."""
    return {name for name, answer in answers.items() if answer == BOUND and kind in {"", name.kind}}


def listing(names: Iterable[Name]) -> str:
    """Names for a message."""
    return ", ".join(sorted(str(name) for name in names)) or "none"


class Policy:
    """The sysctl, and what was seen of it; the answers are kept for all tests that ask."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int | None, Credential], Answers] = {}
        self._drivers: frozenset[Name] = frozenset()
        self._list: Match | None = None

    def require(self) -> None:
        """Skip the test on a kernel without the sysctl."""
        try:
            af_alg.open_socket().close()  # loads af_alg, which brings the sysctl
        except af_alg.NotOffered as refusal:
            if not RESTRICT.exists():
                refusal.skip()
        if not RESTRICT.exists():
            skip(
                "af_alg_restrict: no such sysctl (af_alg is loaded)",
                Reason(Cause.NO_SYSCTL, name="af_alg_restrict"),
            )

    @contextmanager
    def at(self, level: int | None) -> Iterator[None]:
        """The sysctl at a level (None: left alone), put back afterwards."""
        if level is None:
            yield
            return
        before = RESTRICT.read_text()
        set_level(level)
        try:
            yield
        finally:
            RESTRICT.write_text(before)

    def _opened(self) -> Answers:
        """What bind() answers to root with the policy opened: the tables, and what is loaded."""
        level = 0 if RESTRICT.exists() else None
        known = self._answers.get((level, credentials.ROOT))
        if known is None:
            with self.at(level), af_alg.open_socket() as sock:
                known = {name: attempt(sock, name) for name in (*ALL_LISTED, *UNLISTED)}
                names, drivers = read_proc_crypto()
                known |= {name: attempt(sock, name) for name in (names | drivers) - known.keys()}
            self._answers[level, credentials.ROOT] = known
            self._drivers = drivers.difference(ALL_LISTED)
        return known

    def drivers(self, kind: str) -> set[Name]:
        """Names of loaded implementations, which bind() takes as well."""
        self._opened()
        return {name for name in self._drivers if name.kind == kind}

    def answers(self, level: int | None, credential: Credential) -> Answers:
        """What bind() answered at a level to a credential, by name.

        Skips the test if the kernel does not let a process take the credential. At level 2
        the socket is an older one, as none can be opened.
        """
        opened = self._opened()
        known = self._answers.get((level, credential))
        if known is not None:
            return known
        if level:
            # A name that the list refuses costs nothing.
            names = tuple(dict.fromkeys((*opened, *OTHER_SPELLINGS, *MORE_NAMES)))
        else:
            # A name that the kernel does not know costs it two runs of modprobe.
            names = tuple(bound(opened))
        with self._older_socket(level) as sock, self.at(level):
            try:
                seen = credentials.run_as(credential, lambda: attempt_all(names, sock))
            except credentials.NoCredential as refusal:
                refusal.skip()
        known = dict(zip(names, seen, strict=True))
        self._answers[level, credential] = known
        return known

    @contextmanager
    def _older_socket(self, level: int | None) -> Iterator[socket.socket | None]:
        if level != 2:
            yield None
            return
        with self.at(0), af_alg.open_socket() as sock:
            yield sock

    def offered(self, name: Name) -> str:
        """What bind() answers to root once the policy is opened."""
        return self._opened()[name]

    def skip_unless_offered(self, name: Name) -> None:
        """Skip the test if this kernel has no such algorithm: its refusal proves nothing."""
        answer = self.offered(name)
        if answer != BOUND:
            af_alg.not_bound(*name, answer, remark=" (at af_alg_restrict=0)").skip()

    def list_found(self) -> Match:
        """Which of the known lists this kernel has, by what can be bound at level 1."""
        if self._list is None:
            as_root, as_nobody = (
                self.answers(1, credential) for credential in (credentials.ROOT, credentials.NOBODY)
            )
            self._list = match(
                {
                    name: Access(as_root[name] == BOUND, as_nobody[name] == BOUND)
                    for name in bound(self._opened())
                }
            )
        return self._list

    def expected(self, *, privileged: bool) -> set[Name]:
        """The names on the kernel's list, as far as it offers them at all."""
        return {
            name
            for name, who in self.list_found().variant.names.items()
            if (privileged or who.everybody) and self.offered(name) == BOUND
        }

    def keyless_hash(self, *, everybody: bool) -> Name:
        """A plain hash of the kernel's list that is (not) for everybody; skips without one."""
        everyones = self.expected(privileged=False)
        for name in sorted(self.expected(privileged=True)):
            keyed = "mac(" in name.algorithm
            if name.kind == "hash" and not keyed and (name in everyones) == everybody:
                return name
        whom = "everybody" if everybody else "the privileged alone"
        skip(f"the list has no hash for {whom}", Reason(Cause.OTHER, type="hash"))


def set_level(level: int) -> None:
    """Write the sysctl, and see that the kernel took it."""
    RESTRICT.write_text(str(level))
    seen = RESTRICT.read_text().strip()
    assert seen == str(level), f"af_alg_restrict: wrote {level}, read {seen}"


def unload(name: Name) -> str:
    """Unload the modules of an algorithm; returns why it is still there, "" if it is not."""
    for block in Path("/proc/crypto").read_text().split("\n\n"):
        lines = [line.partition(":") for line in block.splitlines()]
        fields = {key.strip(): value.strip() for key, _, value in lines}
        if fields.get("name") != name.algorithm:
            continue
        try:
            libc.delete_module(fields["module"])
        except OSError as error:
            return f"delete_module {fields['module']}: {af_alg.errno_name(error)}"
    return ""


def read_proc_crypto() -> tuple[frozenset[Name], frozenset[Name]]:
    """The names and the drivers in /proc/crypto that an algif module could offer."""
    names, drivers = set(), set()
    for block in Path("/proc/crypto").read_text().split("\n\n"):
        lines = [line.partition(":") for line in block.splitlines()]
        fields = {key.strip(): value.strip() for key, _, value in lines}
        kind = _TYPES.get(fields.get("type", ""))
        # An internal one is part of another, and bind() never finds it.
        if kind is not None and fields.get("internal") != "yes":
            names.add(Name(kind, fields["name"]))
            drivers.add(Name(kind, fields["driver"]))
    return frozenset(names), frozenset(drivers)
