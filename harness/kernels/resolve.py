"""Resolves a kernel spec to a bootable kernel, from the cache where it is there already."""

from __future__ import annotations

import difflib
import hashlib
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import FetchError, HostError, InfrastructureError, InputError
from harness.files import cache_errors_named
from harness.kernels.archive.debian import Archive, ArchiveKernel, ArchivePackage, newest
from harness.kernels.bootable.prepare import prepare
from harness.kernels.bootable.symbols import keep_symbols
from harness.kernels.cache.kernel_store import KernelStore, Manifest
from harness.kernels.job import NO_MODULES, Job, key
from harness.kernels.packages.assemble import assemble, check_complete, errors_naming
from harness.kernels.packages.formats import read_package
from harness.kernels.packages.package import Package, package_file
from harness.kernels.parts.build_tree import staleness
from harness.kernels.parts.host_kernel import from_host
from harness.kernels.parts.kernel_parts import KernelParts, from_directory, from_image
from harness.kernels.source.revision import build_revision, find_revision
from harness.kernels.sources import KernelSources
from harness.kernels.spec import (
    DirectorySpec,
    GitSpec,
    HostSpec,
    ImageSpec,
    PackagesSpec,
    ReleaseSpec,
    SuiteSpec,
    parse_spec,
)
from harness.mirror import choose_mirror
from harness.model import BootableKernel, PackageFile
from harness.progress import Progress, SilentProgress


def resolve(spec: str, sources: KernelSources, progress: Progress) -> BootableKernel:
    """The kernel that ``spec`` names, ready for vng, in the cache of ``sources``.

    Raises InputError (bad spec, no such kernel, damaged or missing package, another
    architecture), FetchError (the mirror cannot be reached, a download failed), HostError
    (a program is missing) and InfrastructureError (the cache cannot be written).
    """
    # Programs that are told of the cache run in directories of their own.
    sources = replace(sources, cache=sources.cache.absolute())
    try:
        return _resolve(Job(spec, KernelStore(sources.cache), progress), sources)
    except PermissionError as error:
        if error.filename is None or Path(error.filename).is_relative_to(sources.cache):
            raise
        raise InputError(f"{spec}: {error.filename}: {error.strerror}") from error


def _resolve(job: Job, sources: KernelSources) -> BootableKernel:
    match parsed := parse_spec(job.spec):
        case ImageSpec(path):
            return _from_parts(job, from_image(path))
        case DirectorySpec(path):
            return _from_parts(job, from_directory(path))
        case PackagesSpec(paths):
            return _from_packages(job, paths)
        case ReleaseSpec() | SuiteSpec():
            return _from_archive(job, parsed, sources)
        case GitSpec():
            return build_revision(job, parsed, sources)
        case HostSpec():
            return _from_parts(job, from_host())


def refuse_impossible(specs: Iterable[str], sources: KernelSources, progress: Progress) -> None:
    """Raise InputError if it is plain that one of ``specs`` names no kernel that can be had.

    Nothing is fetched for it but the archive's index. What only a download, a build or the
    content of a package would show is found by ``resolve``, and so is what fails on this host.
    """
    sources = replace(sources, cache=sources.cache.absolute())
    for spec in dict.fromkeys(specs):
        try:
            _refuse_impossible(Job(spec, KernelStore(sources.cache), progress), sources)
        except InfrastructureError:
            continue
        except OSError as error:
            if not isinstance(error, PermissionError) or error.filename is None:
                continue
            raise InputError(f"{spec}: {error.filename}: {error.strerror}") from error


def _refuse_impossible(job: Job, sources: KernelSources) -> None:
    match parsed := parse_spec(job.spec):
        case ImageSpec(path):
            from_image(path)
        case DirectorySpec(path):
            from_directory(path)
        case PackagesSpec(paths):
            check_complete([read_package(path) for path in paths])
        case ReleaseSpec(release):
            if sources.refresh or job.store.recall(release, job.spec) is None:
                _find(job.spec, parsed, _archive(job, sources))
        case SuiteSpec():
            _find(job.spec, parsed, _archive(job, sources))
        case GitSpec():
            find_revision(job.spec, parsed)
        case HostSpec():
            from_host()


