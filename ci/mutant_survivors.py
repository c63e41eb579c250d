"""Why a mutant of ci/mutants.py that survives is no hole of the suite, as data."""

from __future__ import annotations

import re

_ALLOCATION = (
    "seen only where an allocation fails: the suite faults lets them, on kernels built for it"
)
_ZEROED = "Debian's kernel zeroes memory as it allocates it (CONFIG_INIT_ON_ALLOC_DEFAULT_ON)"
_CAVP = "additional data takes CONFIG_CRYPTO_USER_API_RNG_CAVP, which Debian's kernel has not"

#: Pattern of the mutant as it is printed, and why nothing that a guest can see is other.
REASONS: tuple[tuple[str, str], ...] = (
    (r"(return|err =) -ENOMEM;  =>", _ALLOCATION),
    (r"algif_(aead|skcipher)\.c:\d+: sock_kfree_s\(sk, ctx, len\);", _ALLOCATION),
    (
        r"sock_kzfree_s\(sk, ctx->state, crypto_skcipher_statesize\(tfm\)\);",
        "only arc4 has a state, which Debian's kernel has not; elsewhere test_leaks.py has a test",
    ),
    (
        r"for stream ciphers: algif_skcipher\.c:\d+: if \(!err\)  =>",
        "no stream cipher has errors, nor a state to be kept but arc4, which Debian's has not",
    ),
    (
        r"of several buffers: algif_hash\.c:146: ",
        "asked where all was taken, when no buffer is left of several",
    ),
    (
        r"without associated data: .*aead_request_set_ad\(.*=>  if \(!\(!ctx->aead_assoclen\)\)",
        "sets the length that the request, zeroed before, has already",
    ),
    (r": memset\((areq|ctx|ctx->iv), 0, [^;]*;  =>", _ZEROED),
    (
        r": memset\((ctx->)?result, 0, [^;]*;  =>",
        "all of the result is written before any of it is read",
    ),
    (r"algif_rng\.c:\d+: .*(ctx->addtl|rng_reset_addtl|entropy)", _CAVP),
    (
        r": af_alg\.c:\d+: sg_(un)?mark_end\(sg \+ sgl->cur - 1\);",
        "nobody looks for the end of this list: its entries are counted, and copied one by one",
    ),
    (
        r": af_alg\.c:\d+: ctx->merge = 0;",
        "0 already: a page that has room was filled up, and the loop begun anew",
    ),
    (
        r": ctx->inflight = ",
        "a mark for a WARN_ON(), which the lock of the socket keeps from firing",
    ),
)


def reason_of(mutant: str) -> str:
    """Why a mutant cannot be noticed; "" if nothing is known of it."""
    return next((reason for pattern, reason in REASONS if re.search(pattern, mutant)), "")
