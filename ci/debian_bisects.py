"""Bisects Debian's kernels between ends far apart; what is to be found is known.

    .venv/bin/python ci/debian_bisects.py [--out DIR]

Prints what each bisect said. Exits with 0 if each found the known kernel, with 1 if not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Known:
    """A bisect and what it has to say."""

    name: str
    arguments: tuple[str, ...]
    said: str


KNOWN = (
    Known(
        "trixie-copies",  # ffdd2bc37895 and its backport
        (
            *("--old", "debian:6.12.90+deb13-amd64", "--new", "debian:6.12.117+deb13-amd64"),
            *("--among", "debian:6.12.*+deb13*", "--find", "zero_copy.skcipher.splice_file=absent"),
        ),
        "first new kernel: debian:6.12.96+deb13-amd64\nlast old kernel: debian:6.12.95+deb13-amd64",
    ),
    Known(
        "page-cache-left-alone",  # CVE-2026-31431
        (
            *("--bad", "debian:6.12.43+deb12-amd64", "--good", "debian:6.12.95+deb12-amd64"),
            *("--among", "debian:bookworm-backports", "--check", "page_cache_write"),
        ),
        "first good kernel: debian:6.12.85+deb12-amd64\n"
        "last bad kernel: debian:6.12.74+deb12-amd64",
    ),
)


def found(known: Known, out: Path) -> bool:
    """Whether the bisect found what is known; it prints what it says."""
    harness = Path(sys.executable).parent / "afalg-harness"
    argv: list[str | Path] = [
        harness,
        "bisect",
        *known.arguments,
        "--fresh",
        "--out",
        out / known.name,
    ]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    right = done.returncode == 0 and known.said in done.stdout
    print(f"{done.stdout}{known.name}: {'as known' if right else 'WRONG'}", flush=True)
    return right


def main() -> int:
    """Run all; returns the exit code."""
    parser = argparse.ArgumentParser(description="bisects whose answers are known")
    parser.add_argument("--out", type=Path, default=Path("runs/debian-bisects"))
    out = parser.parse_args().out.absolute()
    right = [found(known, out) for known in KNOWN]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
