"""The generator of call sequences: same seed, same sequences; bounded; safe to run."""

from __future__ import annotations

from random import Random
from types import ModuleType

import pytest

from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def sequences() -> ModuleType:
    return suite_module("sequences")


def texts(sequences: ModuleType, seed: str) -> list[str]:
    """All programs of a seed, for every subject."""
    random = Random(seed)
    return [
        sequences.text_of(subject, program)
        for subject in sequences.SUBJECTS
        for program in sequences.programs(sequences.draw(subject, random), subject)
    ]


def test_the_stream_says_where_a_byte_stood(sequences: ModuleType) -> None:
    assert bytes((7 * i + i // 251) % 256 for i in range(8 * 8192)) == sequences.STREAM


def test_seed_decides(sequences: ModuleType) -> None:
    assert texts(sequences, "1") == texts(sequences, "1")
    assert texts(sequences, "1") != texts(sequences, "2")


def test_bounded(sequences: ModuleType) -> None:
    most = len(sequences.SUBJECTS) * 2 ** (sequences.LONGEST - 1)
    for seed in map(str, range(20)):
        found = texts(sequences, seed)
        assert most / 2 < len(found) <= most
        assert sum(map(len, found)) < 120 * most


def test_beginnings_and_ends_make_all_subsequences(sequences: ModuleType) -> None:
    subject = sequences.SUBJECTS[0]
    calls = tuple(sequences.Call("send", size) for size in range(4))
    programs = list(sequences.programs(calls, subject))
    beginnings = {program[:end] for program in programs for end in range(1, len(program) + 1)}
    assert len(programs) == 8
    assert len(beginnings) == 15
    assert [len(program) for program in programs] == sorted(map(len, programs))


def test_reaches_what_matters(sequences: ModuleType) -> None:
    found = " ".join(text for seed in range(10) for text in texts(sequences, str(seed)))
    words = (
        *("send 0", "send 24 more", "splice 16 more", "recv 0", "recv 15", "recv 56 in"),
        *("clone", "shutdown", "rekey", "sndbuf 1", "rcvbuf 1", "wait 56 fed"),
        *("enc iv16", "dec iv16", "iv17", "op2", "cmsg9", "assoclen100000", "assoclen2147483648"),
    )
    assert [word for word in words if word not in found] == []


def test_a_splice_never_meets_a_full_buffer(sequences: ModuleType) -> None:
    for seed in map(str, range(50)):
        for text in texts(sequences, seed):
            assert not ("splice" in text and "sndbuf" in text), text


def test_small_reads_of_aead_only_where_all_is_encrypted(sequences: ModuleType) -> None:
    gcm = next(one for one in sequences.SUBJECTS if one.type == "aead")
    call = sequences.Call
    opening = call("send", 32, op="enc", iv=gcm.iv, more=True)
    read = call("recv", 16)
    assert sequences.is_safe((opening, read), gcm)
    assert sequences.is_safe((opening, call("splice", 16), read), gcm)
    assert not sequences.is_safe((call("send", 32), read), gcm)
    assert not sequences.is_safe((call("send", 32, op="dec", iv=gcm.iv), read), gcm)
    assert not sequences.is_safe((opening, call("send", 1, iv=gcm.iv), read), gcm)
    assert not sequences.is_safe((call("wait", 16, fed=32),), gcm)
    assert sequences.is_safe((call("send", 32), call("recv", 1024)), gcm)
