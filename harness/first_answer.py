"""The first answer of a kernel, while its guest still runs: is zero-copy gone, is the page cache
safe?

The suite runs first what that takes (its tests marked ``first_answer``). What is said then
rests on the same observations as the verdict, and is said by the same words; what all tests
handed over is known at the end of a run alone.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

from harness.faults import tell
from harness.guest.heard import Heard
from harness.judge.facts import in_first_answer
from harness.judge.settle import settled
from harness.merge import together
from harness.model import CodeFinding, Fact, Facts, KernelResult, Role, Status, TestResult
from harness.progress import Progress, Tone
from harness.report.answer import PageCache, ZeroCopy, page_cache, zero_copy
from harness.report.screen import zero_copy_in_words

_TONES = {"gone": Tone.GOOD, "safe": Tone.GOOD, "present": Tone.BAD, "WRITABLE": Tone.BAD}


class FirstAnswer:
    """Says the first answer of one kernel once, as soon as it stands.

    ``heed`` and ``read`` may be called by different threads. A kernel that dies on the way is
    heard again in its next boot: what was seen before counts.
    """

    def __init__(self, spec: str, role: Role, progress: Progress, log: Path) -> None:
        """``log`` is the directory for details of a fault of ours."""
        self._spec, self._role, self._progress, self._log = spec, role, progress, log
        self._lock = threading.Lock()
        self._boots: list[Heard] = []
        self._awaited: frozenset[str] = frozenset()  # ids of tests
        self._code: tuple[CodeFinding, ...] | None = None
        self._told = False

    def heed(self, heard: Heard) -> None:
        """Look whether the guest has said all that it takes; called after each of its records."""
        if self._told or not heard.plan:
            return
        with self._lock:
            if not self._boots:
                self._awaited = frozenset(filter(in_first_answer, heard.plan))
                self._told = not self._awaited  # none was selected
            if heard not in self._boots:
                self._boots.append(heard)
            self._tell_if_it_stands()

    def read(self, reading: Future[tuple[CodeFinding, ...]]) -> None:
        """Know what the kernel's code says. Where that failed, no first answer stands."""
        if reading.exception() is not None:
            return  # whoever waits for it gets that
        with self._lock:
            self._code = reading.result()
            self._tell_if_it_stands()

    def _tell_if_it_stands(self) -> None:
        if self._told or self._code is None or not self._boots:
            return
        if not all(any(test in heard.tests for heard in self._boots) for test in self._awaited):
            return
        self._told = True
        try:
            words, tone = self._words(self._code)
        except Exception as error:  # noqa: BLE001  (ours, and no reason to end the boot)
            words, tone = f"no first answer: {tell(error, self._log).line}", Tone.PLAIN
        self._boots.clear()
        self._progress.answers(self._spec, words, tone)

    def _words(self, code: tuple[CodeFinding, ...]) -> tuple[str, Tone]:
        facts: dict[str, Fact] = {}
        tests: dict[str, TestResult] = {}
        for heard in self._boots:
            tests.update(heard.tests)
            for name, fact in heard.facts.items():
                facts[name] = together(facts.get(name), fact)
        kernel = settled(
            KernelResult(
                spec=self._spec,
                release="",
                role=self._role,
                status=Status.COMPLETED,
                plan=self._boots[0].plan or (),
                tests=tuple(tests.values()),
                facts=Facts.of(facts),
                code=code,
            )
        )
        copies, cache = zero_copy(kernel), page_cache(kernel)
        seconds = sum(heard.last_seconds for heard in self._boots)
        words = f"first answer after {seconds:.1f} s: {_in_words(copies, cache)}"
        return words, self._tone(copies, cache)

    def _tone(self, copies: ZeroCopy, cache: PageCache) -> Tone:
        if self._role is Role.BASELINE:
            return Tone.PLAIN  # it is shown and not judged
        return max(_TONES.get(word, Tone.DOUBTFUL) for word in (copies.word, cache.word))


def _in_words(copies: ZeroCopy, cache: PageCache) -> str:
    """``zero-copy gone, 33 of 33 skcipher and aead inputs copied; page cache safe``."""
    told = zero_copy_in_words(copies, None)
    words = f"zero-copy {copies.word}{', ' if told else ''}{told}; page cache {cache.word}"
    return words if cache.word in _TONES else f"{words}: {cache.why}"
