"""What measures in the guest, as far as it can be tried on any host."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.benchmark.run import right_result
from harness.guest.inside import benchmark, ways
from harness.guest.inside.counting import Machine

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")

_BY_NAME = {way.name: way for way in ways.WAYS}
_ALGORITHMS = {one.name: one for one in ways.ALGORITHMS}


@pytest.fixture(scope="module")
def memory() -> ways.Memory:
    """The buffers."""
    return ways.Memory()


@pytest.fixture
def work(memory: ways.Memory) -> Iterator[ways.Work]:
    """Of cbc(aes)."""
    with contextlib.ExitStack() as stack:
        yield ways.Work(Machine(), memory, _ALGORITHMS["cbc(aes)"], keep=stack, stack=stack)


@pytest.mark.parametrize("algorithm", ways.ALGORITHMS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["pread+openssl", "openssl"])
@pytest.mark.parametrize("size", [16, 4096, ways.LARGEST])
def test_openssl_gives_the_right_result(
    algorithm: ways.Algorithm, name: str, size: int, memory: ways.Memory
) -> None:
    with contextlib.ExitStack() as stack:
        work = ways.Work(Machine(), memory, algorithm, keep=stack)
        row = benchmark.measure(work, _BY_NAME[name], size, 2)
    assert row["result"] == hashlib.sha256(right_result(algorithm, size)).hexdigest()
    assert len(row["calls"]) == len(row["ticks"])
    assert all(len(ticks) == 2 for ticks in row["ticks"])


def test_other_data_would_be_another_result() -> None:
    algorithm = _ALGORITHMS["gcm(aes)"]
    assert right_result(algorithm, 16) != right_result(algorithm, 64)[:32]
    assert len(right_result(algorithm, 64)) == 64 + ways.TAG


def test_what_is_not_offered_is_a_row_that_says_so(work: ways.Work) -> None:
    def refused(_work: ways.Work, _size: int) -> ways.Message:
        raise OSError(2, "No such file or directory")

    row = benchmark.measure(work, ways.Way("x", refused), 16, 2)
    assert row == {"missing": "No such file or directory: ENOENT"}


def test_a_call_that_fails_is_named(work: ways.Work) -> None:
    def closed(work: ways.Work, size: int) -> ways.Message:
        return lambda _copy: [work.receive(-1, size)]

    row = benchmark.measure(work, ways.Way("x", closed), 16, 2)
    assert row == {"missing": "read: EBADF"}


def test_pieces_are_the_whole_message(work: ways.Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways.Work, "request", lambda _work: 5)
    calls = _BY_NAME["8 pieces"].prepare(work, 4096)(0)
    headers = [work.memory.read(call.arguments[1], 56) for call in calls[:-1]]
    vectors = [struct.unpack("=7Q", header)[2] for header in headers]
    sent = [struct.unpack("=QQ", work.memory.read(vector, 16)) for vector in vectors]
    assert len(sent) == ways.PIECES
    assert sum(length for _, length in sent) == 4096
    assert [at for at, _ in sent] == [
        work.memory.source + sum(length for _, length in sent[:i]) for i in range(len(sent))
    ]
    more = [call.arguments[2] for call in calls[:-1]]
    assert more == [0x8000] * (ways.PIECES - 1) + [0]
    # Control messages come with the first alone.
    assert [bool(struct.unpack("=7Q", header)[5]) for header in headers] == [True] + [False] * 7


def test_the_implementation_of_the_highest_priority_is_told(tmp_path: Path) -> None:
    entry = "name : cbc(aes)\ndriver : {}\ninternal : {}\npriority : {}\n"
    crypto = tmp_path / "crypto"
    crypto.write_text(
        "\n".join(
            (
                entry.format("cbc(aes-generic)", "no", 100),
                entry.format("cbc-aes-aesni", "no", 400),
                entry.format("__cbc-aes-aesni", "yes", 500),
            )
        )
    )
    assert benchmark.drivers(crypto) == {"cbc(aes)": "cbc-aes-aesni"}


def test_what_counting_takes_is_counted_beside_each_message(memory: ways.Memory) -> None:
    # A counter whose every reading is further from the last than that was.
    count = 200
    readings, writing = os.pipe()
    os.write(writing, struct.pack(f"={count}Q", *(number**2 for number in range(count))))
    os.close(writing)
    with contextlib.ExitStack() as stack:
        work = ways.Work(Machine(readings), memory, _ALGORITHMS["sha256"], keep=stack)
        row = benchmark.measure(work, _BY_NAME["openssl"], 16, 2)
    os.close(readings)
    first, second, third = row["ticks"]
    # Three calls and one beside them: each column goes on by four readings.
    assert [one[1] - one[0] for one in (first, second, third, row["nothing"])] == [8] * 4
    assert [second[0] - first[0], third[0] - second[0], row["nothing"][0] - third[0]] == [2] * 3
