"""Runs a table of prepared calls and reads a counter around each.

An interpreter between two calls would cost more than a short message does. So the calls (system
calls, or functions of C libraries) are laid out in memory with their arguments, and a few lines of
machine code make them one after another. Under QEMU's ``-icount shift=0`` the counter goes up by
one with each instruction that the guest executes (``cpu_get_tsc()`` reads the instruction count;
``softmmu/icount.c``), so the difference is a count of instructions and not a time.

Cycles and nanoseconds are counted by perf_event_open(2), for all that runs on the guest's CPU. Such
a counter is read by read(2), a call of its own between any two of the table.

x86-64 alone, as the guests are.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

#: ``void run(struct call *table, size_t calls)``. ``tests/unit/guest/test_counting.py`` compares
#: it with what a disassembler reads:
#:
#:     push rbx; push rbp; push r12; push r13; push r14; push r15; sub rsp, 8
#:     mov rbx, rdi; mov rbp, rsi
#:   next:
#:     mov r12, [rbx]; mov rdi, [rbx + 0x10]; mov rsi, [rbx + 0x18]; mov r15, [rbx + 0x20]
#:     mov rcx, [rbx + 0x28]; mov r10, rcx; mov r8, [rbx + 0x30]; mov r9, [rbx + 0x38]
#:     lfence; rdtsc; shl rdx, 0x20; lea r13, [rdx + rax]
#:     mov rdx, r15; mov rax, [rbx + 8]
#:     test r12, r12; je system; call r12; jmp done
#:   system:
#:     syscall
#:   done:
#:     mov r14, rax
#:     lfence; rdtsc; shl rdx, 0x20; add rax, rdx; sub rax, r13
#:     mov [rbx + 0x40], r14; mov [rbx + 0x48], rax
#:     add rbx, 0x50; dec rbp; jne next
#:     add rsp, 8; pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret
RUN = bytes.fromhex(
    "5355415441554156415748 83ec08 4889fb 4889f5"
    "4c8b23 488b7b10 488b7318 4c8b7b20 488b4b28 4989ca 4c8b4330 4c8b4b38"
    "0faee8 0f31 48c1e220 4c8d2c02 4c89fa 488b4308 4d85e4 7405 41ffd4 eb02 0f05 4989c6"
    "0faee8 0f31 48c1e220 4801d0 4c29e8 4c897340 48894348 4883c350 48ffcd 759f"
    "4883c408 415f 415e 415d 415c 5d 5b c3"
)
#: ``int add(int *at, int by)``: what a ring in memory that is shared with the kernel needs.
ADD = bytes.fromhex("0137 31c0 c3")  # add [rdi], esi; xor eax, eax; ret
#: ``int nothing(void)``: what is left is the cost of counting.
NOTHING = bytes.fromhex("31c0 c3")  # xor eax, eax; ret
#: ``int loop(long times)``: 2 * times + 2 instructions.
LOOP = bytes.fromhex("48ffcf 75fb 31c0 c3")  # dec rdi; jne -5; xor eax, eax; ret

#: What is counted: by the time stamp counter under -icount, or by an event of perf.
INSTRUCTIONS, CYCLES, NANOSECONDS = "instructions", "cycles", "nanoseconds"
UNITS = (INSTRUCTIONS, CYCLES, NANOSECONDS)
#: Unit -> type and config of a perf event (include/uapi/linux/perf_event.h): of the hardware, the
#: cycles; of software, the clock of a CPU, which goes on whatever runs there.
_EVENTS = {CYCLES: (0, 0), NANOSECONDS: (1, 0)}
_PINNED = 4  # flag: it counts always, or read() returns 0
_EVERYBODY = -1  # instead of one process
_READING, _BYTES = "read the counter", 8
_READ, _PERF_EVENT_OPEN = 0, 298  # arch/x86/entry/syscalls/syscall_64.tbl

_CALL = struct.Struct("=QQ6QqQ")
_UNSIGNED = (1 << 64) - 1
_ERRORS = 4095  # a system call that failed returns -errno (MAX_ERRNO)


@dataclass(frozen=True)
class Call:
    """One call: a system call by its number, or a function by its address."""

    name: str
    number: int = 0
    function: int = 0  # address; 0: a system call
    arguments: tuple[int, ...] = ()
    #: What it has to return; None: anything (a function that returns a pointer, or nothing).
    expected: int | None = None


@dataclass(frozen=True)
class Unexpected(Exception):
    """A call returned what it should not have."""

    name: str
    result: int

    @property
    def errno(self) -> int:
        """Why it failed; 0 if it did not."""
        return -self.result if -_ERRORS <= self.result < 0 else 0


class CounterError(Exception):
    """There is no counter, or it did not count."""


def open_counter(unit: str, cpu: int = 0) -> int:
    """Descriptor of a counter of "cycles" or "nanoseconds" of all that runs on ``cpu``.

    Raises CounterError: for cycles a guest needs a PMU, as under KVM.
    """
    kind, config = _EVENTS[unit]
    # struct perf_event_attr as in PERF_ATTR_SIZE_VER0.
    size = 64
    attributes = struct.pack("=IIQQQQQIIQ", kind, size, config, 0, 0, 0, _PINNED, 0, 0, 0)
    library = ctypes.CDLL(None, use_errno=True)
    place = ctypes.create_string_buffer(attributes, size)
    counter = library.syscall(_PERF_EVENT_OPEN, place, _EVERYBODY, cpu, -1, 0)
    if counter < 0:
        said = errno.errorcode.get(ctypes.get_errno(), "")
        raise CounterError(f"this guest has no counter of {unit}: perf_event_open: {said}")
    return int(counter)


class Machine:
    """The machine code, in memory where it can be executed.

    ``counter`` is the descriptor of what counts; None: the time stamp counter does.
    """

    def __init__(self, counter: int | None = None) -> None:
        self._counter = counter
        self.is_timed = counter is not None  # what is counted differs from call to call
        protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=protection)
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(self._placed(RUN))
        self.add, self.nothing, self.loop = map(self._placed, (ADD, NOTHING, LOOP))

    def _placed(self, code: bytes) -> int:
        """Address of ``code``, copied there."""
        start = self._memory.tell() + 15 & ~15
        self._memory.seek(start)
        self._memory.write(code)
        return ctypes.addressof(ctypes.c_char.from_buffer(self._memory, start))

    def run(self, calls: Sequence[Call]) -> list[int]:
        """Make the calls; returns the ticks that each took. Raises Unexpected, CounterError."""
        if self._counter is None:
            return self._make(calls)
        # A reading before the first call and one after each.
        readings = (ctypes.c_uint64 * (len(calls) + 1))()
        first = ctypes.addressof(readings)
        reads = [
            Call(_READING, _READ, arguments=(self._counter, at, _BYTES), expected=_BYTES)
            for at in range(first, first + _BYTES * len(readings), _BYTES)
        ]
        table = [reads[0]]
        for call, read in zip(calls, reads[1:], strict=True):
            table += [call, read]
        try:
            self._make(table)
        except Unexpected as error:
            if error.name == _READING:
                raise CounterError(f"the counter could not be read: {error.result}") from error
            raise
        return [after - before for before, after in pairwise(readings)]

    def _make(self, calls: Sequence[Call]) -> list[int]:
        table = ctypes.create_string_buffer(
            b"".join(
                _CALL.pack(
                    call.function,
                    call.number,
                    *(argument & _UNSIGNED for argument in call.arguments),
                    *(0,) * (6 - len(call.arguments)),
                    0,
                    0,
                )
                for call in calls
            ),
            _CALL.size * len(calls),
        )
        self._run(ctypes.addressof(table), len(calls))
        ticks = []
        for call, entry in zip(calls, _CALL.iter_unpack(table.raw), strict=True):
            result = entry[-2]
            if call.function:  # of an int the upper half of the register says nothing
                result = ctypes.c_int32(result & 0xFFFFFFFF).value
            if call.expected is not None and result != call.expected:
                raise Unexpected(call.name, result)
            ticks.append(entry[-1])
        return ticks
