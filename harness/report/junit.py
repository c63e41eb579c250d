"""junit.xml: one suite per kernel, one failure for each root cause."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from junit_xml import TestCase, TestSuite

from harness.judge.states import told_state
from harness.judge.witnesses import marks
from harness.model import KernelResult, RunResult, Status
from harness.report.cases import Case, Mark, cases
from harness.report.options import ReportOptions, called
from harness.report.overview import verdict_word
from harness.text import cut, short, xml_text

#: Characters of a failure's text; what a server keeps in memory it keeps for each build.
_TEXT = 64 * 1024
_MESSAGE = 500

#: What the schema of Jenkins does not know, and JUnit does not either.
_UNKNOWN = {
    "testsuites": ("disabled",),
    "testsuite": ("disabled", "errors_count", "stdout", "stderr"),
    "testcase": ("file", "line", "log", "url", "status", "assertions"),
}


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """``result`` as JUnit XML, valid against junit-10.xsd of Jenkins' xunit plugin.

    A reader of this file alone sees red exactly when a candidate fails the run, or a
    kernel could not be run: a baseline's failures are shown as skipped, with their text.
    """
    yield '<?xml version="1.0" encoding="utf-8"?>\n'
    total = dict.fromkeys(("tests", "failures", "errors"), 0)
    suites = []
    for kernel in result.kernels:
        suite = _suite(kernel, result, options).build_xml_doc()
        for name in total:
            total[name] += int(suite.get(name, "0"))
        suites.append(suite)
    counted = "".join(f' {name}="{number}"' for name, number in total.items())
    yield f"<testsuites{counted}>\n"
    for suite in suites:
        ElementTree.indent(suite)
        yield ElementTree.tostring(_known(suite), encoding="unicode")
        yield "\n"
    yield "</testsuites>\n"


def _known(suite: ElementTree.Element) -> ElementTree.Element:
    """The suite as the schema has it: junit-xml says more, and times to the microsecond."""
    for element in suite.iter():
        for name in _UNKNOWN.get(element.tag, ()):
            element.attrib.pop(name, None)
        if "time" in element.attrib:
            element.set("time", f"{float(element.attrib['time']):.3f}")
    return suite


def _suite(kernel: KernelResult, result: RunResult, options: ReportOptions) -> TestSuite:
    name = called(kernel, result.kernels, options)
    return TestSuite(
        name=_line(name),
        test_cases=[_case(case, kernel, name) for case in cases(kernel, result)],
        timestamp=xml_text(kernel.boots[0].started if kernel.boots else result.started),
        properties={
            _line(name): _line(value) for name, value in _properties(kernel, result).items()
        },
    )


def _line(text: str) -> str:
    return xml_text(short(text, _MESSAGE))


def _text(text: str) -> str:
    return xml_text(cut(text, _TEXT))


def _case(case: Case, kernel: KernelResult, name: str) -> TestCase:
    # Servers tell cases apart by class and name alone, whatever suite they are in.
    group = case.group.removesuffix(".py").replace("/", ".")
    made = TestCase(
        name=_line(case.name),
        classname=_line(f"{name}.{group}".removesuffix(".")),
        elapsed_sec=case.seconds,
    )
    message, text = _line(case.message), _text(case.text or case.message)
    if case.mark is Mark.SKIPPED:
        made.add_skipped_info(message, _text(case.text))
    elif case.mark is Mark.FAILED:
        made.add_failure_info(message, text, failure_type=_line(case.kind))
    elif case.mark is Mark.ERROR:
        made.add_error_info(message, text, error_type=_line(case.kind))
    if case.mark.is_red and kernel.reproduce:
        made.stdout = _line(f"again: {kernel.reproduce}")
    return made


def _properties(kernel: KernelResult, result: RunResult) -> dict[str, str]:
    facts = kernel.facts.named()
    known = kernel.taint is not None and kernel.status is Status.COMPLETED
    restrict = kernel.facts.af_alg_restrict
    return {
        "spec": kernel.spec,
        "release": kernel.release,
        "role": kernel.role,
        "status": kernel.status,
        "verdict": verdict_word(kernel),
        "accel": result.host.accel,
        "taint": str(kernel.taint) if known else "unknown",
        "af_alg_restrict": "none" if restrict is None else str(restrict),
        **{name: told_state(name, fact) for name, fact in sorted(facts.items())},
        **{
            f"{name} witnesses": told
            for name, fact in sorted(facts.items())
            if (told := marks(name, fact))
        },
    }
