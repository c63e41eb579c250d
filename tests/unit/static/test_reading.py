"""What a kernel's code says is read once for all processes that use the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model import BootableKernel, CodeFinding, CodeWord
from harness.static import reading, witness

_FOUND = (
    CodeFinding("skcipher.input", CodeWord.CAN, ("skcipher_sendmsg", "extract_iter_to_sg")),
    CodeFinding("aead.input", CodeWord.SILENT, reason="no such module"),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images whose code was really read."""
    images: list[Path] = []

    def ask(_: Path | None, image: Path) -> tuple[CodeFinding, ...]:
        images.append(image)
        return _FOUND

    monkeypatch.setattr(witness, "ask", ask)
    return images


def _kernel(place: Path, *, cached: bool = True) -> BootableKernel:
    image = place / "boot/boot/vmlinuz-7.3"
    image.parent.mkdir(parents=True)
    image.touch()
    if cached:
        (place / "kernel.json").touch()
    return BootableKernel("debian:7.3", "7.3", image, None, None, None)


def _in_another_process(kernel: BootableKernel) -> tuple[CodeFinding, ...]:
    reading._read.cache_clear()
    return reading.read_code(kernel)


def test_a_later_process_reads_nothing(tmp_path: Path, asked: list[Path]) -> None:
    kernel = _kernel(tmp_path)
    assert _in_another_process(kernel) == _in_another_process(kernel) == _FOUND
    assert asked == [kernel.image]


def test_another_reader_reads_again(
    tmp_path: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = _kernel(tmp_path)
    _in_another_process(kernel)
    monkeypatch.setattr(reading, "_reader", lambda: "another")
    assert _in_another_process(kernel) == _FOUND
    assert len(asked) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"reader": 1}', '{"reader": "READER", "findings": [{"way": 1}]}']
)
def test_what_is_damaged_is_read_again(tmp_path: Path, asked: list[Path], text: str) -> None:
    kernel = _kernel(tmp_path)
    (tmp_path / "code.json").write_text(text.replace("READER", reading._reader()))
    assert _in_another_process(kernel) == _FOUND
    assert len(asked) == 1


def test_nothing_is_written_beside_a_kernel_that_is_not_in_the_cache(
    tmp_path: Path, asked: list[Path]
) -> None:
    kernel = _kernel(tmp_path, cached=False)
    assert _in_another_process(kernel) == _FOUND
    assert asked and not (tmp_path / "code.json").exists()
