"""The account of what the whole suite handed over, made of calls that kprobes report."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def handovers() -> ModuleType:
    for name in ("libc", "pages", "tracing"):
        suite_module(name)
    return suite_module("handovers")


@pytest.fixture
def ledger(handovers: ModuleType) -> Any:
    return handovers.Ledger()


def calls(*told: str, thread: int = 7) -> list[Any]:
    """Calls of one thread: ``copy_0 bytes=5``."""
    call = suite_module("tracing").Call
    split = [one.partition(" ") for one in told]
    return [call(str(thread), event, "", arguments) for event, _, arguments in split]


def hear(ledger: Any, *told: str, thread: int = 7, lost: bool = False) -> None:
    ledger.hear(suite_module("tracing").Heard(calls(*told, thread=thread), lost))


COPIED = ("begin", "skcipher_send", "copy_0 bytes=100", "copy_1 bytes=4000", "end taken=4100")
SHARED = ("begin", "aead_send_nokey", "aead_send", "end taken=4096")


def test_what_was_copied(ledger: Any) -> None:
    hear(ledger, *COPIED, *COPIED)
    ledger.close_test("a")
    tally = ledger.tallies["skcipher"]
    assert (tally.splices, tally.taken, tally.shared, tally.tests) == (2, 8200, 0, {"a"})
    assert tally.describe() == (
        "2 splices of 8200 bytes in 1 tests: all bytes copied by af_alg_sendmsg()"
    )
    assert ledger.tallies["aead"].splices == 0


def test_what_was_not_is_charged_to_its_test(ledger: Any) -> None:
    hear(ledger, *COPIED)
    ledger.close_test("a")
    hear(ledger, *SHARED)
    ledger.close_test("b")
    hear(ledger, *SHARED)
    ledger.close_test("c")
    tally = ledger.tallies["aead"]
    assert (tally.splices, tally.shared) == (2, 2)
    assert tally.describe().endswith("first in b (4096 bytes, of which 0 copied)")
    assert ledger.tallies["skcipher"].shared == 0


def test_what_was_copied_in_part_was_shared_in_part(ledger: Any) -> None:
    hear(ledger, "begin", "skcipher_send", "copy_0 bytes=4095", "end taken=4096")
    ledger.close_test("a")
    assert ledger.tallies["skcipher"].shared == 1


def test_threads_are_told_apart(ledger: Any) -> None:
    hear(ledger, "begin", "skcipher_send", thread=1)
    hear(ledger, "begin", "skcipher_send", "copy_0 bytes=16", "end taken=16", thread=2)
    hear(ledger, "copy_0 bytes=32", "end taken=32", thread=1)
    ledger.close_test("a")
    assert (ledger.tallies["skcipher"].splices, ledger.tallies["skcipher"].shared) == (2, 0)


@pytest.mark.parametrize(
    "told",
    [
        ("skcipher_send", "copy_0 bytes=16"),  # a send
        ("begin", "skcipher_send", "end taken=-11"),  # EAGAIN
        ("begin", "skcipher_send", "end taken=0"),
        ("begin", "end taken=4096"),  # into another socket
        ("skcipher_send", "end taken=4096"),  # its beginning was not heard
    ],
)
def test_what_is_no_handover(ledger: Any, told: tuple[str, ...]) -> None:
    hear(ledger, *told)
    ledger.close_test("a")
    assert [tally.splices for tally in ledger.tallies.values()] == [0, 0]


def test_a_splice_that_a_send_of_its_own_thread_precedes(ledger: Any) -> None:
    hear(ledger, "skcipher_send", "copy_0 bytes=4096", "begin", "skcipher_send", "end taken=4096")
    ledger.close_test("a")
    assert ledger.tallies["skcipher"].shared == 1


def test_nothing_is_said_of_a_test_that_was_not_heard_in_full(ledger: Any) -> None:
    hear(ledger, *SHARED, "begin", "skcipher_send", lost=True)
    ledger.close_test("a")
    hear(ledger, "end taken=4096")
    ledger.close_test("b")
    assert ledger.lost == ["a"]
    assert [tally.splices for tally in ledger.tallies.values()] == [0, 0]


def test_calls_in_code(handovers: ModuleType) -> None:
    address = 0xFFFFFFFFC0A10000
    target = 0xFFFFFFFF81234560
    distance = (target - (address + 3 + 5)) & 0xFFFFFFFF
    code = b"\x90\x90\x90\xe8" + distance.to_bytes(4, "little") + b"\xe8\x00\x00\x00\x70\xe8\x01"
    found = handovers._calls(code, address)
    assert found[3] == target
    assert all(0xFFFFFFFF80000000 <= to < 1 << 64 for to in found.values())


def test_a_place_in_a_function_names_its_module() -> None:
    code = suite_module("tracing").Code("af_alg_sendmsg", "af_alg", 0, 64)
    assert code.at(0x355) == "af_alg:af_alg_sendmsg+0x355"
    assert suite_module("tracing").Code("f", "", 0, 64).at(16) == "f+0x10"


def test_without_a_witness_the_session_goes_on() -> None:
    for name in ("unavailable", "af_alg", "probing", "userfault", "sharing", "witness"):
        suite_module(name)
    fixtures = suite_module("zero_copy_fixtures")
    session = fixtures.Session.__new__(fixtures.Session)
    session.tracer = OSError(2, "No such file or directory")
    session.handovers = None
    session.listen_to_all()
    assert str(session.handovers) == "tracefs: No such file or directory"
    session.close()


def test_a_witness_that_fails_in_its_set_up_is_none(
    handovers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Any) -> None:
        raise KeyError("what nobody thought of")

    monkeypatch.setattr(handovers.Handovers, "_set_up", fail)
    with pytest.raises(handovers.NoWitness, match="what nobody thought of"):
        handovers.Handovers(tracer=None)


def test_what_cannot_be_read_is_lost(ledger: Any) -> None:
    hear(ledger, *SHARED)
    ledger.miss()
    ledger.close_test("a")
    assert ledger.lost == ["a"]
