"""Known answers, made on the host with OpenSSL (harness/guest/oracle.py), as values.

The tables are static: a test id must not depend on a file that exists only in a run.
What the host's oracle cannot compute is checked against published vectors where there are
any, and else (``CONSISTENT_*``) only against itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import af_alg

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

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
    "blake2b-160",
    "blake2b-256",
    "blake2b-384",
    "blake2b-512",
    "sm3",
    "crc32",
    "crc32c",
    "crct10dif",
    "poly1305",
    "md4",
    "rmd160",
    "wp256",
    "wp384",
    "wp512",
    "streebog256",
    "streebog512",
    "xxhash64",
)
KEYED_HASHES = (
    "hmac(md5)",
    "hmac(sha1)",
    "hmac(sha224)",
    "hmac(sha256)",
    "hmac(sha384)",
    "hmac(sha512)",
    "hmac(sha3-256)",
    "hmac(sha3-512)",
    "cmac(aes)",
    "cmac(camellia)",
    "cmac(des3_ede)",
    "xcbc(aes)",
    "crc32",
    "crc32c",
    "blake2b-512",
    "michael_mic",
    "vmac64(aes)",
)
SKCIPHERS = (
    "ecb(aes)",
    "ecb(camellia)",
    "ecb(des3_ede)",
    "ecb(des)",
    "ecb(blowfish)",
    "ecb(cast5)",
    "cbc(aes)",
    "cbc(camellia)",
    "cbc(des3_ede)",
    "cbc(des)",
    "cbc(blowfish)",
    "cbc(cast5)",
    "cbc(sm4)",
    "ctr(aes)",
    "ctr(camellia)",
    "ctr(des3_ede)",
    "ofb(aes)",
    "cfb(aes)",
    "xctr(aes)",
    "cts(cbc(aes))",
    "xts(aes)",
    "xts(camellia)",
    "lrw(aes)",
    "lrw(camellia)",
    "rfc3686(ctr(aes))",
    "essiv(cbc(aes),sha256)",
    "chacha20",
    "ecb(serpent)",
    "ecb(twofish)",
    "ecb(cast6)",
    "xts(serpent)",
    "xts(twofish)",
    "lrw(serpent)",
    "lrw(twofish)",
    "xchacha12",
    "xchacha20",
    "adiantum(xchacha12,aes)",
    "adiantum(xchacha20,aes)",
    "hctr2(aes)",
    "pcbc(fcrypt)",
)
AEADS = (
    "gcm(aes)",
    "ccm(aes)",
    "rfc7539(chacha20,poly1305)",
    "rfc4106(gcm(aes))",
    "rfc4543(gcm(aes))",
    "rfc4309(ccm(aes))",
    "rfc7539esp(chacha20,poly1305)",
    "authenc(hmac(sha1),cbc(aes))",
    "authenc(hmac(sha256),cbc(aes))",
    "authenc(hmac(sha384),cbc(aes))",
    "authenc(hmac(sha512),cbc(aes))",
    "authenc(hmac(sha1),cbc(des3_ede))",
    "authenc(hmac(sha256),ctr(aes))",
    "authenc(hmac(sha256),rfc3686(ctr(aes)))",
    "authencesn(hmac(sha1),cbc(aes))",
    "authencesn(hmac(sha512),cbc(aes))",
    "authencesn(hmac(sha256),cbc(aes))",
    "aegis128",
)
#: Name, length of its key (0 for none).
CONSISTENT_HASHES = {
    "cbcmac(aes)": 16,
    "crc64-rocksoft": 0,
    "ghash": 16,
    "hmac(rmd160)": 16,
    "hmac(streebog512)": 64,
    "cmac(serpent)": 32,
    "nhpoly1305": 1088,
}
#: Name, lengths of its key and IV, what its texts are a multiple of.
CONSISTENT_SKCIPHERS = {
    "cbc(serpent)": (32, 16, 16),
    "ctr(serpent)": (32, 16, 1),
    "cbc(twofish)": (32, 16, 16),
    "ctr(twofish)": (32, 16, 1),
    "cbc(cast6)": (32, 16, 16),
    "ctr(cast6)": (32, 16, 1),
    "xts(cast6)": (64, 16, 16),
}


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


def pieces(length: int, random: Random) -> list[tuple[int, int]]:
    """A way to cut so many bytes up, as slices: also into empty pieces, also not at all."""
    cuts = sorted(random.randint(0, length) for _ in range(random.randint(0, 4)))
    return list(zip([0, *cuts], [*cuts, length], strict=True))


def cases(known_answers: dict[str, Any], section: str, name: str) -> list[Case]:
    """The known answers for one algorithm."""
    algorithm = known_answers[section][name]
    longest = max(case.get("length", 0) for case in algorithm["cases"])
    message = hashlib.shake_256(algorithm.get("message", "").encode()).digest(longest)
    return [
        Case(
            message=bytes.fromhex(case["text"]) if "text" in case else message[: case["length"]],
            key=bytes.fromhex(case.get("key", "")),
            iv=bytes.fromhex(case.get("iv", "")),
            aad=bytes.fromhex(case.get("aad", "")),
            tag=case.get("tag", 0),
            output=bytes.fromhex(case["output"]) if "output" in case else None,
            output_sha256=case.get("output_sha256", ""),
        )
        for case in algorithm["cases"]
    ]
