"""Programs that a guest runs: those that do not end in time, those that repeat, what they store."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.locations import suite_dir
from harness.model import Cause
from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def programs() -> ModuleType:
    return suite_module("programs")


@pytest.mark.parametrize(
    ("code", "cause"),
    [("while True: pass", Cause.HOST), ("import signal; signal.pause()", Cause.OTHER)],
)
def test_no_end_in_time(
    programs: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    cause: Cause,
) -> None:
    monkeypatch.setattr(programs, "_SECONDS", 1.5)
    # A machine that gives a busy program less than a tenth of the time is as good as none.
    monkeypatch.setattr(programs, "_BUSY", 0.1)
    runner = programs.Runner(tmp_path, nobody=False)
    with pytest.raises(programs.Unfinished) as ended:
        runner.run([sys.executable, "-S", "-E", "-c", code])
    assert ended.value.reason.cause is cause
    assert "no end within 1.5 s" in str(ended.value)


#: Repeats something until it took a second by the clock, as cryptsetup's benchmark does.
_REPEATING = """
import sys, time
took, count = 0.0, 0
while took < 1.0:
    begun, used = time.monotonic(), time.process_time()
    with open(sys.argv[1], "a") as file:
        file.write("x")
    while time.process_time() - used < 0.08:
        pass
    took += time.monotonic() - begun
    count += 1
print(count)
"""


def test_what_repeats_for_a_second_repeats_little(programs: ModuleType, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.touch()
    argv = [sys.executable, "-I", "-S", "-c", _REPEATING, str(made)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    programs.hasten([process], lambda: {process.pid: made.stat().st_size}, time.monotonic() + 60)
    assert process.poll() == 0, "it has come to its end"
    said, _ = process.communicate()
    assert int(said) <= 3


def test_at_the_deadline_nothing_stays_stopped(programs: ModuleType) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        programs.hasten([process], lambda: {process.pid: 1}, time.monotonic() + 0.3)
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert state not in {"T", "t"}
    finally:
        process.kill()
        process.wait()


def test_what_an_open_container_stores() -> None:
    """The constants of the suite, by another program's AES-XTS."""
    path = suite_dir() / "consumers/test_programs.py"
    values = {
        target.id: statement.value
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    text = hashlib.shake_256(b"consumers").digest(4096)
    cipher = algorithms.AES(hashlib.shake_256(b"volume key").digest(64))
    sectors = [
        Cipher(cipher, modes.XTS(number.to_bytes(16, "little"))).encryptor().update(data)
        for number, data in enumerate((text[:512], text[512:1024]))
    ]
    assert ast.literal_eval(values["STORED"]) == tuple(sector[:16].hex() for sector in sectors)
    stored = hashlib.sha256(b"".join(sectors)).hexdigest()
    assert ast.literal_eval(values["STORED_SHA256"]) == stored
