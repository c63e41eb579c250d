"""What this kernel answers to seeded sequences of calls; ``compare`` finds what differs.

A test here passes if its sequences ran and gave the same answers when run again. Whether
the answers are right is not for it to say: they are held against another kernel's.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import af_alg
import player
import pytest
import sequences

if TYPE_CHECKING:
    from collections.abc import Mapping

SEEDS = 32
#: Sequences of a seed, all of one algorithm.
SEQUENCES = 2
#: Every so many programs one is played twice.
AGAIN = 9


class RecordTranscripts(Protocol):
    """Type of the ``record_transcripts`` fixture."""

    def __call__(self, transcripts: Mapping[str, str]) -> None: ...


@pytest.mark.parametrize("number", range(SEEDS))
def test_seed(
    number: int, known_answers: dict[str, Any], record_transcripts: RecordTranscripts
) -> None:
    """Every subsequence of a seed's calls is answered alike when it is played again."""
    subject = sequences.SUBJECTS[number % len(sequences.SUBJECTS)]
    random = Random(f"{known_answers['seed']}/{number}")
    transcripts: dict[str, str] = {}
    unsteady: list[str] = []
    try:
        kernel = player.Player(subject)
    except af_alg.NotOffered as refusal:
        refusal.skip()
    with kernel:
        for _ in range(SEQUENCES):
            for order, calls in enumerate(
                sequences.programs(sequences.draw(subject, random), subject)
            ):
                text = sequences.text_of(subject, calls)
                if text in transcripts:
                    continue
                answers = kernel.play(calls)
                if order % AGAIN == 0:
                    again = kernel.play(calls)
                    if again != answers:
                        unsteady.append(f"{text}: {answers}, then {again}")
                        continue
                transcripts[text] = answers
    record_transcripts(transcripts)
    assert not unsteady, f"{len(unsteady)} not deterministic, the first: {unsteady[0]}"
