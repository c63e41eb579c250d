"""What the code of kernels at hand says of a bisect's check, before any of them is booted.

Which kernels are at hand is the scout's doing (``scout.py``), and that of earlier commands.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.bisect.check import BisectCheck
from harness.bisect.ends import Ends
from harness.judge.facts import way_of
from harness.kernels.cache.kernel_store import KernelStore
from harness.kernels.sources import KernelSources
from harness.kernels.spec import ReleaseSpec, parse_spec
from harness.model import CodeWord, State
from harness.static.reading import read_code

_STATES = {CodeWord.CAN: State.PRESENT, CodeWord.CANNOT: State.ABSENT}


@dataclass(frozen=True)
class CodeWords:
    """Asks the code of those kernels of the archive that the cache holds already."""

    check: BisectCheck
    sources: KernelSources

    def tell(self, ends: Ends) -> bool:
        """Whether such words can tell one end's value from the other's."""
        return self.are_of_the_check and {ends.old, ends.new} == set(_STATES.values())

    @property
    def are_of_the_check(self) -> bool:
        """Whether code says anything of what is checked: a zero-copy path."""
        return self.check.kind == "fact" and way_of(self.check.name) != ""

    def can_be_read(self, spec: str) -> bool:
        """Whether ``spec`` names a kernel of which there could be a word: no build is needed."""
        return isinstance(parse_spec(spec), ReleaseSpec)

    def value(self, spec: str) -> str:
        """``present`` or ``absent``, as the code has it; "" if it is silent, or not at hand."""
        parsed = parse_spec(spec)
        if not isinstance(parsed, ReleaseSpec):
            return ""
        try:
            store = KernelStore(self.sources.cache.absolute())
            kernel = store.recall(parsed.release, spec)
        except (OSError, ValueError, KeyError):  # a damaged cache: seen when it is needed
            return ""
        if kernel is None:
            return ""
        words = {finding.way: finding.word for finding in read_code(kernel)}
        return str(_STATES.get(words[way_of(self.check.name)], ""))
