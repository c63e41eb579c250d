"""Which kernels of a suite are to be validated, and what each is held against."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.history import queries
from harness.history.lineage import lineage_of, predecessor
from harness.history.selected import covers
from harness.history.store import Store
from harness.kernels.archive.debian import ArchiveKernel
from harness.model import Status
from harness.releases import flavour, version_key

#: Of ``--new-since``: the newest kernel of the suite that is in the store.
LAST = "last"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BUILT = re.compile(r"\((\d{4}-\d\d-\d\d)\)\s*$")
_NUMBER = re.compile(r"\d+(?:\.\d+)+")

#: When a kernel was built; None if it does not say. It may have to be fetched for that.
Built = Callable[[ArchiveKernel], datetime.date | None]


@dataclass(frozen=True)
class Baseline:
    """What a candidate is held against."""

    #: A stored result of the candidate's lineage; None if there is none.
    stored: queries.StoredResult | None = None
    #: The archive's kernel before it, which is then run first; "" if there is none either.
    spec: str = ""


def built_on(banner: str) -> datetime.date | None:
    """The day that ends the version of Debian's kernels: ``... 6.12.43-1 (2025-09-06)``."""
    found = _BUILT.search(banner)
    try:
        return datetime.date.fromisoformat(found.group(1)) if found else None
    except ValueError:
        return None


def in_store(store: Store, asked: str) -> set[str]:
    """The releases that were put to all that ``asked`` selects, to the end of it."""
    return {
        result.release
        for result in queries.results(store)
        if result.status is Status.COMPLETED and not result.append and covers(result.suites, asked)
    }


def new_kernels(
    offered: Sequence[ArchiveKernel], since: str, store: Store, asked: str, built: Built
) -> tuple[ArchiveKernel, ...]:
    """Those of ``offered`` that are newer than ``since`` and not in the store; oldest first.

    ``offered`` are kernels of one flavour. ``since`` is a date (built that day or later), the
    id of a stored run (newer than its newest kernel), a version or release (newer than that),
    or LAST, without which in the store only the newest is new. Raises InputError.
    """
    known = in_store(store, asked)
    newest_first = sorted(offered, key=lambda one: version_key(one.release), reverse=True)
    missing = [kernel for kernel in newest_first if kernel.release not in known]
    if _DATE.match(since):
        found = list(_built_since(missing, _date(since), built))
    elif since == LAST:
        ran = [kernel.release for kernel in newest_first if kernel.release in known]
        found = _newer(missing, ran[0]) if ran else missing[:1]
    else:
        found = _newer(missing, _release_meant(since, offered, store))
    return tuple(reversed(found))


def _date(text: str) -> datetime.date:
    try:
        return datetime.datetime.fromisoformat(text).date()
    except ValueError as error:
        raise InputError(f"--new-since {text}: no such day") from error


def _built_since(
    newest_first: Iterable[ArchiveKernel], day: datetime.date, built: Built
) -> Iterator[ArchiveKernel]:
    """Until one is older: what comes after it is older still, and need not be fetched."""
    for kernel in newest_first:
        when = built(kernel)
        if when is not None and when < day:
            return
        yield kernel


def _newer(kernels: Iterable[ArchiveKernel], than: str) -> list[ArchiveKernel]:
    """Those above a release, or above a version, with all that is built of it."""
    if _NUMBER.fullmatch(than):
        number = _numbers(than)
        return [one for one in kernels if _numbers(one.version)[: len(number)] > number]
    return [one for one in kernels if version_key(one.release) > version_key(than)]


def _numbers(version: str) -> tuple[int, ...]:
    found = _NUMBER.match(version)
    return tuple(map(int, found.group().split("."))) if found else ()


def _release_meant(since: str, offered: Sequence[ArchiveKernel], store: Store) -> str:
    """The release, or upstream version, that a version or a run's id stands for."""
    text = since.removeprefix("debian:")
    for kernel in offered:
        if text in (kernel.release, kernel.version):
            return kernel.release
    number = _NUMBER.match(text)
    if number:
        return text if flavour(text) else number.group()
    run = queries.run_named(store, text)
    flavours = {flavour(kernel.release) for kernel in offered}
    ran = [name for name in run.kernels if flavour(name) in flavours]
    if not ran:
        told = ", ".join(sorted(flavours))
        raise InputError(f"--new-since {since}: no kernel of flavour {told} ran in that run")
    return max(ran, key=version_key)


def baseline_of(
    store: Store,
    spec: str,
    release: str,
    archive: Collection[ArchiveKernel],
    *,
    asked: str = "",
    append: str = "",
) -> Baseline:
    """The last good of the lineage of ``release``; else the archive's kernel before it."""
    lineage = lineage_of(spec, release)
    if not lineage:
        return Baseline()
    stored = queries.last_good(store, lineage, asked, append=append, before=release)
    if stored is not None:
        return Baseline(stored)
    before = predecessor(lineage, release, archive)
    return Baseline(spec=f"debian:{before}" if before else "")
