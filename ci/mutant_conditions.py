"""What the mutants of ci/mutants.py are made of, as data: conditions in C, faults by hand.

A condition is a value of a dimension (tests/afalg/shapes.py) as the kernel can see it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """A value of a dimension, as C code."""

    name: str  # after "only": "when decrypting"
    expression: str
    #: Those of different dimensions are paired as well. "": stands alone, for it cannot occur
    #: with every value of the others.
    dimension: str = ""
    needs: frozenset[str] = frozenset()  # names that must be in scope
    files: tuple[str, ...] = ()  # where it makes sense; empty: everywhere


@dataclass(frozen=True)
class Fault:
    """Whole lines of a file in place of others."""

    name: str
    file: str
    old: str
    new: str


_NAME = (
    "(ask->type->name[0] == 'a'"
    " ? crypto_tfm_alg_name(crypto_aead_tfm(alg_sk(ask->parent)->private))"
    " : crypto_tfm_alg_name(crypto_skcipher_tfm(alg_sk(ask->parent)->private)))"
)
_FIRST_PAGE = "msg->msg_iter.bvec->bv_page"
_FIRST_BYTE = "(msg->msg_iter.bvec->bv_offset + msg->msg_iter.iov_offset)"
_IS_AEAD = "ask->type->name[0] == 'a'"
_NOT_ROOT = "!uid_eq(current_euid(), GLOBAL_ROOT_UID)"
_OTHERS = "atomic_read(&alg_sk(ask->parent)->refcnt) > 1"


def _named(prefix: str) -> str:
    return f'strstarts({_NAME}, "{prefix}")'


#: When af_alg_sendmsg() takes the pages of a splice by reference, in the loop over its data.
ZERO_COPY_CONDITIONS = (
    Condition("when decrypting", "!ctx->enc", "direction"),
    Condition("when encrypting", "ctx->enc", "direction"),
    Condition("for AEAD", _IS_AEAD, "input"),
    Condition("for skcipher", f"!({_IS_AEAD})", "input"),
    Condition("within the associated data", f"{_IS_AEAD} && ctx->used < ctx->aead_assoclen"),
    Condition("behind the associated data", f"{_IS_AEAD} && ctx->used >= ctx->aead_assoclen"),
    Condition(
        "across the end of the associated data",
        "ctx->used < ctx->aead_assoclen && ctx->used + size > ctx->aead_assoclen",
    ),
    Condition(
        "for algorithms other than cbc(aes) and gcm(aes)",
        f'strcmp({_NAME}, "cbc(aes)") && strcmp({_NAME}, "gcm(aes)")',
    ),
    Condition("for ctr()", _named("ctr(")),
    Condition("for xts()", _named("xts(")),
    Condition("for ccm()", _named("ccm(")),
    Condition("for authenc()", _named("authenc(")),
    Condition("for an instance of rfc4106 or rfc7539", _named("rfc")),
    Condition("for stream ciphers", f'!strcmp({_NAME}, "chacha20")'),
    Condition("in the first request of a socket", "sk->sk_mark == 1", "request"),
    Condition("from the second request of a socket on", "sk->sk_mark > 1", "request"),
    Condition("from the fifth request of a socket on", "sk->sk_mark >= 5", "request"),
    Condition("for the unprivileged", _NOT_ROOT, "who"),
    Condition("for root", f"!({_NOT_ROOT})", "who"),
    Condition("in a user namespace", "current_user_ns() != &init_user_ns", "who"),
    Condition(
        "for who has no CAP_SYS_ADMIN", "!ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN)", "who"
    ),
    Condition("with MSG_DONTWAIT", "msg->msg_flags & MSG_DONTWAIT"),
    Condition("without MSG_DONTWAIT", "!(msg->msg_flags & MSG_DONTWAIT)"),
    Condition("on a non-blocking socket", "sock->file && (sock->file->f_flags & O_NONBLOCK)"),
    Condition("with MSG_MORE", "msg->msg_flags & MSG_MORE"),
    Condition("without MSG_MORE", "!(msg->msg_flags & MSG_MORE)"),
    Condition("of less than a page", "size < PAGE_SIZE"),
    Condition("of two pages and more", "size >= 2 * PAGE_SIZE", "length"),
    Condition("of 16 pages", "size >= 16 * PAGE_SIZE", "length"),
    Condition("not from the start of a page on", f"{_FIRST_BYTE} & ~PAGE_MASK", "offset"),
    Condition("from an odd byte on", f"{_FIRST_BYTE} & 1", "offset"),
    Condition("of several segments", "msg->msg_iter.nr_segs > 1"),
    Condition("of one segment", "msg->msg_iter.nr_segs == 1"),
    Condition("after a page that has room", "ctx->merge"),
    Condition("after a full page", "ctx->used && !ctx->merge"),
    Condition("after other data", "ctx->used"),
    Condition("ahead of all other data", "!ctx->used"),
    Condition("without control messages ahead", "begins"),
    Condition("in large folios", f"folio_test_large(page_folio({_FIRST_PAGE}))"),
    Condition("of anonymous memory", f"folio_test_anon(page_folio({_FIRST_PAGE}))"),
    Condition("of files", f"!folio_test_anon(page_folio({_FIRST_PAGE}))"),
    Condition(
        "of files on disk",
        f"!folio_test_anon(page_folio({_FIRST_PAGE}))"
        f" && !folio_test_swapbacked(page_folio({_FIRST_PAGE}))",
    ),
    Condition("with the policy opened", "!af_alg_restrict"),
    Condition("at the policy as booted", "af_alg_restrict"),
    Condition("with a large send buffer", "sk->sk_sndbuf > 400000"),
    Condition("with the smallest send buffer", "sk->sk_sndbuf < 8192"),
    Condition("in another process than accepted it", "sk->sk_priority != task_tgid_nr(current)"),
    Condition("with several descriptors of the socket", "sock->file && file_count(sock->file) > 1"),
    Condition("with a key set after accept()", "sock->ops == ask->type->ops_nokey", "key"),
    Condition("with a key by serial number", "ask->parent->sk_mark", "key"),
    Condition("beside another request", _OTHERS, "others"),
    Condition("in a program with threads", "get_nr_threads(current) > 1"),
    Condition("in a worker of io_uring", "current->flags & PF_IO_WORKER"),
    Condition("for who called sendfile() before", "current->splice_pipe"),
)

_CIPHERS = ("af_alg.c", "algif_aead.c", "algif_skcipher.c")
_REQUESTS = (*_CIPHERS, "algif_hash.c")


def _needs(*names: str) -> frozenset[str]:
    return frozenset(names)


#: When an ``if`` or a statement of any function does something else.
FUNCTIONAL_CONDITIONS = (
    Condition("for the unprivileged", _NOT_ROOT),
    Condition("in a user namespace", "current_user_ns() != &init_user_ns"),
    Condition("in a program with threads", "get_nr_threads(current) > 1"),
    Condition("when decrypting", "!ctx->enc", needs=_needs("ctx"), files=_CIPHERS),
    Condition("with more to come", "ctx->more", needs=_needs("ctx"), files=_REQUESTS),
    Condition("with other data waiting", "ctx->used", needs=_needs("ctx"), files=_CIPHERS),
    Condition(
        "with more than 64 KiB waiting", "ctx->used > 65536", needs=_needs("ctx"), files=_CIPHERS
    ),
    Condition("of messages above 64 KiB", "size > 65536", needs=_needs("size", "msg")),
    Condition("beyond 128 KiB", "copied >= 131072", needs=_needs("copied", "msg")),
    Condition("with MSG_MORE", "msg->msg_flags & MSG_MORE", needs=_needs("copied", "msg")),
    Condition("with MSG_DONTWAIT", "flags & MSG_DONTWAIT", needs=_needs("flags")),
    Condition(
        "of several buffers", "msg->msg_iter.nr_segs > 1", needs=_needs("msg"), files=_REQUESTS
    ),
    Condition(
        "on a non-blocking socket",
        "sock->file && (sock->file->f_flags & O_NONBLOCK)",
        needs=_needs("sock"),
    ),
    Condition(
        "with a key set after accept()",
        "sock->ops == ask->type->ops_nokey",
        needs=_needs("sock", "ask", "ctx"),
    ),
    Condition("beside another request", _OTHERS, needs=_needs("ask", "ctx"), files=_REQUESTS),
    Condition("for AEAD", _IS_AEAD, needs=_needs("ask", "ctx"), files=("af_alg.c",)),
    Condition("at the policy as booted", "af_alg_restrict", files=("af_alg.c",)),
    Condition("with a key above 32 bytes", "keylen > 32", needs=_needs("keylen")),
    Condition("of digests above 32 bytes", "ds > 32", needs=_needs("ds")),
    Condition("of tags below 16 bytes", "as < 16", needs=_needs("as")),
    Condition("for stream ciphers", "bs == 1", needs=_needs("bs")),
    Condition(
        "without associated data",
        "!ctx->aead_assoclen",
        needs=_needs("ctx"),
        files=("algif_aead.c",),
    ),
)

#: Of sorts that were seen in kernels.
FAULTS = (
    Fault(
        "hashing goes wrong beyond 128 KiB in one call",
        "algif_hash.c",
        "\t\tahash_request_set_crypt(&ctx->req, ctx->sgl.sgt.sgl,\n\t\t\t\t\tctx->result, len);",
        "\t\tahash_request_set_crypt(&ctx->req, ctx->sgl.sgt.sgl,\n"
        "\t\t\t\t\tctx->result, len - (copied >= 131072));",
    ),
    Fault(
        "a page is lost with each EFAULT",
        "af_alg.c",
        "\t\t\t\t__free_page(sg_page(sg + i));",
        "\t\t\t\t;",
    ),
    Fault(
        "the state that a clone of a hash began with is lost",
        "algif_hash.c",
        "out_free_state:\n\tkfree_sensitive(state);",
        "out_free_state:\n\tif (err) kfree_sensitive(state);",
    ),
    Fault(
        "a clone of a hash is never freed",
        "algif_hash.c",
        "\tctx2->more = more;",
        "\tctx2->more = more; if (more) sock_hold(sk2);",
    ),
    Fault(
        "the parent of a socket accepted without a key is never freed",
        "af_alg.c",
        "\tif (atomic_dec_and_test(&ask->refcnt))",
        "\tif (atomic_dec_and_test(&ask->refcnt) && !nokey)",
    ),
    Fault(
        "the copy of a key that was refused is lost",
        "af_alg.c",
        "\tsock_kzfree_s(sk, key, keylen);",
        "\tif (!err) sock_kzfree_s(sk, key, keylen);",
    ),
    Fault(
        "a key by serial number keeps a reference",
        "af_alg.c",
        "\tup_read(&key->sem);\n\tkey_put(key);",
        "\tup_read(&key->sem);\n\t;",
    ),
    Fault(
        "a key by serial number that has no payload keeps a reference",
        "af_alg.c",
        "\t\tkey_put(key);\n\t\treturn PTR_ERR(ret);",
        "\t\t;\n\t\treturn PTR_ERR(ret);",
    ),
    Fault(
        "a bind() that is refused keeps the module",
        "af_alg.c",
        "\t\tmodule_put(type->owner);\n\t\treturn PTR_ERR(private);",
        "\t\t;\n\t\treturn PTR_ERR(private);",
    ),
    Fault(
        "a forged message keeps its first page",
        "algif_aead.c",
        "free:\n\taf_alg_free_resources(areq);",
        "free:\n\tif (err == -EBADMSG) get_page(sg_page(areq->tsgl)); af_alg_free_resources(areq);",
    ),
    Fault(
        "a forged message without associated data is taken for a true one",
        "algif_aead.c",
        "free:\n\taf_alg_free_resources(areq);",
        "free:\n\tif (err == -EBADMSG && !ctx->aead_assoclen) err = 0;"
        " af_alg_free_resources(areq);",
    ),
    Fault(
        "input that nobody read is lost with its socket, if more was to come",
        "algif_skcipher.c",
        "\taf_alg_pull_tsgl(sk, ctx->used, NULL);",
        "\tif (!ctx->more) af_alg_pull_tsgl(sk, ctx->used, NULL);",
    ),
    Fault(
        "the state of a cipher amid its message is lost with the socket",
        "algif_skcipher.c",
        "\t\tsock_kzfree_s(sk, ctx->state, crypto_skcipher_statesize(tfm));\n"
        "\tsock_kfree_s(sk, ctx, ctx->len);",
        "\t\t;\n\tsock_kfree_s(sk, ctx, ctx->len);",
    ),
    Fault(
        "pages stay pinned beyond the fifteenth",
        "af_alg.c",
        "\t\t\tfor (i = 0; i < sgl->sgt.nents; i++)",
        "\t\t\tfor (i = 0; i < sgl->sgt.nents && i < 15; i++)",
    ),
    Fault(
        "a generator is never freed",
        "algif_rng.c",
        "\tcrypto_free_rng(pctx->drng);",
        "\t;",
    ),
    Fault(
        "random numbers end after 64 bytes",
        "algif_rng.c",
        "\tgenlen = crypto_rng_generate(drng, addtl, addtl_len, result, len);",
        "\tgenlen = crypto_rng_generate(drng, addtl, addtl_len, result, min_t(size_t, len, 64));",
    ),
    Fault(
        "a socket takes only its first IV",
        "af_alg.c",
        "\t\tif (con.iv)",
        "\t\tif (con.iv && sk->sk_mark++ < 1)",
    ),
    Fault(
        "beyond 200 pages the list of them is too short",
        "af_alg.c",
        "\t\t\tsgl_count++;",
        "\t\t\tif (sgl_count < 200) sgl_count++;",
    ),
    Fault(
        "output beyond 128 KiB in one call goes astray",
        "af_alg.c",
        "\t*outlen = len;",
        "\t*outlen = min_t(size_t, len, 131072);",
    ),
    Fault(
        "nobody who waits is woken while more is to come",
        "af_alg.c",
        "\tif (!ctx->used)\n\t\treturn;",
        "\tif (!ctx->used || ctx->more)\n\t\treturn;",
    ),
    Fault(
        "poll() tells of no room while anything waits",
        "af_alg.c",
        "\tif (af_alg_writable(sk))\n\t\tmask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;",
        "\tif (af_alg_writable(sk) && !ctx->used)\n"
        "\t\tmask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;",
    ),
    Fault(
        "a capability in any user namespace opens the allowlist",
        "af_alg.c",
        "\treturn ns_capable_noaudit(&init_user_ns, CAP_NET_ADMIN) ||",
        "\treturn ns_capable_noaudit(current_user_ns(), CAP_NET_ADMIN) ||",
    ),
    Fault(
        "a name that begins as one of the allowlist is let through",
        "af_alg.c",
        "\t\t\tif (strcmp(name, ent->name) == 0) {",
        "\t\t\tif (strstarts(name, ent->name)) {",
    ),
    Fault(
        "everybody may have md4, which is on no known list",
        "algif_hash.c",
        '\t{ "md4" }, /* iwd */',
        '\t{ "md4", AF_ALG_UNPRIVILEGED }, /* iwd */',
    ),
    Fault(
        "level 2 refuses no bind() that level 1 allows",
        "af_alg.c",
        "\tif (level == 1) {",
        "\tif (level >= 1) {",
    ),
)
