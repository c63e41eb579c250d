"""What a kernel's code says of taking pages by reference."""

from __future__ import annotations

import lzma
import re
import subprocess
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.model import CodeFinding, CodeWord
from harness.static.callgraph import HANDED
from harness.static.witness import WAYS, ask
from tests.unit.static.assembler import Assembler, Functions, kallsyms

NO_IMAGE = Path("/nonexistent/vmlinuz")
#: What af_alg.ko is here, unless a test says otherwise.
COMMON: Functions = {
    "af_alg_sendmsg": ["call _copy_from_iter", "call sock_kmalloc"],
    "af_alg_get_rsgl": ["call sock_kmalloc", "call extract_iter_to_sg"],
}
SKCIPHER: Functions = {
    "skcipher_sendmsg": ["jmp af_alg_sendmsg"],
    "skcipher_sendmsg_nokey": ["call skcipher_check_key", "call skcipher_sendmsg"],
    "skcipher_recvmsg": ["call af_alg_get_rsgl"],
    "skcipher_check_key": ["call lock_sock_nested"],
}
TABLES = {
    "algif_skcipher_ops": ["af_alg_release", "skcipher_sendmsg", "skcipher_recvmsg"],
    "algif_skcipher_ops_nokey": ["skcipher_sendmsg_nokey", "sock_no_mmap"],
}


class Kernel:
    """A kernel's modules, written where ask() finds them."""

    def __init__(self, assembler: Assembler, place: Path) -> None:
        self._assembler = assembler
        self.modules = place / "modules"
        self.common: dict[str, list[str]] = {name: [*body] for name, body in COMMON.items()}
        self.skcipher: dict[str, list[str]] = {name: [*body] for name, body in SKCIPHER.items()}
        self.tables: dict[str, list[str]] = {name: [*items] for name, items in TABLES.items()}

    def write(self) -> None:
        """Write both modules."""
        self.put("af_alg", self._assembler.module(self.common))
        self.put("algif_skcipher", self._assembler.module(self.skcipher, self.tables))

    def put(self, name: str, content: bytes) -> Path:
        """Write one module."""
        path = self.modules / "kernel/crypto" / f"{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def ask(self, way: str = "skcipher.input", image: Path = NO_IMAGE) -> CodeFinding:
        """What its code says of one way."""
        self.write()
        return _of(ask(self.modules, image), way)


def _of(findings: tuple[CodeFinding, ...], way: str) -> CodeFinding:
    assert tuple(finding.way for finding in findings) == WAYS
    return findings[WAYS.index(way)]


@pytest.fixture
def kernel(assembler: Assembler, tmp_path: Path) -> Kernel:
    """A kernel whose skcipher sockets copy their input."""
    return Kernel(assembler, tmp_path)


def test_copied(kernel: Kernel) -> None:
    assert kernel.ask() == CodeFinding(
        "skcipher.input", CodeWord.CANNOT, ("skcipher_sendmsg", "skcipher_sendmsg_nokey")
    )


def test_from_one_module_into_another(kernel: Kernel) -> None:
    kernel.common["af_alg_sendmsg"] += ["call extract_iter_to_sg"]
    assert kernel.ask() == CodeFinding(
        "skcipher.input",
        CodeWord.CAN,
        ("skcipher_sendmsg", "af_alg_sendmsg", "extract_iter_to_sg"),
    )
    assert kernel.ask().in_words() == (
        "can refer to pages: skcipher_sendmsg -> af_alg_sendmsg -> extract_iter_to_sg"
    )


@pytest.mark.parametrize(
    "taker",
    [
        "iov_iter_extract_pages",
        "iov_iter_get_pages2",
        "iov_iter_get_pages_alloc2",
        "__iov_iter_get_pages_alloc",
        "pin_user_pages_fast",
        "get_user_pages_unlocked",
        "skb_splice_from_iter",
        "__page_ref_mod",
    ],
)
def test_every_function_that_takes_pages(kernel: Kernel, taker: str) -> None:
    kernel.common["af_alg_sendmsg"] += [f"call {taker}"]
    assert kernel.ask().evidence[-1] == taker


