"""What is asked of the two ends of a bisect, and what tells one from the other."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from harness.bisect.check import BisectCheck, expected_value, is_as_expected
from harness.bisect.state import Step
from harness.bisect.strategy import Answer
from harness.errors import InputError
from harness.model import Outcome


@dataclass(frozen=True)
class Ends:
    """What the two ends are: the values that tell old from new.

    ``find`` is the value that only one of them has, whatever the others have in its place;
    "" if each end's own value is what a kernel must have to be like it.
    """

    old: str
    new: str
    find: str = ""

    def answer(self, value: str) -> Answer:
        """What a kernel with that value is."""
        if not value:
            return Answer.SKIP
        if self.find:
            wanted = Answer.NEW if self.new == self.find else Answer.OLD
            other = Answer.OLD if wanted is Answer.NEW else Answer.NEW
            return wanted if value == self.find else other
        if value == self.old:
            return Answer.OLD
        return Answer.NEW if value == self.new else Answer.SKIP

    def differ(self) -> bool:
        """Whether there is anything to look for between them."""
        if not self.old or not self.new:
            return False
        if self.find:
            return (self.old == self.find) != (self.new == self.find)
        return self.old != self.new


@dataclass(frozen=True)
class Question:
    """What a bisect was asked, the older end before the newer one.

    ``find`` is the value that --find asks for, "" without it; ``options`` are further words
    of the command line, for a command that asks the same in other words.
    """

    check: BisectCheck
    names: tuple[str, str]  # the user's words for the ends: good and bad, or old and new
    specs: tuple[str, str]  # the ends as the user wrote them
    find: str = ""
    options: tuple[str, ...] = ()

    def reversed(self) -> Question:
        """The same of ends that were given the newer one first."""
        # Old and new are words for their age, good and bad for what they are.
        names = self.names if "old" in self.names else (self.names[1], self.names[0])
        return replace(self, names=names, specs=(self.specs[1], self.specs[0]))

    def ends(self, old: Step, new: Step) -> Ends:
        """What the ends are, now that they were tested.

        Raises InputError if "good" and "bad" contradict what is expected of any kernel: the
        bisect would call the mended kernel the first bad one.
        """
        find = self.find
        passed = str(Outcome.PASSED)
        if not find and self.check.kind in ("test", "command") and passed in (old.value, new.value):
            find = passed  # failed, crashed, timed out: none of them is what passes
        ends = Ends(old.value, new.value, find)
        if ends.differ():
            self._refuse_contradiction({self.names[0]: old.value, self.names[1]: new.value})
        return ends

    def _refuse_contradiction(self, values: dict[str, str]) -> None:
        if "good" not in values:
            return
        good, bad = values["good"], values["bad"]
        if is_as_expected(self.check, good) or not is_as_expected(self.check, bad):
            return
        expected = expected_value(self.check)
        raise InputError(
            f"{self.check.name} is {good} on the good end and {bad} on the bad one, but"
            f" {expected} is what is expected; to find where it changed use --old/--new --find:"
            f" {self._in_other_words(values[self.names[1]])}"
        )

    def _in_other_words(self, newer: str) -> str:
        """The command that finds where the check became ``newer``."""
        argv = ["afalg-harness", "bisect", "--old", self.specs[0], "--new", self.specs[1]]
        if self.check.kind == "command":
            argv += ["--command", self.check.name]
        else:
            argv += ["--find", f"{self.check.name}={newer}"]
        return shlex.join([*argv, *self.options])
