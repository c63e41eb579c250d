"""The machine code that makes calls and reads the time stamp counter around them."""

from __future__ import annotations

import ctypes
import errno
import inspect
import os
import platform
import re
import struct
import time

import pytest
from capstone import CS_ARCH_X86, CS_MODE_64, Cs

from harness.guest.inside import counting
from harness.guest.inside.counting import Call, CounterError, Machine, Unexpected, open_counter

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")

_READ, _GETPID, _COPY_FILE_RANGE = 0, 39, 326


def _disassembled(code: bytes) -> list[str]:
    decoded = Cs(CS_ARCH_X86, CS_MODE_64).disasm(code, 0)
    return [f"{one.mnemonic} {one.op_str}".replace("qword ptr ", "").strip() for one in decoded]


def test_code_is_what_its_comment_says() -> None:
    source = inspect.getsource(counting)
    comment = source[source.index("#: ``void run(") : source.index("RUN = ")]
    lines = [line.removeprefix("#:").strip() for line in comment.splitlines()[2:]]
    said = [word.strip() for line in lines for word in line.split(";") if word.strip()]
    labels = ("next", "system", "done")
    # A label of the comment is an address in the code.
    said = [re.sub(rf" ({'|'.join(labels)})$", " LABEL", word) for word in said]
    said = [word for word in said if word.rstrip(":") not in labels]
    seen = [re.sub(r"^(j\w+) 0x\w+$", r"\1 LABEL", text) for text in _disassembled(counting.RUN)]
    assert seen == said
    assert _disassembled(counting.ADD) == ["add dword ptr [rdi], esi", "xor eax, eax", "ret"]
    assert _disassembled(counting.NOTHING) == ["xor eax, eax", "ret"]
    assert [text.partition(" ")[0] for text in _disassembled(counting.LOOP)] == [
        "dec", "jne", "xor", "ret",
    ]  # fmt: skip


def test_jumps_of_the_code_lead_where_its_comment_says() -> None:
    decoded = list(Cs(CS_ARCH_X86, CS_MODE_64).disasm(counting.RUN, 0))
    text = {one.address: one.mnemonic for one in decoded}
    after = {one.mnemonic: int(one.op_str, 16) for one in decoded if one.mnemonic[0] == "j"}
    assert text[after["je"]] == "syscall"
    assert decoded[[one.address for one in decoded].index(after["jmp"])].op_str == "r14, rax"
    assert decoded[[one.address for one in decoded].index(after["jne"])].op_str.startswith("r12")


def test_system_calls_and_functions_are_made() -> None:
    machine = Machine()
    calls = [
        Call("getpid", _GETPID, expected=os.getpid()),
        Call("nothing", function=machine.nothing, expected=0),
        Call("loop", function=machine.loop, arguments=(100_000,), expected=0),
    ]
    ticks = machine.run(calls)
    assert all(one > 0 for one in ticks)
    assert ticks[2] > ticks[1]  # ticks of a clock here; of instructions in a guest


def test_add_goes_on_from_what_is_there() -> None:
    machine, number = Machine(), ctypes.c_uint32(40)
    add = Call("add", function=machine.add, arguments=(ctypes.addressof(number), 1), expected=0)
    machine.run([add, add])
    assert number.value == 42


def test_arguments_arrive_in_order() -> None:
    source, target = os.memfd_create("source"), os.memfd_create("target")
    os.write(source, b"0123456789")
    offsets = (ctypes.c_int64 * 2)()
    first = ctypes.addressof(offsets)
    arguments = (source, first, target, first + 8, 4, 0)  # copy_file_range(2) has six
    Machine().run([Call("copy", _COPY_FILE_RANGE, arguments=arguments, expected=4)])
    assert os.pread(target, 10, 0) == b"0123"
    assert list(offsets) == [4, 4]


def test_unexpected_result_is_told_by_its_name() -> None:
    with pytest.raises(Unexpected) as caught:
        Machine().run([Call("read", _READ, arguments=(-1, 0, 1), expected=1)])
    assert (caught.value.name, caught.value.errno) == ("read", errno.EBADF)


class _Readings:
    """A counter that goes as it is told: 8 bytes for each read()."""

    def __init__(self, *values: int) -> None:
        self.descriptor, writing = os.pipe()
        os.write(writing, struct.pack(f"={len(values)}Q", *values))
        os.close(writing)


def test_counter_is_read_between_any_two_calls() -> None:
    machine = Machine(_Readings(5, 12, 112).descriptor)
    calls = [Call("getpid", _GETPID, expected=os.getpid()), Call("x", function=machine.nothing)]
    assert machine.run(calls) == [7, 100]


def test_counter_that_cannot_be_read_is_no_call_that_failed() -> None:
    # read() of an event that is not counted returns 0, as at the end of a file.
    machine = Machine(_Readings(5).descriptor)
    with pytest.raises(CounterError, match="could not be read: 0"):
        machine.run([Call("getpid", _GETPID)])


def test_call_that_fails_is_told_by_its_name_beside_a_counter_too() -> None:
    machine = Machine(_Readings(5, 6).descriptor)
    with pytest.raises(Unexpected) as caught:
        machine.run([Call("read", _READ, arguments=(-1, 0, 1), expected=1)])
    assert caught.value.name == "read"


def test_what_has_no_event_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(counting._EVENTS, "cycles", (99, 0))  # no such type: ENOENT
    with pytest.raises(CounterError, match="no counter of cycles: perf_event_open: E"):
        open_counter("cycles")


def test_nanoseconds_go_on_by_the_clock() -> None:
    try:
        counter = open_counter("nanoseconds")
    except CounterError as error:  # not everybody may
        pytest.skip(str(error))
    machine = Machine(counter)
    before = time.monotonic_ns()
    ticks = machine.run([Call("loop", function=machine.loop, arguments=(10_000_000,))])
    assert 1_000_000 < ticks[0] <= time.monotonic_ns() - before
    os.close(counter)