@pytest.mark.parametrize("other", ["iov_iter_npages", "unpin_user_page", "get_page_from_freelist"])
def test_functions_that_only_sound_like_it(kernel: Kernel, other: str) -> None:
    kernel.common["af_alg_sendmsg"] += [f"call {other}"]
    assert kernel.ask().word is CodeWord.CANNOT


def test_directions_are_told_apart(kernel: Kernel) -> None:
    assert kernel.ask("skcipher.output").evidence == (
        "skcipher_recvmsg",
        "af_alg_get_rsgl",
        "extract_iter_to_sg",
    )


@pytest.mark.parametrize("part", ["part.0", "isra.0", "constprop.0", "cold"])
def test_parts_of_a_function(kernel: Kernel, part: str) -> None:
    """The compiler splits functions; a part in the same section is called without relocation."""
    name = f"af_alg_sendmsg.{part}"
    kernel.common[name] = ["call extract_iter_to_sg"]
    kernel.common["af_alg_sendmsg"] += ["test %rax, %rax", f"jne {name}"]
    assert kernel.ask().evidence[1:] == ("af_alg_sendmsg", name, "extract_iter_to_sg")


def test_only_without_a_key(kernel: Kernel) -> None:
    kernel.skcipher["skcipher_check_key"] += ["call pin_user_pages"]
    assert kernel.ask().evidence == (
        "skcipher_sendmsg_nokey",
        "skcipher_check_key",
        "pin_user_pages",
    )


def test_what_merely_lies_behind_it(kernel: Kernel) -> None:
    """Until it is linked, a call leads nowhere: to the instruction behind it."""
    kernel.skcipher = {
        "skcipher_sendmsg": ["jmp af_alg_sendmsg"],
        "unrelated": ["call pin_user_pages"],
        **kernel.skcipher,
    }
    assert kernel.ask().word is CodeWord.CANNOT


def test_a_pointer_handed_on(kernel: Kernel) -> None:
    kernel.common["take"] = ["call extract_iter_to_sg"]
    kernel.common["af_alg_sendmsg"] += ["movq $take, %rdi", "call for_each_page"]
    assert kernel.ask().evidence[-2:] == ("take", "extract_iter_to_sg")


def test_calls_in_a_circle_end(kernel: Kernel) -> None:
    kernel.skcipher["skcipher_check_key"] += ["call skcipher_sendmsg_nokey"]
    assert kernel.ask().word is CodeWord.CANNOT


@pytest.mark.parametrize(
    ("instruction", "word"),
    [
        ("lock incl 0x34(%rax)", CodeWord.CAN),
        ("lock addl $2, 0x34(%rax)", CodeWord.CAN),
        ("lock cmpxchgl %edx, 0x34(%rbx)", CodeWord.CAN),
        ("lock decl 0x34(%rax)", CodeWord.CANNOT),  # put_page()
        ("lock incl 0x80(%rax)", CodeWord.CANNOT),  # of something else
        ("incl 0x34(%rax)", CodeWord.CANNOT),
        ("lock addl $0, -4(%rsp)", CodeWord.CANNOT),  # a memory barrier
    ],
)
def test_get_page_in_the_code_itself(kernel: Kernel, instruction: str, word: CodeWord) -> None:
    kernel.common["af_alg_sendmsg"] += [instruction]
    assert kernel.ask().word is word


def test_receivers_count_the_kernels_own_pages(kernel: Kernel) -> None:
    kernel.common["af_alg_get_rsgl"] = ["lock incl 0x34(%rax)"]
    assert kernel.ask("skcipher.output").word is CodeWord.CANNOT


