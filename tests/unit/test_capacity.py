"""How many guests at once: by CPUs, by memory, by the share that a container has."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import capacity
from harness.capacity import GUEST_BYTES, default_jobs, free_memory, guests_in_memory


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 CPUs and 16 GiB free, in no container."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {16 << 20} kB\n")
    (tmp_path / "proc/self/cgroup").write_text("1:cpu:/\n0::/\n")
    monkeypatch.setattr(capacity, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(capacity, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    return tmp_path


def _group(machine: Path, line: str, files: dict[str, str]) -> None:
    (machine / "proc/self/cgroup").write_text(f"{line}\n")
    for name, text in files.items():
        path = machine / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_large_machine(machine: Path) -> None:
    assert free_memory() == 16 << 30
    assert default_jobs() == 8


def test_a_machine_with_little_memory(machine: Path) -> None:
    (machine / "proc/meminfo").write_text(f"MemAvailable: {(3 * GUEST_BYTES - 1) >> 10} kB\n")
    assert default_jobs() == 2


def test_one_guest_is_always_tried(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "proc/meminfo").write_text("MemAvailable: 1000 kB\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    assert default_jobs() == 1


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("0::/a/b", {"a/memory.max": f"{3 << 30}", "a/memory.current": f"{1 << 30}"}),
        ("0::/", {"memory.max": f"{2 << 30}\n", "memory.current": "0\n"}),
        (
            "4:cpu,memory:/a",
            {
                "memory/a/memory.limit_in_bytes": f"{2 << 30}",
                "memory/a/memory.usage_in_bytes": "0",
                "memory/memory.limit_in_bytes": f"{1 << 60}",
                "memory/memory.usage_in_bytes": "5",
            },
        ),
    ],
)
def test_a_container_with_a_limit(machine: Path, line: str, files: dict[str, str]) -> None:
    _group(machine, line, files)
    assert free_memory() == 2 << 30
    assert guests_in_memory(free_memory()) == 1


def test_a_container_without_a_limit(machine: Path) -> None:
    _group(machine, "0::/a", {"a/memory.max": "max\n", "a/memory.current": "7\n"})
    assert free_memory() == 16 << 30
