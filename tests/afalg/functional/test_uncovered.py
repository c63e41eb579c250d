"""What /proc/crypto lists and no test here looks at, so that a gap is seen rather than assumed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import vectors

if TYPE_CHECKING:
    from conftest import Bind, RecordFact

KINDS = {
    "shash": "hash",
    "ahash": "hash",
    "skcipher": "skcipher",
    "lskcipher": "skcipher",
    "aead": "aead",
    "rng": "rng",
}
COVERED = {
    "hash": {*vectors.HASHES, *vectors.KEYED_HASHES, *vectors.CONSISTENT_HASHES},
    "skcipher": {*vectors.SKCIPHERS, *vectors.CONSISTENT_SKCIPHERS},
    "aead": {*vectors.AEADS},
    "rng": {"stdrng", "jitterentropy_rng", "ansi_cprng", "fips(ansi_cprng)"},
}
#: They compute nothing.
NULL = {"digest_null", "ecb(cipher_null)"}


def test_proc_crypto(bind: Bind, record_fact: RecordFact) -> None:
    """The algorithms of loaded modules that are not among the known answers, as a fact."""
    bind("hash", "sha256")
    listed = offered()
    assert ("hash", "sha256") in listed, "/proc/crypto does not list what is bound"
    uncovered = sorted(
        f"{kind} {name}" for kind, name in listed if name not in COVERED[kind] | NULL
    )
    record_fact(
        "functional.uncovered_algorithms",
        state="present" if uncovered else "absent",
        control="fired",
        evidence=f"{len(listed)} listed, not covered: {', '.join(uncovered) or 'none'}",
    )


def offered() -> set[tuple[str, str]]:
    """Type and name of what can be bound; not what templates made on demand ("ctr(cbc(aes))")."""
    found = set()
    for entry in Path("/proc/crypto").read_text().split("\n\n"):
        fields = {
            key.strip(): value.strip()
            for key, _, value in (line.partition(":") for line in entry.splitlines())
        }
        kind = KINDS.get(fields.get("type", ""))
        made = "(" in fields.get("driver", "")
        if kind and not made and fields.get("internal") != "yes":
            found.add((kind, fields["name"]))
    return found
