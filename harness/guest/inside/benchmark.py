"""Measures what messages through AF_ALG cost, for ``afalg-harness benchmark``.

Started like ``agent.py``. One JSON object a line to the host: ``ready`` (who runs here), ``row``
(what one way took for messages of one size, each call of each message), ``end``. The host begins
with ``start``: what to measure. A way that the kernel does not offer is a row with ``missing``.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a file in the unpacked payload, whose top is the import path
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from harness.guest.inside import agent, ways
from harness.guest.inside.counting import INSTRUCTIONS, Call, Machine, Unexpected, open_counter
from harness.guest.inside.shell import Line

#: One of so many messages is sent before those that are counted, and is not.
_WARM_UP = 4
#: Iterations of the loop by which counting itself is checked.
LOOPS = (1_000, 100_000)


def measure(work: ways.Work, way: ways.Way, size: int, messages: int) -> dict[str, Any]:
    """What ``messages`` of ``size`` bytes take by that way: fields of a row."""
    with contextlib.ExitStack() as stack:
        work.stack = stack
        try:
            message = way.prepare(work, size)
            names = [call.name for call in message(0)]
            # What counting takes is told by a call beside those of each message.
            beside = [Call("nothing", function=work.machine.nothing)] * work.machine.is_timed
            calls = [call for copy in range(messages) for call in (*message(copy), *beside)]
            width = len(names) + len(beside)
            work.memory.rewind()
            work.machine.run(calls[: width * -(-messages // _WARM_UP)])
            work.memory.rewind()
            ticks = work.machine.run(calls)
        except Unexpected as error:
            said = errno.errorcode.get(error.errno, f"returned {error.result}")
            return {"missing": f"{error.name}: {said}"}
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, str(error))
            return {"missing": f"{error.strerror}: {said}"}
    length = work.algorithm.result(size)
    result = work.memory.read(work.memory.target, length)[work.algorithm.aad :]
    return {
        "calls": names,
        "ticks": [ticks[at::width] for at in range(len(names))],
        **({"nothing": ticks[len(names) :: width]} if beside else {}),
        "result": hashlib.sha256(result).hexdigest(),
    }


def rows(machine: Machine, order: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every row that is asked for: ``algorithms``, ``ways``, and ``sizes`` with their messages."""
    memory = ways.Memory()
    for algorithm in ways.ALGORITHMS:
        if algorithm.name not in order["algorithms"]:
            continue
        with contextlib.ExitStack() as stack:
            work = ways.Work(machine, memory, algorithm, keep=stack)
            for way in ways.WAYS:
                if way.name not in order["ways"] or algorithm.kind not in way.kinds:
                    continue
                for size, messages in order["sizes"]:
                    if way.least <= size <= way.most:
                        row = measure(work, way, size, messages)
                        yield {
                            "algorithm": algorithm.name,
                            "way": way.name,
                            "size": size,
                            "uptime": float(Path("/proc/uptime").read_text().split()[0]),
                        } | row


def calibration(machine: Machine) -> dict[str, list[int]]:
    """Ticks of a function that does nothing, and of loops of a known length."""
    calls = [Call("nothing", function=machine.nothing)]
    calls += [Call("loop", function=machine.loop, arguments=(times,)) for times in LOOPS]
    machine.run(calls)
    ticks = machine.run(calls * 16)
    return {
        "nothing": ticks[0 :: len(calls)],
        **{str(times): ticks[at :: len(calls)] for at, times in enumerate(LOOPS, 1)},
    }


def await_drivers() -> None:
    """Wait until the kernel's implementations are loaded.

    The shell that started modprobe in the background has become this process.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def drivers(path: Path = Path("/proc/crypto")) -> dict[str, str]:
    """Which implementation of each algorithm the kernel prefers."""
    found: dict[str, tuple[int, str]] = {}
    for block in path.read_text().split("\n\n"):
        lines = (line.partition(":") for line in block.splitlines())
        fields = {key.strip(): value.strip() for key, _, value in lines}
        if fields.get("internal") == "no":
            entry = (int(fields["priority"]), fields["driver"])
            found[fields["name"]] = max(entry, found.get(fields["name"], entry))
    return {one.name: found[one.name][1] for one in ways.ALGORITHMS if one.name in found}


def who_runs() -> dict[str, Any]:
    """What the host is told of this guest."""
    hello = agent.identity()
    flags = [
        line.partition(":")[2].split()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("flags")
    ]
    return {
        "release": hello.release,
        "version": hello.version,
        "build_id": hello.build_id,
        "compiler": hello.compiler,
        "cmdline": hello.cmdline,
        "cpu": hello.cpu,
        "flags": flags[0] if flags else [],
        "af_alg_error": hello.af_alg_error,
        "nonce": hello.nonce,
    }


def main() -> None:
    """Say who runs here, measure what the host asks for, say that it is done."""
    agent.clean_environment()
    line = Line(agent.open_port())
    line.send("ready", **who_runs())
    order, _ = line.start()
    with contextlib.suppress(OSError):  # before 7.3 there is no policy
        agent.RESTRICT.write_text("0")
    await_drivers()
    gc.disable()
    try:
        machine = Machine(None if order["unit"] == INSTRUCTIONS else open_counter(order["unit"]))
        line.send("calibration", **calibration(machine))
        for row in rows(machine, order):
            line.send("row", **row)
    except BaseException:
        line.send("failed", trace=traceback.format_exc())
        raise
    line.send("end", openssl=ways.OpenSsl().version(), drivers=drivers())


if __name__ == "__main__":
    main()
