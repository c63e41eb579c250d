"""What a second guest takes off a kernel's first one: files of tests, by how long they take."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from harness.judge.facts import has_first_answer

#: Says at the end of a guest what all of its tests handed over: each guest is to say so.
_EACH_GUEST = "zero_copy/test_handovers.py"
#: Seconds that tests have to take so that a second boot pays; and what one takes until its tests
#: begin. By the clock of the runs from which times are known.
_WORTH, _BOOT = 60.0, 27.0


def files_beside(files: Sequence[str], seconds: Mapping[str, float]) -> tuple[str, ...]:
    """Of ``files``, those that a second guest is to run; () where one does as well.

    ``seconds`` is how long their tests take. What is not known stays with the first, and so
    does what makes up the first answer, which one guest gives alone: only then is the second
    booted, so that the answer does not wait for it.
    """
    known = {file: seconds[file] for file in files if file in seconds and file != _EACH_GUEST}
    if sum(known.values()) < _WORTH:
        return ()
    ours = [file for file in known if has_first_answer(file)]
    loads = [(sum(known[file] for file in ours), 0), (_BOOT, 1)]
    heapq.heapify(loads)
    theirs: set[str] = set()
    for file in sorted(known.keys() - set(ours), key=lambda file: (-known[file], file)):
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + known[file], number))
        if number:
            theirs.add(file)
    return tuple(file for file in files if file in theirs)


def asked_beside(files: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    """What the second guest is to be asked for, of ``files`` in all."""
    return (*theirs, *(file for file in files if file == _EACH_GUEST))
