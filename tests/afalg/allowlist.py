"""Which algorithms af_alg_restrict=1 lets through, as the kernel's source documents it.

Source: the tables of crypto/algif_{hash,skcipher,aead,rng}.c of 2f204fe718f5 (7.3). A name
flagged AF_ALG_UNPRIVILEGED is for everybody, the others for whoever has CAP_NET_ADMIN or
CAP_SYS_ADMIN in the initial user namespace. The comments name the users that the source
gives. Names are compared whole; drivers and other spellings are not on any list.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """An algorithm as bind() is asked for it."""

    kind: str
    algorithm: str

    def __str__(self) -> str:
        return f"{self.kind} {self.algorithm!r}"


#: The whole list; True: for the unprivileged, too.
ALLOWLIST: dict[Name, bool] = {
    Name("aead", "ccm(aes)"): False,  # bluez
    Name("hash", "cmac(aes)"): False,  # iwd, bluez
    Name("hash", "hmac(md5)"): False,  # iwd
    Name("hash", "hmac(sha1)"): False,  # iwd
    Name("hash", "hmac(sha224)"): False,  # iwd
    Name("hash", "hmac(sha256)"): False,  # iwd
    Name("hash", "hmac(sha384)"): False,  # iwd
    Name("hash", "hmac(sha512)"): False,  # iwd, sha512hmac
    Name("hash", "md4"): False,  # iwd
    Name("hash", "md5"): False,  # iwd
    Name("hash", "sha1"): True,  # iwd, iproute2 before 7.0
    Name("hash", "sha224"): False,  # iwd
    Name("hash", "sha256"): False,  # iwd
    Name("hash", "sha384"): False,  # iwd
    Name("hash", "sha512"): False,  # iwd
    Name("skcipher", "adiantum(xchacha12,aes)"): True,  # cryptsetup
    Name("skcipher", "adiantum(xchacha20,aes)"): True,  # cryptsetup
    Name("skcipher", "cbc(aes)"): False,  # iwd
    Name("skcipher", "cbc(des)"): False,  # iwd
    Name("skcipher", "cbc(des3_ede)"): False,  # iwd
    Name("skcipher", "cbc(paes)"): False,  # caam and others: keys held by the hardware
    Name("skcipher", "ctr(aes)"): False,  # iwd
    Name("skcipher", "ecb(aes)"): False,  # iwd, bluez
    Name("skcipher", "ecb(des)"): False,  # iwd
    Name("skcipher", "hctr2(aes)"): True,  # cryptsetup
    Name("skcipher", "xts(aes)"): True,  # cryptsetup benchmark
    Name("skcipher", "xts(camellia)"): True,  # cryptsetup
    Name("skcipher", "xts(serpent)"): True,  # cryptsetup
    Name("skcipher", "xts(twofish)"): True,  # cryptsetup
}

#: Not on the list, and offered by most kernels once the policy is opened.
UNLISTED = (
    Name("aead", "gcm(aes)"),
    Name("aead", "rfc4106(gcm(aes))"),
    Name("aead", "rfc4309(ccm(aes))"),
    Name("aead", "rfc7539(chacha20,poly1305)"),
    Name("aead", "authenc(hmac(sha1),cbc(aes))"),
    Name("aead", "authenc(hmac(sha256),cbc(aes))"),
    Name("aead", "authencesn(hmac(sha256),cbc(aes))"),
    Name("hash", "sha3-224"),
    Name("hash", "sha3-256"),
    Name("hash", "sha3-384"),
    Name("hash", "sha3-512"),
    Name("hash", "blake2b-512"),
    Name("hash", "hmac(sha3-256)"),
    Name("skcipher", "cbc(camellia)"),
    Name("skcipher", "chacha20"),
    Name("skcipher", "cts(cbc(aes))"),
    Name("skcipher", "ecb(des3_ede)"),
    Name("skcipher", "rfc3686(ctr(aes))"),
    Name("rng", "jitterentropy_rng"),
    Name("rng", "stdrng"),
)

#: Other spellings of listed names. Few are algorithms, and those that are cost a kernel much
#: to make: they are tried only while the policy is in force.
OTHER_SPELLINGS = (
    Name("skcipher", "xts(ecb(aes))"),
    Name("skcipher", "cbc(aes-generic)"),
    Name("skcipher", "cbc(aes-lib)"),
    Name("hash", "cmac(aes-generic)"),
    Name("hash", "cmac(aes-lib)"),
    Name("hash", "hmac(sha256-generic)"),
    Name("hash", "hmac(sha256-lib)"),
    Name("hash", "SHA1"),
    Name("hash", "sha1 "),
    Name("hash", " sha1"),
    Name("hash", "sha"),
    Name("hash", "sha11"),
    Name("hash", "hmac(sha1"),
    Name("hash", "hmac( sha1)"),
    Name("skcipher", "XTS(AES)"),
    Name("skcipher", "xts(aes) "),
    Name("skcipher", "xts(aes))"),
    Name("skcipher", "xts(ae"),
    Name("skcipher", ""),
    Name("skcipher", "sha1"),
    Name("hash", "xts(aes)"),
    Name("aead", "xts(aes)"),
    Name("rng", "sha1"),
)

#: More names that kernels of 6.1 to 7.3 know, not on the list. They are tried only while the
#: policy is in force, where a refusal costs next to nothing: loading them all would take long.
_MORE = {
    "aead": (
        "aegis128",
        "authenc(digest_null,cbc(aes))",
        "authenc(hmac(md5),cbc(aes))",
        "authenc(hmac(md5),ecb(cipher_null))",
        "authenc(hmac(sha1),cbc(des3_ede))",
        "authenc(hmac(sha1),ctr(aes))",
        "authenc(hmac(sha1),ecb(cipher_null))",
        "authenc(hmac(sha224),cbc(aes))",
        "authenc(hmac(sha384),cbc(aes))",
        "authenc(hmac(sha512),cbc(aes))",
        "authencesn(hmac(sha1),cbc(aes))",
        "ccm(camellia)",
        "ccm(sm4)",
        "echainiv(authenc(hmac(sha256),cbc(aes)))",
        "essiv(authenc(hmac(sha256),cbc(aes)),sha256)",
        "gcm(camellia)",
        "gcm(sm4)",
        "krb5enc(cmac(camellia),cts(cbc(camellia)))",
        "pcrypt(ccm(aes))",
        "pcrypt(gcm(aes))",
        "rfc4543(gcm(aes))",
        "rfc7539esp(chacha20,poly1305)",
        "seqiv(rfc4106(gcm(aes)))",
    ),
    "hash": (
        "blake2b-160",
        "blake2b-256",
        "blake2b-384",
        "cbcmac(aes)",
        "cmac(camellia)",
        "cmac(des3_ede)",
        "cmac(sm4)",
        "crc32",
        "crc32c",
        "crct10dif",
        "digest_null",
        "ghash",
        "hmac(md4)",
        "hmac(rmd160)",
        "hmac(sha3-224)",
        "hmac(sha3-384)",
        "hmac(sha3-512)",
        "hmac(sm3)",
        "hmac(streebog256)",
        "hmac(wp512)",
        "michael_mic",
        "nhpoly1305",
        "poly1305",
        "polyval",
        "rmd160",
        "sm3",
        "streebog256",
        "streebog512",
        "vmac64(aes)",
        "wp256",
        "wp384",
        "wp512",
        "xcbc(aes)",
        "xcbc(camellia)",
        "xxhash64",
    ),
    "rng": (
        "ansi_cprng",
        "drbg_nopr_ctr_aes128",
        "drbg_nopr_ctr_aes256",
        "drbg_nopr_hmac_sha256",
        "drbg_nopr_hmac_sha512",
        "drbg_nopr_sha256",
        "drbg_pr_ctr_aes256",
        "drbg_pr_hmac_sha256",
        "drbg_pr_hmac_sha512",
    ),
    "skcipher": (
        "adiantum(xchacha12,camellia)",
        "adiantum(xchacha20,serpent)",
        "cbc(anubis)",
        "cbc(aria)",
        "cbc(blowfish)",
        "cbc(cast5)",
        "cbc(cast6)",
        "cbc(seed)",
        "cbc(serpent)",
        "cbc(sm4)",
        "cbc(twofish)",
        "cfb(aes)",
        "ctr(blowfish)",
        "ctr(camellia)",
        "ctr(des)",
        "ctr(des3_ede)",
        "ctr(serpent)",
        "ctr(sm4)",
        "ctr(twofish)",
        "cts(cbc(camellia))",
        "ecb(arc4)",
        "ecb(blowfish)",
        "ecb(camellia)",
        "ecb(cast5)",
        "ecb(cipher_null)",
        "ecb(serpent)",
        "ecb(sm4)",
        "ecb(twofish)",
        "essiv(cbc(aes),sha256)",
        "hctr2(camellia)",
        "kw(aes)",
        "lrw(aes)",
        "lrw(camellia)",
        "lrw(serpent)",
        "lrw(twofish)",
        "ofb(aes)",
        "pcbc(fcrypt)",
        "salsa20",
        "xchacha12",
        "xchacha20",
        "xctr(aes)",
        "xts(aria)",
        "xts(cast6)",
        "xts(des3_ede)",
        "xts(sm4)",
    ),
}
MORE_NAMES = tuple(Name(kind, name) for kind, names in _MORE.items() for name in names)

#: Each in a module of its own that nothing else in a guest needs.
RARELY_LOADED = (
    Name("hash", "rmd160"),
    Name("hash", "wp512"),
    Name("hash", "streebog256"),
    Name("hash", "michael_mic"),
    Name("hash", "xxhash64"),
)