class TestSendpage:
    """Up to 6.4 a socket is handed the pages of splice() one by one."""

    @pytest.mark.parametrize(
        ("function", "evidence"),
        [
            (["call sg_set_page", "jne 1f", "1:"], ("af_alg_sendpage", HANDED)),
            (["call iov_iter_bvec", "call sock_sendmsg"], ()),  # 6.1.154 and later
        ],
    )
    def test_common(self, kernel: Kernel, function: list[str], evidence: tuple[str, ...]) -> None:
        kernel.common["af_alg_sendpage"] = function
        kernel.tables["algif_skcipher_ops"] += ["af_alg_sendpage"]
        finding = kernel.ask()
        assert finding.word is (CodeWord.CAN if evidence else CodeWord.CANNOT)
        assert not evidence or finding.evidence == evidence

    def test_refused(self, kernel: Kernel) -> None:
        kernel.tables["algif_skcipher_ops"] += ["sock_no_sendpage"]
        assert kernel.ask().word is CodeWord.CANNOT

    def test_by_way_of_the_one_without_a_key(self, kernel: Kernel) -> None:
        kernel.skcipher["skcipher_sendpage_nokey"] = ["jmp af_alg_sendpage"]
        kernel.common["af_alg_sendpage"] = ["call sock_sendmsg"]
        kernel.tables["algif_skcipher_ops_nokey"] += ["skcipher_sendpage_nokey"]
        assert kernel.ask().word is CodeWord.CANNOT


def test_an_operation_that_refuses(kernel: Kernel, assembler: Assembler) -> None:
    tables = {"algif_rng_ops": ["sock_no_sendmsg", "rng_recvmsg"]}
    kernel.put("algif_rng", assembler.module({"rng_recvmsg": ["call _copy_to_iter"]}, tables))
    assert kernel.ask("rng.input") == CodeFinding("rng.input", CodeWord.CANNOT)
    assert kernel.ask("rng.input").in_words() == "cannot: no such operation"
    assert kernel.ask("rng.output").evidence == ("rng_recvmsg",)


def test_compressed(kernel: Kernel) -> None:
    kernel.common["af_alg_sendmsg"] += ["call extract_iter_to_sg"]
    kernel.write()
    for module in kernel.modules.rglob("*.ko"):
        module.with_name(f"{module.name}.xz").write_bytes(lzma.compress(module.read_bytes()))
        module.unlink()
    assert _of(ask(kernel.modules, NO_IMAGE), "skcipher.input").word is CodeWord.CAN


