"""The host's side of a guest that measures, with a program of ours in vng's place."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.benchmark import run
from harness.benchmark.guest import CONSOLE, RECORDS, Told, measure, settings
from harness.errors import HarnessError, Interrupted
from harness.guest import vng
from harness.guest.vng import Root
from harness.model import BootableKernel
from tests.unit.benchmark.made import PLAN, SENT

_KERNEL = BootableKernel("debian:x", "6.12", Path("/k/boot/vmlinuz"), None, None, None)
#: Connects as QEMU does; says who it is, and the rest once it has been told what to measure.
_GUEST = """
import json, socket, sys
results, qmp = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
results.connect("results")
qmp.connect("qmp")
print("on the console", flush=True)
ready, *rest = open({sent!r}, "rb").read().splitlines(keepends=True)
results.sendall(ready)
order = json.loads(results.makefile().readline())
assert order == {order}, order
for line in rest: results.sendall(line)
results.recv(1)
"""


def _measure(
    monkeypatch: pytest.MonkeyPatch, place: Path, sent: Path = SENT, stop: bool = False
) -> Told:
    order = json.dumps({"type": "start", **PLAN.order()})
    program = _GUEST.format(sent=str(sent), order=order)
    argv = [sys.executable, "-c", program]
    monkeypatch.setattr(vng, "command", lambda *_, **__: argv)
    how = settings(Root("disk", Path("/root.ext4")), "instructions", "tcg", "max", ("more",))
    stopping = threading.Event()
    if stop:
        stopping.set()
    said: list[str] = []
    told = measure(
        _KERNEL, how, Path("/payload"), PLAN, place, stopping, lambda text, _: said.append(text)
    )
    assert said[0] == "booting" and said[-1] == "measuring"
    return told


def test_guest_has_one_cpu_and_counts() -> None:
    how = settings(Root("disk", Path("/root.ext4")), "instructions", "tcg", "max,-erms", ("more",))
    assert (how.cpus, how.accel, how.program) == (1, "tcg", "benchmark.py")
    assert how.qemu_options == ("-icount", "shift=0,sleep=off", "-cpu", "max,-erms")
    assert how.append[-1] == "more"


def test_all_that_a_guest_sends_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _measure(monkeypatch, tmp_path)
    assert len(told.rows) == PLAN.rows()
    assert told.ready["release"] == "6.12.96+deb13-amd64"
    assert (tmp_path / RECORDS).read_bytes() == SENT.read_bytes()
    assert "on the console" in (tmp_path / CONSOLE).read_text()
    costs = run.costs_of(
        _KERNEL, [{1: run.Counted(told, run.count_of("moves", "max", told, "instructions"))}]
    )
    rows = {row.key: row for row in costs.main.rows}
    assert 5_000 < rows["cbc(aes)", "sendmsg", 16].cost < 50_000
    assert rows["cbc(aes)", "openssl", 16].cost < rows["cbc(aes)", "sendmsg", 16].cost
    run.check_results(_KERNEL, told)


def test_wrong_result_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _measure(monkeypatch, tmp_path)
    first, *others = told.rows
    wrong = replace(told, rows=(first | {"result": "00"}, *others))
    with pytest.raises(HarnessError, match=r"cbc\(aes\) by sendmsg of 16 bytes gave a wrong"):
        run.check_results(_KERNEL, wrong)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"type": "failed", "trace": "Traceback\nKeyError: 'x'\n"}, "in the guest: KeyError: 'x'"),
        ("no record", "sends what no program of ours does"),
        ({"type": "end", "openssl": "", "drivers": {}}, "of 10 rows the guest sent 0"),
        (None, "the guest ended; it said last: on the console"),
    ],
)
def test_guest_that_fails(
    record: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent"
    ready, row = SENT.read_text().splitlines()[:2]
    last = [] if record is None else [json.dumps(record)]
    sent.write_text("\n".join([ready, row, *last]) + "\n")
    if record is None:  # and nothing waits at its end
        monkeypatch.setattr(f"{__name__}._GUEST", _GUEST.replace("results.recv(1)\n", ""))
    with pytest.raises(HarnessError, match=said):
        _measure(monkeypatch, tmp_path, sent)


def test_kernel_without_af_alg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = json.loads(SENT.read_text().splitlines()[0]) | {"af_alg_error": "[Errno 97] x"}
    (sent := tmp_path / "sent").write_text(json.dumps(ready) + "\n")
    with pytest.raises(HarnessError, match=r"debian:x: no AF_ALG: .Errno 97. x"):
        _measure(monkeypatch, tmp_path, sent)


def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        _measure(monkeypatch, tmp_path, stop=True)
