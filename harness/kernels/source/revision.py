"""Builds a revision of a git tree, unless the same source was built the same way before."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from harness import inuse
from harness.errors import BuildError, InputError
from harness.files import cache_errors_named
from harness.kernels.bootable.prepare import prepare
from harness.kernels.bootable.symbols import keep_symbols
from harness.kernels.cache.kernel_store import Manifest
from harness.kernels.job import NO_MODULES, Job, key
from harness.kernels.parts.kernel_parts import from_build
from harness.kernels.source.fragments import Fragment, digest, load_fragment
from harness.kernels.source.git import Commit, GitTree
from harness.kernels.source.kbuild import Compiler, compile_kernel, configure, find_compiler, mend
from harness.kernels.sources import KernelSources
from harness.kernels.spec import GitSpec
from harness.model import BootableKernel


def build_revision(job: Job, spec: GitSpec, sources: KernelSources) -> BootableKernel:
    """The kernel of ``spec``, built with the fragments that ``sources`` name.

    It is stored by the hash of the commit's tree, the fragments and the compiler. Raises
    InputError (no such tree, commit or fragment), HostError (no compiler), BuildError
    (cannot be configured, does not compile), InfrastructureError.
    """
    fragments = [load_fragment(name) for name in sources.kconfigs]
    tree, commit = find_revision(job.spec, spec)
    compiler = find_compiler()
    identity = key(["git", commit.tree, digest(fragments), compiler.version])

    def fill(target: Path) -> Manifest:
        return _Build(job, tree, commit, fragments, compiler, sources.cache).run(identity, target)

    try:
        kernel = job.create(identity, fill)
    except BuildError as error:
        raise BuildError(f"{job.spec} ({commit.id[:12]}): {error}") from error
    notes = [f"commit {commit.id[:12]}, {commit.subject!r}", *kernel.notes]
    if spec.revision == "HEAD" and tree.has_changes():
        notes.append(f"{spec.tree} has uncommitted changes, which are not in this kernel")
    exact = f"git:{spec.tree}@{commit.id}"
    return replace(kernel, notes=tuple(notes), exact=exact, commit=commit.id)


def find_revision(named: str, spec: GitSpec) -> tuple[GitTree, Commit]:
    """The tree and the commit that ``spec`` is, ``named`` so by a person.

    Raises InputError if there is none, or it holds no kernel.
    """
    tree = GitTree(spec.tree)
    commit = tree.commit(spec.revision)
    if not tree.is_kernel(commit):
        raise InputError(f"{named}: {commit.id[:12]} holds no kernel source for x86")
    return tree, commit


class _Build:
    """One build in the directories that the cache keeps for a tree."""

    def __init__(
        self,
        job: Job,
        tree: GitTree,
        commit: Commit,
        fragments: list[Fragment],
        compiler: Compiler,
        cache: Path,
    ) -> None:
        self._job = job
        self._tree = tree
        self._commit = commit
        self._fragments = fragments
        self._compiler = compiler
        self._cache = cache

    def run(self, identity: str, target: Path) -> Manifest:
        """Check out, configure, compile and prepare into ``target``."""
        # One checkout and one output directory for each way to build: neighbouring commits
        # of a tree then differ by few objects.
        tree = hashlib.sha256(str(self._tree.path.resolve()).encode()).hexdigest()[:12]
        place = self._cache / "builds" / tree
        source = place / "source"
        output = place / key([digest(self._fragments), self._compiler.version])[:12]
        log = place / "logs" / f"{identity}.log"
        if re.search(r"[\s:]", str(place)):
            raise InputError(
                f"the cache {self._cache}: no kernel can be built below a path with white space"
                " or a colon; choose another with --cache"
            )
        with self._job.store.lock(f"build-{tree}", self._waiting), cache_errors_named(self._cache):
            place.mkdir(parents=True, exist_ok=True)
            while not inuse.hold(place):  # somebody prunes it
                place.mkdir(parents=True, exist_ok=True)
            log.parent.mkdir(exist_ok=True)
            (place / "tree").write_text(f"{self._tree.path.resolve()}\n")
            self._job.report(f"checking out {self._commit.id[:12]}")
            self._tree.check_out(self._commit, source)
            mend(output)
            self._job.report("configuring")
            notes = configure(source, output, self._fragments, self._compiler)
            self._job.report("compiling")
            compile_kernel(
                source, output, self._compiler, f"-afalg-{identity[:12]}", log, self._step
            )
            parts = from_build(output)
            self._job.report("preparing")
            prepare(parts, target)
            keep_symbols(parts, target)
        names = "+".join(fragment.name for fragment in self._fragments)
        built = f"built by {self._compiler.version} with {names}"
        notes = (built, *notes) if parts.modules else (built, *notes, NO_MODULES)
        return Manifest(parts.release, (), notes)

    def _step(self, made: str, number: int) -> None:
        self._job.report("compiling", None, f"{made} ({number})")

    def _waiting(self) -> None:
        self._job.report("waiting for another build of this tree")
