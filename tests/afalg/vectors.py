"""Known answers, made on the host with OpenSSL (harness/guest/oracle.py), as values.

The tables are static: a test id must not depend on a file that exists only in a run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import af_alg

if TYPE_CHECKING:
    from collections.abc import Callable

HASHES = (
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha3-224",
    "sha3-256",
    "sha3-384",
    "sha3-512",
    "blake2b-512",
    "sm3",
)
KEYED_HASHES = (
    "hmac(md5)",
    "hmac(sha1)",
    "hmac(sha256)",
    "hmac(sha384)",
    "hmac(sha512)",
    "hmac(sha3-256)",
    "cmac(aes)",
    "blake2b-512",
)
SKCIPHERS = (
    "ecb(aes)",
    "cbc(aes)",
    "ctr(aes)",
    "xts(aes)",
    "rfc3686(ctr(aes))",
    "cbc(camellia)",
    "cbc(des3_ede)",
    "chacha20",
)
AEADS = (
    "gcm(aes)",
    "ccm(aes)",
    "rfc7539(chacha20,poly1305)",
    "rfc4106(gcm(aes))",
    "authenc(hmac(sha1),cbc(aes))",
    "authenc(hmac(sha256),cbc(aes))",
    "authencesn(hmac(sha256),cbc(aes))",
)


@dataclass(frozen=True)
class Case:
    """One known answer. Of a long output only the SHA-256 is known."""

    message: bytes
    key: bytes
    iv: bytes
    aad: bytes
    tag: int
    output: bytes | None
    output_sha256: str

    def check(self, seen: bytes, what: str) -> None:
        """The output seen is the known answer."""
        about = f"{what} of {len(self.message)} bytes"
        if self.aad:
            about += f" with {len(self.aad)} of associated data"
        if self.output is not None:
            assert seen == self.output, f"{about}: {af_alg.difference(self.output, seen)}"
            return
        digest = hashlib.sha256(seen).hexdigest()
        assert digest == self.output_sha256, (
            f"{about}: expected output of SHA-256 {self.output_sha256[:16]}.., "
            f"saw {digest[:16]}.. of {af_alg.shorten(seen)}"
        )

    def known_output(self, produce: Callable[[], bytes], what: str) -> bytes:
        """The known answer itself; one that is too long to be known is produced and checked."""
        if self.output is not None:
            return self.output
        output = produce()
        self.check(output, what)
        return output


def cases(known_answers: dict[str, Any], section: str, name: str) -> list[Case]:
    """The known answers for one algorithm."""
    algorithm = known_answers[section][name]
    longest = max(case["length"] for case in algorithm["cases"])
    message = hashlib.shake_256(algorithm["message"].encode()).digest(longest)
    return [
        Case(
            message=message[: case["length"]],
            key=bytes.fromhex(case.get("key", "")),
            iv=bytes.fromhex(case.get("iv", "")),
            aad=bytes.fromhex(case.get("aad", "")),
            tag=case.get("tag", 0),
            output=bytes.fromhex(case["output"]) if "output" in case else None,
            output_sha256=case.get("output_sha256", ""),
        )
        for case in algorithm["cases"]
    ]