class TestSilent:
    """What cannot be read proves nothing, and is named."""

    def test_neither_module_nor_image(self) -> None:
        for finding in ask(None, NO_IMAGE):
            assert finding.word is CodeWord.SILENT
            assert str(NO_IMAGE) in finding.reason

    @pytest.mark.parametrize("content", [b"", b"MZ and no more", b"\x7fELF and no more"])
    def test_no_kernel(self, tmp_path: Path, content: bytes) -> None:
        image = tmp_path / "vmlinuz"
        image.write_bytes(content)
        assert {finding.word for finding in ask(None, image)} == {CodeWord.SILENT}

    def test_image_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image = tmp_path / "vmlinuz"
        image.write_bytes(b"packed")
        unpacked: list[bytes] = []

        def unpack(content: bytes) -> bytes:
            unpacked.append(content)
            raise InputError("the kernel in the image is damaged")

        monkeypatch.setattr("harness.static.kernel.unpack_kernel", unpack)
        assert {finding.reason for finding in ask(None, image)} == {
            "the kernel in the image is damaged"
        }
        assert unpacked == [b"packed"]

    def test_damaged(self, kernel: Kernel) -> None:
        kernel.write()
        kernel.put("algif_skcipher", b"\x7fELF and no more")
        finding = _of(ask(kernel.modules, NO_IMAGE), "skcipher.input")
        assert finding.in_words().startswith("silent: algif_skcipher.ko is damaged")

    def test_damaged_anywhere(self, kernel: Kernel) -> None:
        """Cut short it is silent; garbled it may be, but never is there another exception."""
        kernel.write()
        whole = (kernel.modules / "kernel/crypto/algif_skcipher.ko").read_bytes()
        for length in range(0, len(whole), 97):
            kernel.put("algif_skcipher", whole[:length])
            assert _of(ask(kernel.modules, NO_IMAGE), "skcipher.input").word is CodeWord.SILENT
        for place in range(0, len(whole), 14):
            kernel.put("algif_skcipher", whole[:place] + b"\xff" * 7 + whole[place + 7 :])
            ask(kernel.modules, NO_IMAGE)

    def test_damaged_compression(self, kernel: Kernel) -> None:
        kernel.write()
        path = kernel.modules / "kernel/crypto/algif_skcipher.ko"
        path.rename(f"{path}.xz")
        assert "algif_skcipher.ko.xz" in _of(ask(kernel.modules, NO_IMAGE), "skcipher.input").reason

    @pytest.mark.parametrize("option", ["--strip-all", "--strip-unneeded"])
    def test_without_symbols(self, kernel: Kernel, option: str) -> None:
        kernel.write()
        path = kernel.modules / "kernel/crypto/algif_skcipher.ko"
        subprocess.run(["strip", option, path], check=True)
        finding = _of(ask(kernel.modules, NO_IMAGE), "skcipher.input")
        assert finding.word is CodeWord.SILENT
        assert "symbols" in finding.reason

    def test_bytes_that_are_no_code(self, kernel: Kernel) -> None:
        kernel.common["af_alg_sendmsg"] += [".byte 0x06"]
        assert kernel.ask().reason == (
            "af_alg_sendmsg in af_alg.ko: no instruction that is known 10 bytes into it"
        )
        assert kernel.ask("skcipher.output").word is CodeWord.CAN, "it is not on that way"

    def test_but_the_rest_can(self, kernel: Kernel) -> None:
        kernel.common["af_alg_sendmsg"] += [".byte 0x06"]
        kernel.skcipher["skcipher_check_key"] += ["call pin_user_pages"]
        assert kernel.ask().word is CodeWord.CAN

    def test_an_operation_from_nowhere(self, kernel: Kernel) -> None:
        kernel.tables["algif_skcipher_ops"] += ["generic_sendmsg"]
        assert "generic_sendmsg()" in kernel.ask().reason


BUILT_IN: Functions = {
    **COMMON,
    **SKCIPHER,
    "rng_recvmsg": ["call _copy_to_iter"],
    "_copy_from_iter": [],
    "_copy_to_iter": [],
    "lock_sock_nested": [],
    "extract_iter_to_sg": [],
    # Whatever allocates ends up in code that pins pages, for reasons of its own.
    "sock_kmalloc": ["call pin_user_pages"],
    "pin_user_pages": [],
}
_GLOBAL = ("_copy", "lock_sock", "extract_", "sock_", "pin_")


def _built(assembler: Assembler, functions: Functions) -> tuple[bytes, str]:
    """A kernel and its System.map, in which what is not AF_ALG's is not static."""
    content, text = assembler.kernel(functions)
    lines = [
        line.replace(" t ", " T ") if line.split()[2].startswith(_GLOBAL) else line
        for line in text.splitlines()
    ]
    return content, "".join(f"{line}\n" for line in lines)


def _with(name: str, instruction: str) -> Functions:
    return {**BUILT_IN, name: [*BUILT_IN[name], instruction]}


