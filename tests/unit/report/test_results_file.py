"""results.json: exact round trip, one-line errors."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InfrastructureError, InputError
from harness.model import CodeWord, RunResult
from harness.report import results_file
from tests.unit import samples

RUNS = {
    "code": samples.run(
        samples.with_code(samples.old(), CodeWord.CAN),
        samples.with_code(samples.new(), CodeWord.SILENT),
    ),
    "main": samples.main_job(),
    "bad": samples.run(
        samples.old(),
        samples.crashed(),
        samples.hung(),
        samples.no_af_alg(),
        samples.regressed(),
        samples.unavailable(),
        samples.boot_failed(),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    results_file.save(RUNS[name], tmp_path / "results.json")
    assert results_file.load(tmp_path) == RUNS[name]
    assert results_file.load(tmp_path / "results.json") == RUNS[name]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_what_the_code_says_is_stored(tmp_path: Path) -> None:
    data = stored(tmp_path, RUNS["code"])
    kernel = data["kernels"][0]
    finding = {
        "way": "skcipher.input",
        "word": "can refer to pages",
        "evidence": ["skcipher_sendmsg", "af_alg_sendmsg", "extract_iter_to_sg"],
        "reason": "",
    }
    assert finding in kernel["code"]
    assert kernel["facts"]["zero_copy"]["skcipher.splice_file"]["code"] == finding


def test_a_file_from_before_the_code_was_asked(tmp_path: Path) -> None:
    data = stored(tmp_path, RUNS["main"])
    for kernel in data["kernels"]:
        del kernel["code"]
        for fact in kernel["facts"]["zero_copy"].values():
            for name in ("code", "shapes", "others"):
                del fact[name]
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert results_file.load(tmp_path) == RUNS["main"]


def test_any_text_survives(tmp_path: Path) -> None:
    odd = samples.failed(samples.SHA256_TEST, "\x00\x1b[31m \udcff \u2028 é")
    result = samples.run(samples.with_test(samples.new(), odd))
    results_file.save(result, tmp_path / "results.json")
    assert results_file.load(tmp_path) == result


def stored(tmp_path: Path, result: RunResult) -> dict[str, Any]:
    results_file.save(result, tmp_path / "results.json")
    data: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    return data


def test_shape_that_others_read(tmp_path: Path) -> None:
    data = stored(tmp_path, RUNS["main"])
    assert data["schema"] == 2
    assert data["exit_code"] == 0
    assert data["host"]["accel"] == "tcg"
    kernel = data["kernels"][1]
    assert kernel["role"] == "candidate"
    assert kernel["status"] == "completed"
    assert kernel["facts"]["af_alg_restrict"] == 1
    path = kernel["facts"]["zero_copy"]["skcipher.splice_file"]
    assert (path["state"], path["control"]) == ("absent", "fired")
    assert kernel["facts"]["page_cache_write"]["state"] == "absent"
    assert kernel["plan"][0] == kernel["tests"][0]["id"]
    assert kernel["tests"][0]["outcome"] == "passed"
    assert kernel["verdict"]["ok"] is True
    change = data["comparisons"][0]["changes"][0]
    told = {"id", "class", "baseline", "candidate", "explanation"}
    assert change.keys() == told | {"reproducer"}
    assert "intended" in {one["class"] for one in data["comparisons"][0]["changes"]}


def test_unknown_fields_are_ignored(tmp_path: Path) -> None:
    data = stored(tmp_path, RUNS["main"])
    data["later"] = data["kernels"][0]["later"] = {"x": 1}
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert results_file.load(tmp_path) == RUNS["main"]


def test_fields_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    data = stored(tmp_path, RUNS["main"])
    del data["kernels"][0]["verdict"]["checks"]
    (tmp_path / "results.json").write_text(json.dumps(data))
    assert results_file.load(tmp_path).kernels[0].verdict.checks == ()


def broken(tmp_path: Path, change: str) -> str:
    data = stored(tmp_path, RUNS["main"])
    if change == "missing":
        del data["kernels"][1]["status"]
    elif change == "schema":
        data["schema"] = 99
    elif change == "word":
        data["kernels"][1]["tests"][0]["outcome"] = "fine"
    elif change == "type":
        data["kernels"][1]["taint"] = "none"
    elif change == "number":
        data["kernels"][1]["taint"] = True
    elif change == "truth":
        data["kernels"][1]["verdict"]["ok"] = "false"
    elif change == "not an object":
        data = json.loads("[1]")
    (tmp_path / "results.json").write_text(json.dumps(data) if change != "text" else "{")
    with pytest.raises(InputError) as caught:
        results_file.load(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", "kernels[1].status"),
        ("schema", "schema 99"),
        ("word", "kernels[1].tests[0].outcome"),
        ("type", "kernels[1].taint"),
        ("number", "kernels[1].taint"),
        ("truth", "kernels[1].verdict.ok"),
        ("not an object", "schema None"),
        ("text", "not JSON"),
    ],
)
def test_bad_file(change: str, says: str, tmp_path: Path) -> None:
    assert says in broken(tmp_path, change)


def test_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results.json: No such file"):
        results_file.load(tmp_path)
    with pytest.raises(InputError, match="none: No such file"):
        results_file.load(tmp_path / "none")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    results_file.save(RUNS["main"], path)

    def disk_full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(InfrastructureError, match="cannot be written: No space left"):
        results_file.save(RUNS["bad"], path)
    not_text: Any = object()
    unwritable = replace(RUNS["main"], command=not_text)
    with pytest.raises(TypeError):
        results_file.save(unwritable, path)
    assert results_file.load(path) == RUNS["main"]
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]
