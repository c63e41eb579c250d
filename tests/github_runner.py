"""Runs a composite action's steps as GitHub's runner would, as far as a machine without it can.

Steps that run a shell are run, each by the command line that the runner has for ``bash``, with
the files and variables that it gives them. Actions of others are not run: what they would be
called with is kept. Expressions are those that the action needs; any other is an error.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
#: src/Runner.Common/ActionCommand.cs: the line, what is between the first word and "::", the rest.
_COMMAND = re.compile(r"::([\w-]+)(?: ([^:]*))?::(.*)")
#: ScriptHandlerHelpers.cs: what "shell: bash" stands for.
_BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass(frozen=True)
class Annotation:
    """What GitHub shows beside a job."""

    level: str
    title: str
    text: str


@dataclass(frozen=True)
class Step:
    """A step that came to its turn and was not left out."""

    name: str
    uses: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)  # of an action of others
    code: int = 0
    output: str = ""


@dataclass
class Job:
    """What became of the steps."""

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def code(self) -> int:
        """The exit code of the first step that failed, else 0."""
        return next((step.code for step in self.steps if step.code), 0)

    @property
    def annotations(self) -> list[Annotation]:
        """All annotations, in their order."""
        return [one for step in self.steps for one in read_annotations(step.output)]

    def step(self, name: str) -> Step:
        """The step of that name; it must have run."""
        (found,) = [step for step in self.steps if step.name == name]
        return found


def load(path: Path) -> Any:
    """A YAML file as plain values."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def read_annotations(output: str) -> list[Annotation]:
    """The annotations among a step's lines; none where the step told the runner not to look."""
    found: list[Annotation] = []
    token = ""
    for line in output.splitlines():
        command = _COMMAND.fullmatch(line.lstrip())
        if command is None:
            continue
        name, properties, text = command.groups()
        if token:
            token = "" if name == token else token
        elif name == "stop-commands":
            token = text
        elif name in {"error", "warning", "notice"}:
            told = dict(part.partition("=")[::2] for part in (properties or "").split(","))
            found.append(Annotation(name, _unescaped(told.get("title", "")), _unescaped(text)))
    return found


def _unescaped(text: str) -> str:
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def run_action(
    directory: Path,
    workspace: Path,
    inputs: Mapping[str, str],
    *,
    environment: Mapping[str, str],
    cache_hit: bool = False,
) -> Job:
    """Run the action in ``directory`` from ``workspace``; returns what became of it.

    ``environment`` is the machine's and the job's. Raises ValueError if the action cannot be
    run so: an input it does not have, shell text with an expression in it.
    """
    return _Runner(directory, workspace, inputs, environment, cache_hit).run()


class _Runner:
    def __init__(
        self,
        directory: Path,
        workspace: Path,
        inputs: Mapping[str, str],
        environment: Mapping[str, str],
        cache_hit: bool,
    ) -> None:
        self._action = load(directory / "action.yml")
        if unknown := set(inputs) - set(self._action["inputs"]):
            raise ValueError(f"the action has no input {sorted(unknown)}")
        values = {name: str(one["default"]) for name, one in self._action["inputs"].items()}
        self._known: dict[str, str] = {
            f"inputs.{name}": value for name, value in (values | dict(inputs)).items()
        }
        self._environment = dict(environment)
        self._directory, self._workspace = directory, workspace
        self._cache_hit = cache_hit
        self._files = workspace.with_name(f"{workspace.name}-runner")
        self._files.mkdir()
        self._job = Job()

    def run(self) -> Job:
        for number, step in enumerate(self._action["runs"]["steps"]):
            if self._is_wanted(str(step.get("if", ""))):
                self._job.steps.append(self._step(step, number))
        for name, output in self._action["outputs"].items():
            self._job.outputs[name] = self._text(output["value"])
        summary = self._files / "summary"
        self._job.summary = summary.read_text() if summary.exists() else ""
        return self._job

    def _is_wanted(self, condition: str) -> bool:
        if self._job.code and "always()" not in condition:
            return False
        return not condition or _is_true(self._value(condition))

    def _step(self, step: Mapping[str, Any], number: int) -> Step:
        if "uses" in step:
            told = {name: self._text(str(text)) for name, text in step["with"].items()}
            if self._cache_hit:
                self._known[f"steps.{step.get('id')}.outputs.cache-hit"] = "true"
            return Step(step["name"], step["uses"], told)
        if step["shell"] != "bash" or _EXPRESSION.search(step["run"]):
            raise ValueError(f"{step['name']}: what it is given must not become shell text")
        outputs = self._files / f"outputs-{number}"
        outputs.touch()
        script = self._files / f"step-{number}.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            [*_BASH, script],
            cwd=self._workspace,
            env=self._environment_of(step.get("env", {}), outputs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in outputs.read_text().splitlines():
            name, _, value = line.partition("=")
            self._known[f"steps.{step.get('id')}.outputs.{name}"] = value
        return Step(step["name"], code=done.returncode, output=done.stdout)

    def _environment_of(self, told: Mapping[str, str], outputs: Path) -> dict[str, str]:
        return {
            **self._environment,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(self._directory),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(self._files / "summary"),
            "GITHUB_WORKSPACE": str(self._workspace),
            "RUNNER_ARCH": "X64",
            "RUNNER_OS": "Linux",
            **{name: self._text(str(text)) for name, text in told.items()},
        }

    def _text(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self._value(found[1]), text)

    def _value(self, expression: str) -> str:
        """An expression's value as a string: "" and "false" are untrue."""
        for sign, decides in (("||", True), ("&&", False)):
            parts = expression.split(sign)
            if len(parts) > 1:
                return self._first(parts, decides)
        for sign in ("==", "!="):
            left, found, right = expression.partition(sign)
            if found:
                return _word((self._value(left) == self._value(right)) is (sign == "=="))
        word = expression.strip()
        if word == "always()":
            return "true"
        if re.fullmatch(r"'[^']*'", word):
            return word[1:-1]
        if re.fullmatch(r"inputs\.[\w-]+", word):
            return self._known[word]
        if re.fullmatch(r"steps\.\w+\.outputs\.[\w-]+", word):
            return self._known.get(word, "")
        if re.fullmatch(r"env\.\w+", word):
            return self._environment.get(word.removeprefix("env."), "")
        raise ValueError(f"no expression that is known here: {word}")

    def _first(self, parts: Sequence[str], decides: bool) -> str:
        value = ""
        for part in parts:
            value = self._value(part)
            if _is_true(value) is decides:
                break
        return value


def _is_true(value: str) -> bool:
    return value not in {"", "false"}


def _word(value: bool) -> str:
    return "true" if value else "false"
