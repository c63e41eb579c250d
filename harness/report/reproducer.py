"""A sequence of calls as a reader can follow it, and as a program to run.

The words of a sequence are those of tests/afalg/sequences.py, its calls those of
tests/afalg/player.py. The program needs Python 3.10 and nothing of ours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.model import Reproducer

#: How to read an answer.
LEGEND = (
    "An answer is an errno, the bytes taken, or the bytes received and their CRC-32. "
    "`waits`: the call sleeps, until it is fed or interrupted; `hole 16-24`: received bytes that "
    "the kernel did not write; `beyond`: bytes it wrote past those received"
)

_HEAD = """\
# As root; first set crypto.af_alg_restrict to 0 if the kernel has that sysctl.
import {modules}

data = bytes((7 * i + i // 251) % 256 for i in range(65536))
key = bytes(range(1, 65))
bound = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
bound.bind(({type!r}, {name!r}))"""

_MODULES = ("contextlib", "os", "signal", "socket", "struct", "threading")
_OPS = {"enc": 1, "dec": 0, "op2": 2}
_REFUSED = re.compile(r"E[A-Z]+\d*")


def steps(reproducer: Reproducer) -> Iterator[tuple[str, str, str]]:
    """Each call with the answers of baseline and candidate."""
    _, _, calls = reproducer.sequence.partition(": ")
    answers = (reproducer.baseline, reproducer.candidate)
    yield from itertools.zip_longest(calls.split("; "), *answers, fillvalue="?")


def told_steps(reproducer: Reproducer, baseline: str, candidate: str) -> Iterator[str]:
    """Lines that tell the calls; answers that differ name the kernel that gave them."""
    subject, _, _ = reproducer.sequence.partition(": ")
    yield f"{subject}:"
    for call, was, now in steps(reproducer):
        if was == now:
            yield f"  {call} -> {was}"
        else:
            yield f"  {call}"
            yield f"    {baseline}: {was}"
            yield f"    {candidate}: {now}"


def program(reproducer: Reproducer, baseline: str, candidate: str) -> str:
    """A Python program that makes the calls; prints what the last one is answered."""
    subject, _, _ = reproducer.sequence.partition(": ")
    writer = _Writer(subject)
    last = len(reproducer.baseline) - 1
    for order, (call, was, now) in enumerate(steps(reproducer)):
        told = was if was == now else f"{was} on {baseline}, {now} on {candidate}"
        writer.add(call, was, told, order == last)
    body = "\n".join(writer.lines)
    used = (module for module in _MODULES if f"{module}." in body)
    return body.replace("{modules}", ", ".join(used))


@dataclass
class _Writer:
    """Writes a program call by call."""

    subject: str
    lines: list[str] = field(default_factory=list)
    sent: int = 0  # bytes, as far as both kernels agree
    requests: int = 1
    splices: bool = False

    def __post_init__(self) -> None:
        kind, name, *rest = self.subject.split()
        self.lines += _HEAD.format(modules="{modules}", type=kind, name=name).splitlines()
        self.key = next((word for word in rest if "key" in word), "")
        if self.key:
            self.lines.append(f"bound.setsockopt(279, 1, {self._key()})  # ALG_SET_KEY")
        for word in rest:
            if word.startswith("tag"):
                size = word.removeprefix("tag")
                self.lines.append(
                    f"bound.setsockopt(279, 5, None, {size})  # ALG_SET_AEAD_AUTHSIZE"
                )
        self.lines.append("request = bound.accept()[0]")

    def _key(self) -> str:
        size = self.key.rpartition("key")[2] or "16"
        header = 'struct.pack("=HH", 8, 1) + struct.pack(">I", 16) + '
        return f"{header if self.key.startswith('authenc') else ''}key[:{size}]"

    def add(self, call: str, answer: str, told: str, last: bool) -> None:
        verb, *words = call.split()
        size = int(words[0]) if words and words[0].isdigit() else 0
        write = getattr(self, f"_{verb}")
        *before, statement = write(size, words)
        self.lines += before
        comment = f"  # {told}"
        if not last and _REFUSED.search(answer.rpartition(", ")[2]):
            self.lines.append(f"with contextlib.suppress(OSError):{comment}")
            self.lines.append(f"    {statement}")
        else:
            self.lines.append(f"{statement}{comment}")
        taken = re.search(r"fed (\d+)", answer) if verb == "wait" else re.match(r"\d+$", answer)
        if taken and verb in {"send", "splice", "wait"}:
            self.sent += int(taken.group().removeprefix("fed "))
        if verb == "clone" and answer == "ok":
            self.requests += 1

    def _data(self, size: int) -> str:
        return f"data[{self.sent}:{self.sent + size}]"

    def _send(self, size: int, words: list[str]) -> list[str]:
        control = []
        for word in words:
            if word in _OPS:
                control.append(f'(279, 3, struct.pack("=I", {_OPS[word]}))')
            elif word.startswith("iv"):
                iv = word.removeprefix("iv")
                control.append(f'(279, 2, struct.pack("=I", {iv}) + key[:{iv}])')
            elif word.startswith("assoclen"):
                length = word.removeprefix("assoclen")
                control.append(f'(279, 4, struct.pack("=I", {length}))')
            elif word.startswith("cmsg"):
                control.append(f'(279, {word.removeprefix("cmsg")}, b"")')
        flags = "socket.MSG_DONTWAIT" + (" | socket.MSG_MORE" if "more" in words else "")
        vector = f"[{self._data(size)}]" if size else "[]"
        return [f"print(request.sendmsg({vector}, [{', '.join(control)}], {flags}))"]

    def _splice(self, size: int, words: list[str]) -> list[str]:
        lines = []
        if not self.splices:
            self.splices = True
            lines += [
                'file = os.memfd_create("data")',
                "os.write(file, data)",
                "reader, writer = os.pipe()",
            ]
        lines.append(f"os.splice(file, writer, {size}, offset_src={self.sent})")
        flags = 6 if "more" in words else 2
        comment = "flags=6: SPLICE_F_MORE" if flags == 6 else ""
        statement = f"print(os.splice(reader, request.fileno(), {size}, flags={flags}))"
        return [*lines, *([f"# {comment}"] if comment else []), statement]

    def _recv(self, size: int, words: list[str]) -> list[str]:
        buffer = f'buffer = bytearray(b"\\xa5" * {size})  # shows what is not written'
        pieces = int(words[words.index("in") + 1]) if "in" in words else 1
        step = -(-size // pieces) or 1
        if pieces == 1:
            views = "[buffer]"
        else:
            parts = (f"view[{at}:{min(at + step, size)}]" for at in range(0, size, step))
            views = f"[{', '.join(parts)}]"
        lines = [buffer, *(["view = memoryview(buffer)"] if pieces > 1 else [])]
        receive = f"request.recvmsg_into({views}, 0, socket.MSG_DONTWAIT)[0]"
        return [*lines, f"print({receive}, buffer.hex())"]

    def _wait(self, size: int, words: list[str]) -> list[str]:
        fed = int(words[words.index("fed") + 1]) if "fed" in words else None
        lines = [
            f'buffer = bytearray(b"\\xa5" * {size})  # shows what is not written',
            "# SIGALRM tells after 2 s that the call below waits, and ends the program after 4.",
            'signal.signal(signal.SIGALRM, lambda *_: print("it waits") '
            "or signal.signal(signal.SIGALRM, signal.SIG_DFL))",
            "signal.setitimer(signal.ITIMER_REAL, 2, 2)",
        ]
        if fed is not None:
            vector = f"[{self._data(fed)}]" if fed else "[]"
            lines.append(f"threading.Timer(1, request.sendmsg, ({vector},)).start()")
        return [*lines, "print(request.recv_into(buffer), buffer.hex())"]

    def _clone(self, _size: int, _words: list[str]) -> list[str]:
        return [f"request{self.requests} = request", "request = request.accept()[0]"]

    def _shutdown(self, _size: int, _words: list[str]) -> list[str]:
        return ["request.shutdown(socket.SHUT_WR)"]

    def _rekey(self, _size: int, _words: list[str]) -> list[str]:
        plain = self.key.rpartition("key")[2] or "16"
        return [f"bound.setsockopt(279, 1, key[:{plain}])"]

    def _sndbuf(self, size: int, _words: list[str]) -> list[str]:
        return [f"request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {size})"]

    def _rcvbuf(self, size: int, _words: list[str]) -> list[str]:
        return [f"request.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, {size})"]