class TestBuiltIn:
    """Without modules the code is that of the image."""

    @pytest.mark.parametrize(
        ("functions", "evidence"),
        [
            (BUILT_IN, ()),
            (
                _with("af_alg_sendmsg", "call extract_iter_to_sg"),
                ("skcipher_sendmsg", "af_alg_sendmsg", "extract_iter_to_sg"),
            ),
            (
                _with("skcipher_check_key", "jne extract_iter_to_sg"),
                ("skcipher_sendmsg_nokey", "skcipher_check_key", "extract_iter_to_sg"),
            ),
            (
                {**_with("af_alg_sendmsg", "jne cold.cold"), "cold.cold": ["call pin_user_pages"]},
                ("skcipher_sendmsg", "af_alg_sendmsg", "cold.cold", "pin_user_pages"),
            ),
        ],
    )
    def test_by_system_map(
        self,
        assembler: Assembler,
        tmp_path: Path,
        functions: Functions,
        evidence: tuple[str, ...],
    ) -> None:
        image, system_map = tmp_path / "vmlinux", tmp_path / "System.map"
        content, text = _built(assembler, functions)
        image.write_bytes(content)
        system_map.write_text(text)
        findings = ask(None, image, system_map)
        assert _of(findings, "skcipher.input").word is (
            CodeWord.CAN if evidence else CodeWord.CANNOT
        )
        assert not evidence or _of(findings, "skcipher.input").evidence == evidence
        assert _of(findings, "rng.input") == CodeFinding("rng.input", CodeWord.CANNOT)
        assert _of(findings, "aead.input").reason == (
            "neither a module algif_aead nor aead_recvmsg() in the kernel"
        )

    def test_handed_a_page(self, assembler: Assembler, tmp_path: Path) -> None:
        image, system_map = tmp_path / "vmlinux", tmp_path / "System.map"
        sendpage = ["jne 1f", "1: call lock_sock_nested"]
        content, text = _built(assembler, {**BUILT_IN, "af_alg_sendpage": sendpage, "_copy": []})
        image.write_bytes(content)
        system_map.write_text(text)
        findings = ask(None, image, system_map)
        assert _of(findings, "skcipher.input").evidence == ("af_alg_sendpage", HANDED)
        assert _of(findings, "rng.input").word is CodeWord.CANNOT, "it does not share that"

    def test_by_the_kernels_own_symbols(self, assembler: Assembler, tmp_path: Path) -> None:
        content, text = _built(assembler, _with("af_alg_sendmsg", "call extract_iter_to_sg"))
        symbols = [
            (int(address, 16), kind + name)
            for address, kind, name in map(str.split, text.splitlines())
            if kind in "tT"
        ]
        last = max(symbols)[0]
        symbols = sorted([*symbols, *((last + 64 + n, f"tother_{n}") for n in range(600))])
        image = tmp_path / "vmlinux"
        content += b"\0" * (-len(content) % 8)
        image.write_bytes(content + kallsyms(symbols, layout="6.12", address=0))
        findings = ask(None, image)
        assert _of(findings, "skcipher.input").evidence[-1] == "extract_iter_to_sg"
        assert _of(findings, "rng.output").word is CodeWord.CANNOT

    def test_without_symbols(self, assembler: Assembler, tmp_path: Path) -> None:
        image = tmp_path / "vmlinux"
        image.write_bytes(_built(assembler, BUILT_IN)[0])
        finding = _of(ask(None, image), "skcipher.input")
        assert re.fullmatch(r"silent: no symbols found in the kernel .*", finding.in_words())

    def test_no_system_map(self, assembler: Assembler, tmp_path: Path) -> None:
        image, system_map = tmp_path / "vmlinux", tmp_path / "System.map"
        image.write_bytes(_built(assembler, BUILT_IN)[0])
        system_map.write_text("not a map\n")
        assert "no System.map" in _of(ask(None, image, system_map), "skcipher.input").reason

    def test_called_by_a_module(self, kernel: Kernel, assembler: Assembler, tmp_path: Path) -> None:
        image, system_map = tmp_path / "vmlinux", tmp_path / "System.map"
        content, text = _built(assembler, _with("af_alg_sendmsg", "call extract_iter_to_sg"))
        image.write_bytes(content)
        system_map.write_text(text)
        kernel.write()
        (kernel.modules / "kernel/crypto/af_alg.ko").unlink()
        findings = ask(kernel.modules, image, system_map)
        assert _of(findings, "skcipher.input").evidence == (
            "skcipher_sendmsg",
            "af_alg_sendmsg",
            "extract_iter_to_sg",
        )