def release_named(spec: str, sources: KernelSources, progress: Progress) -> str:
    """The release that ``spec`` names, "" of a revision that is yet to be built.

    Of the archive nothing but its index is fetched. Raises what ``resolve`` does.
    """
    match parsed := parse_spec(spec):
        case ReleaseSpec(release):
            return release
        case SuiteSpec():
            sources = replace(sources, cache=sources.cache.absolute())
            job = Job(spec, KernelStore(sources.cache), progress)
            return _find(spec, parsed, _archive(job, sources)).release
        case GitSpec():
            return ""
        case _:
            return resolve(spec, sources, progress).release


def available(sources: KernelSources, progress: Progress) -> tuple[ArchiveKernel, ...]:
    """Every kernel that Debian's archive lists, newest first.

    Raises FetchError and HostError as ``resolve`` does.
    """
    sources = replace(sources, cache=sources.cache.absolute())
    job = Job("debian", KernelStore(sources.cache), progress)
    return _archive(job, sources).kernels()


def fetch_package(sources: KernelSources, name: str, version: str, place: Path) -> Path | None:
    """The oldest package ``name`` of at least ``version`` in the archive, as a file in ``place``.

    None if the archive has none. Raises FetchError and HostError as ``resolve`` does.
    """
    sources = replace(sources, cache=sources.cache.absolute())
    archive = _archive(Job(name, KernelStore(sources.cache), SilentProgress()), sources)
    return archive.download(name, version, place)


def indexed(sources: KernelSources) -> tuple[ArchiveKernel, ...]:
    """The same going by the index as it was fetched last, without a network; () if it never was."""
    try:
        archive = Archive(sources.cache.absolute(), choose_mirror(sources.mirror))
    except HostError:
        return ()
    return archive.kernels() if archive.hold() else ()


def _archive(job: Job, sources: KernelSources) -> Archive:
    """The archive with an index that is recent enough, fetched if need be."""
    archive = Archive(sources.cache, choose_mirror(sources.mirror))
    with job.store.lock("apt", job.waiting), cache_errors_named(sources.cache):
        if sources.refresh or archive.needs_update(time.time()):
            job.report("fetching the package index")
            archive.update()
        archive.hold()
    return archive


def _from_archive(
    job: Job, spec: ReleaseSpec | SuiteSpec, sources: KernelSources
) -> BootableKernel:
    """A kernel of the archive; one that was prepared before takes no network."""
    if isinstance(spec, ReleaseSpec) and not sources.refresh:
        kernel = job.store.recall(spec.release, job.spec)
        if kernel is not None:
            return kernel
    archive = _archive(job, sources)
    found = _find(job.spec, spec, archive)
    with job.store.lock(found.release, job.waiting), cache_errors_named(sources.cache):
        kernel = job.store.recall(found.release, job.spec, found.version)
        return kernel or _fetch(job, archive, found)


def _find(text: str, spec: ReleaseSpec | SuiteSpec, archive: Archive) -> ArchiveKernel:
    kernels = archive.kernels()
    if isinstance(spec, SuiteSpec):
        found = newest(kernels, spec.suite, spec.flavour)
        if spec.suite in archive.failed_suites():
            # An older index of it may be there, but then "newest" would be a guess.
            raise FetchError(
                f"{text}: {archive.mirror.main} did not give its index of {spec.suite}"
            )
        if found is None:
            raise InputError(f"{text}: {spec.suite} has no kernel of flavour {spec.flavour}")
        return found
    for kernel in kernels:
        if kernel.release == spec.release:
            return kernel
    failed = archive.failed_suites()
    unread = f" (not read: {', '.join(failed)})" if failed else ""
    names = [kernel.release for kernel in kernels]
    close = difflib.get_close_matches(spec.release, names, n=3, cutoff=0.8)
    hint = f"; there are {', '.join(close)}" if close else ""
    raise InputError(f"{text}: the archive at {archive.mirror.main} does not list it{hint}{unread}")


