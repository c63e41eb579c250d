"""The first answer of a kernel, while its guest still runs: is zero-copy gone, is the page cache
safe?

The suite runs first what that takes (its tests marked ``first_answer``): each path in one shape.
Next come the other shapes and algorithms (``widens_first_answer``); it is said again where they
change it. What is said rests on the same observations as the verdict, and is said by the same
words; what all tests handed over is known at the end of a run alone.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

from harness.faults import tell
from harness.guest.heard import Heard
from harness.judge.facts import in_first_answer, widens_first_answer
from harness.judge.settle import settled
from harness.merge import together
from harness.model import CodeFinding, Fact, Facts, KernelResult, Role, Status, TestResult
from harness.progress import Progress, Tone
from harness.report.answer import PageCache, ZeroCopy, page_cache, zero_copy
from harness.report.screen import zero_copy_in_words

_TONES = {"gone": Tone.GOOD, "safe": Tone.GOOD, "present": Tone.BAD, "WRITABLE": Tone.BAD}


class FirstAnswer:
    """Says the first answer of one kernel as soon as it stands, and what changes it.

    ``heed`` and ``read`` may be called by different threads. A kernel that dies on the way is
    heard again in its next boot: what was seen before counts.
    """

    def __init__(self, spec: str, role: Role, progress: Progress, log: Path) -> None:
        """``log`` is the directory for details of a fault of ours."""
        self._spec, self._role, self._progress, self._log = spec, role, progress, log
        self._lock = threading.Lock()
        self._boots: list[Heard] = []
        self._awaited: list[frozenset[str]] = []  # ids of the tests of each answer to come
        self._code: tuple[CodeFinding, ...] | None = None
        self._told = ""  # the last answer
        self._nothing_more = False
        #: Set once the first answer is said, or it is known that there will be none.
        self.is_over = threading.Event()

    def heed(self, heard: Heard) -> None:
        """Look whether the guest has said all that it takes; called after each of its records."""
        if self._nothing_more or not heard.plan:
            return
        with self._lock:
            if not self._boots:
                for belongs in (in_first_answer, widens_first_answer):
                    self._awaited.append(frozenset(filter(belongs, heard.plan)))
                if not self._awaited[0]:  # none was selected
                    self._end()
                    return
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
        while self._awaited and self._code is not None and self._boots:
            if not all(map(self._has_ended, self._awaited[0])):
                return
            self._awaited.pop(0)
            try:
                answer, tone = self._answer(self._code)
            except Exception as error:  # noqa: BLE001  (ours, and no reason to end the boot)
                self._say(f"no first answer: {tell(error, self._log).line}", Tone.PLAIN)
                self._end()
                return
            seconds = sum(heard.last_seconds for heard in self._boots)
            if not self._told:
                more = "; other shapes and algorithms follow" if any(self._awaited) else ""
                self._say(f"first answer after {seconds:.1f} s: {answer}{more}", tone)
            elif answer != self._told:
                self._say(f"after {seconds:.1f} s, all shapes and algorithms: {answer}", tone)
            self._told = answer
            if not self._awaited:
                self._end()

    def _has_ended(self, test: str) -> bool:
        return any(test in heard.tests for heard in self._boots)

    def _answer(self, code: tuple[CodeFinding, ...]) -> tuple[str, Tone]:
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
        return _in_words(copies, cache), self._tone(copies, cache)

    def _say(self, words: str, tone: Tone) -> None:
        self._progress.answers(self._spec, words, tone)
        self.is_over.set()

    def _end(self) -> None:
        """Nothing more will be said."""
        self._nothing_more = True
        self._awaited.clear()
        self._boots.clear()
        self.is_over.set()

    def _tone(self, copies: ZeroCopy, cache: PageCache) -> Tone:
        if self._role is Role.BASELINE:
            return Tone.PLAIN  # it is shown and not judged
        return max(_TONES.get(word, Tone.DOUBTFUL) for word in (copies.word, cache.word))


def _in_words(copies: ZeroCopy, cache: PageCache) -> str:
    """``zero-copy gone, 33 of 33 skcipher and aead inputs copied; page cache safe``."""
    told = zero_copy_in_words(copies, None)
    words = f"zero-copy {copies.word}{', ' if told else ''}{told}; page cache {cache.word}"
    return words if cache.word in _TONES else f"{words}: {cache.why}"
