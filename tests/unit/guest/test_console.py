"""The console scanner, on logs of real guests and on the kernel's own message formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.guest.console import find_marker, scan
from tests.unit.console_logs import scan_log


@pytest.mark.parametrize("name", ["clean-6.12.43.log", "clean-7.3.4.log"])
def test_a_clean_boot_has_no_events(name: str) -> None:
    assert scan_log(name) == []


def test_a_panic_is_charged_to_the_test_that_ran() -> None:
    (event,) = scan_log("panic-6.12.43.log")
    assert event.kind == "panic"
    assert event.title == "Kernel panic - not syncing: sysrq triggered crash"
    assert event.test == "crashsuite/test_c.py::test_crash"
    assert any("sysrq_handle_crash" in line for line in event.lines), "the call trace is kept"


def test_a_hung_task_is_seen() -> None:
    events = scan_log("hung-task-6.12.43.log")
    assert events[0].kind == "hung_task"
    assert "blocked for more than 20 seconds" in events[0].title
    assert events[0].test == "hungtask/test_t.py::test_frozen_write"


#: One header of each kind, in the words of the kernel's source (see console.py).
_HEADERS = [
    ("panic", "Kernel panic - not syncing: Fatal exception"),
    ("kasan", "BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80"),
    ("kfence", "BUG: KFENCE: out-of-bounds read in hash_recvmsg+0x1c/0x200"),
    ("kcsan", "BUG: KCSAN: data-race in af_alg_sendmsg / af_alg_wait_for_data"),
    ("ubsan", "UBSAN: array-index-out-of-bounds in crypto/algif_hash.c:101:12"),
    ("lockdep", "WARNING: possible circular locking dependency detected"),
    ("lockdep", "WARNING: suspicious RCU usage"),
    ("lockdep", "[ BUG: Invalid wait context ]"),
    ("soft_lockup", "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [python3:101]"),
    ("rcu_stall", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
    ("rcu_stall", "rcu: INFO: rcu_preempt self-detected stall on CPU"),
    ("hung_task", "INFO: task python3:101 blocked for more than 20 seconds."),
    ("oops", "BUG: kernel NULL pointer dereference, address: 0000000000000010"),
    ("oops", "BUG: unable to handle page fault for address: ffffed1000000000"),
    ("oops", "Oops: general protection fault, probably for non-canonical address 0xdead: 0000"),
    ("oops", "kernel BUG at crypto/af_alg.c:1203!"),
    ("bug", "BUG: sleeping function called from invalid context at crypto/algapi.c:12"),
    ("warning", "WARNING: CPU: 1 PID: 101 at crypto/af_alg.c:1203 af_alg_sendmsg+0x7a/0x9c0"),
    ("warning", "WARNING: crypto/af_alg.c:1203 at af_alg_sendmsg+0x7a/0x9c0, CPU#1: python3/101"),
    ("list_corruption", "list_del corruption. prev->next should be ffff8881, but was dead"),
    ("leak", "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"),
]


@pytest.mark.parametrize("prefix", ["[    5.956225] ", "[    5.956225][  T101] ", "<4>[   12.1] "])
@pytest.mark.parametrize(("kind", "header"), _HEADERS)
def test_each_kind_is_recognised(kind: str, header: str, prefix: str) -> None:
    (event,) = scan([(1.0, prefix + header), (1.1, prefix + "Call Trace:")])
    assert (event.kind, event.title) == (kind, header)
    assert len(event.lines) == 2


@pytest.mark.parametrize(
    "line",
    [
        "clocksource: Watchdog remote CPU 1 read timed out",
        'virtme-ng-init: WARNING: failed to run: "ip" link set dev lo up',
        "DMAR: [Firmware Bug]: No firmware reserved region",
        "afalg-harness: start security/test_bugs.py::test_BUG",
        "x86/mm: Checked W+X mappings: passed, no W+X pages found.",
    ],
)
def test_harmless_lines_are_no_events(line: str) -> None:
    assert scan([(1.0, "[    5.956225] " + line)]) == []


def test_allocations_that_were_made_to_fail_are_no_events() -> None:
    lines = [
        "FAULT_INJECTION: forcing a failure.",
        "name failslab, interval 1, probability 0, space 0, times 0",
        "CPU: 1 UID: 0 PID: 93 Comm: python3 Not tainted 7.3.0 #1 PREEMPT(none)",
        "Call Trace:",
        " <TASK>",
        " dump_stack_lvl+0x4e/0x70",
        " should_fail_ex+0x12e/0x150",
        " sock_kmalloc+0x3a/0x70",
        " </TASK>",
        "SLUB: Unable to allocate memory on CPU 1 (of node 0) on node -1, gfp=0xcc0(GFP_KERNEL)",
        "  cache: kmalloc-4k, object size: 4096, buffer size: 4096, default order: 3, min order: 0",
    ]
    assert scan([(1.0, "[    5.956225] " + line) for line in lines]) == []


def test_an_oops_with_two_headers_is_one_event() -> None:
    lines = [
        "[  9.1] BUG: kernel NULL pointer dereference, address: 0000000000000010",
        "[  9.1] #PF: supervisor read access in kernel mode",
        "[  9.1] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI",
        "[  9.1] RIP: 0010:af_alg_sendmsg+0x1/0x2",
        "[  9.2] ---[ end trace 0000000000000000 ]---",
        "[  9.3] Kernel panic - not syncing: Fatal exception",
    ]
    assert [event.kind for event in scan([(1.0, line) for line in lines])] == ["oops", "panic"]


def test_a_report_cut_off_by_the_end_is_kept() -> None:
    (event,) = scan(
        [(1.0, "[  9.1] kernel BUG at crypto/af_alg.c:1!"), (1.0, "[  9.1] RIP: 0010:x")]
    )
    assert event.lines[-1].endswith("RIP: 0010:x")


@pytest.mark.parametrize(
    ("line", "marker"),
    [
        (
            "[    5.956225] afalg-harness: start a.py::test[x y]",
            "afalg-harness: start a.py::test[x y]",
        ),
        ("[    5.956225][  T101] afalg-harness: end", "afalg-harness: end"),
        ("afalg-harness: hello 00ff ", "afalg-harness: hello 00ff"),
        # A program was printing when the kernel spoke.
        ("half a li[    5.956225] afalg-harness: start a", "afalg-harness: start a"),
        # The kernel speaks of something that is called so.
        ("[    5.956225] process 'afalg-harness: start a' launched", ""),
        ("[    5.956225] note: afalg-harness: start a", ""),
        ("[    5.956225] afalg-harness: ending", ""),
        ("[    5.956225] afalg-harness: no virtio-serial port", ""),
    ],
)
def test_markers_are_the_kernels_own_lines(line: str, marker: str) -> None:
    assert find_marker(line) == marker


_FRAGMENTS = st.sampled_from(
    [header for _, header in _HEADERS]
    + ["[    5.956225] ", "<4>[   12.1] ", "afalg-harness: start a.py::test_x", "Call Trace:"]
    + ["afalg-harness: end", "---[ end trace 0000000000000000 ]---", "=" * 30]
)
_LINES = st.lists(_FRAGMENTS | st.text(max_size=20), max_size=4).map("".join)


@given(st.lists(_LINES, max_size=20))
def test_no_console_raises_and_no_line_is_in_two_reports(lines: list[str]) -> None:
    events = scan((float(number), line) for number, line in enumerate(lines))
    reported = [line for event in events for line in event.lines]
    assert len(reported) <= len(lines)
    assert [event.seconds for event in events] == sorted(event.seconds for event in events)
    begun = {find_marker(line).removeprefix("afalg-harness: start ") for line in lines}
    assert {event.test for event in events} <= begun | {""}


def test_a_program_that_speaks_meanwhile_is_not_in_the_report() -> None:
    lines = [
        "xxxxx[  178.138523] BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80",
        "xxxxxxxxxx",
        "[  178.138656] Read of size 8 at addr ffff888003a1c000 by task python3/180",
        "xxxxx[  178.153307] ---[ end trace 0000000000000000 ]---",
        "xxxxxxxxxx",
    ]
    (event,) = scan([(1.0, line) for line in lines])
    assert event.title == "BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80"
    assert [line[:14] for line in event.lines] == [
        "[  178.138523]",
        "[  178.138656]",
        "[  178.153307]",
    ]