def _fetch(job: Job, archive: Archive, found: ArchiveKernel) -> BootableKernel:
    """Download and prepare a kernel.

    Its packages are deleted once it is prepared; should that fail, those that can be
    checked against the index are kept for the next attempt.
    """
    wanted = archive.packages_of(found)
    fetched: dict[ArchivePackage, Path] = {}
    prepared = False
    try:
        # Those that may be gone come first: a kernel that cannot be had should say so at once.
        for package in sorted(wanted, key=lambda package: package.sha256 is not None):
            fetched[package] = archive.fetch(package, job.report)
        kernel = _assemble(job, found, {package: fetched[package] for package in wanted})
        prepared = True
    finally:
        for package, path in fetched.items():
            if prepared or package.sha256 is None:
                path.unlink(missing_ok=True)
    return kernel


def _assemble(
    job: Job, found: ArchiveKernel, fetched: dict[ArchivePackage, Path]
) -> BootableKernel:
    packages = [read_package(path) for path in fetched.values()]
    check_complete(packages)
    files = tuple(
        package_file(package, known.trust) for package, known in zip(packages, fetched, strict=True)
    )
    notes = tuple(
        f"{package.name} {package.version} came from the pool, outside the signed index"
        for package in fetched
        if package.sha256 is None
    )
    kernel = _create_from_packages(job, packages, files, notes)
    if kernel.release != found.release:
        raise InputError(f"{job.spec}: its packages hold {kernel.release} instead")
    job.store.remember(found.release, found.version, package_key(files))
    return kernel


def _from_parts(job: Job, parts: KernelParts) -> BootableKernel:
    """Prepare a kernel whose parts lie on this machine, keyed by image and modules listing."""
    job.report("reading")
    with parts.image.open("rb") as file:
        content: list[object] = [hashlib.file_digest(file, "sha256").hexdigest()]
    if parts.config is not None:
        content.append(hashlib.sha256(parts.config.read_bytes()).hexdigest())
    for name, path in sorted((parts.modules | parts.lists).items()):
        status = path.stat()
        content.append((name, status.st_size, status.st_mtime_ns))
    notes = () if parts.modules else (NO_MODULES,)

    def fill(target: Path) -> Manifest:
        job.report("preparing")
        prepare(parts, target)
        keep_symbols(parts, target)
        return Manifest(parts.release, (), notes)

    kernel = job.create(key(content), fill)
    # Of the tree as it is now, which may have changed since the kernel was prepared.
    stale = staleness(parts.build) if parts.build is not None else ()
    return replace(kernel, notes=(*kernel.notes, *stale))


def _from_packages(job: Job, paths: tuple[Path, ...]) -> BootableKernel:
    job.report("reading packages")
    packages = [read_package(path) for path in paths]
    check_complete(packages)
    files = tuple(package_file(package, "local") for package in packages)
    return _create_from_packages(job, packages, files, ())


def package_key(files: Iterable[PackageFile]) -> str:
    """The key under which the kernel made of these packages is stored.

    Trust is part of it, for the same file may come from the archive and from a user.
    """
    return key(sorted((file.sha256, file.trust) for file in files))


def _create_from_packages(
    job: Job,
    packages: list[Package],
    files: tuple[PackageFile, ...],
    notes: tuple[str, ...],
) -> BootableKernel:
    def fill(target: Path) -> Manifest:
        with TemporaryDirectory(dir=target, prefix=".unpacked-") as place:
            parts = assemble(packages, Path(place), job.report)
            job.report("preparing")
            with errors_naming(Path(place), packages):
                prepare(parts, target)
        lacks = () if parts.config else ("no config was found in its packages or its image",)
        return Manifest(parts.release, files, (*notes, *lacks))

    return job.create(package_key(files), fill)
