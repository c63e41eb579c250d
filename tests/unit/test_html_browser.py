"""The HTML report in a real browser: a run of 12 real kernels, and one of hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from harness.judge.conclude import judged_anew
from harness.model import RunResult
from harness.report.html.page import page as html_page
from tests.browser import chromium, opened
from tests.stored_runs import stored_run
from tests.unit.html_runs import EVIL, MARKER, hostile_run, with_console

KNOWN_ANSWER = "functional/test_hash.py::test_known_answer[blake2b-160]"
SEED = "differential/test_sequences.py::test_seed[0]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests: a start takes a second."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the stored run."""
    return _written(judged_anew(stored_run(), None), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run in which every text that others wrote is an attack."""
    place = tmp_path_factory.mktemp("hostile")
    run = hostile_run()
    with_console(run, place)
    return _written(run, place)


def _written(run: RunResult, place: Path) -> Path:
    path = place / "report.html"
    path.write_text("".join(html_page(run, place)), encoding="utf-8")
    return path


def _count(page: Page) -> str:
    return page.locator("#matrix [role=status]").inner_text()


def _chip(page: Page, name: str) -> Locator:
    return page.locator(f"fieldset [data-name={name}]")


def test_it_opens_and_asks_for_nothing(browser: Browser, report: Path) -> None:
    """No message on the console, no request, and the verdict is what is seen first."""
    with opened(browser, report) as found:
        page = found.page
        expect(page.locator("h1")).to_have_text("Of 11 candidates 5 are OK, 6 are NOT OK")
        expect(page.locator(".overview tbody tr")).to_have_count(12)
        expect(page.locator("#grid tbody tr.suite").first).to_contain_text("functional")
        assert _count(page) == "217 of 1,209 tests"
        assert (found.said, found.requests) == ([], [])


def test_filters(browser: Browser, report: Path) -> None:
    """By outcome, by words, by kernel; a suite can be folded, and the slowest stand first."""
    with opened(browser, report) as found:
        page = found.page
        _chip(page, "all").click()
        assert _count(page) == "1,209 of 1,209 tests"
        page.get_by_placeholder("id, purpose or message").fill("padding BLAKE2B-160")
        assert _count(page) == "1 of 1,209 tests"
        expect(page.locator("#grid tbody tr.row th").last).to_have_text(
            "test_hash.py::test_known_answer[blake2b-160]"
        )
        page.get_by_placeholder("part of a name").fill("7.")
        assert _count(page) == "1 of 1,209 tests, 5 of 12 kernels"
        expect(page.locator("#grid thead th")).to_have_count(6)
        page.get_by_placeholder("id, purpose or message").fill("")
        page.get_by_placeholder("part of a name").fill("")
        _chip(page, "F").click()
        failed = page.locator("#grid tbody tr.row:not(.suite)").all()
        assert len(failed) == 6
        assert all(row.locator("td.F").count() for row in failed)
        page.locator("#grid tr.suite th").first.click()
        expect(page.locator("#grid tbody tr.row:not(.suite)")).to_have_count(
            6 - int(page.locator("#grid tr.suite th").first.inner_text().rpartition("(")[2][:-1])
        )
        page.get_by_role("button", name="unfold all").click()
        page.get_by_label("order").select_option("slow")
        expect(page.locator("#grid tr.suite")).to_have_count(0)
        expect(page.locator("#grid tbody tr.row th").first).to_contain_text(" s ")
        assert found.said == []


def test_only_what_is_seen_is_drawn(browser: Browser, report: Path) -> None:
    """Rows come as they are scrolled to, the last one too."""
    with opened(browser, report) as found:
        page = found.page
        _chip(page, "all").click()
        assert page.locator("#grid tbody tr.row").count() < 100
        page.locator("#grid table").focus()
        page.keyboard.press("Control+End")
        last = [test for test in stored_run().kernels[0].plan if test.startswith("faults/")][-1]
        expect(page.locator("#grid tbody tr.row th").last).to_have_attribute("title", last)


def test_keyboard(browser: Browser, report: Path) -> None:
    """To the search, through the table, into the panel and out again, without a mouse."""
    with opened(browser, report) as found:
        page = found.page
        page.keyboard.press("/")
        page.keyboard.type("blake2b-160 known_answer")
        page.locator("#grid table").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        active = page.locator("#grid table").get_attribute("aria-activedescendant")
        assert active is not None
        expect(page.locator(f"#{active}")).to_have_text("passed")
        page.keyboard.press("Enter")
        expect(page.locator("dialog h2")).to_have_text(KNOWN_ANSWER)
        assert page.url.endswith("&kernel=0")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_be_hidden()
        assert "#" not in page.url
        assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"


def test_a_test_by_its_address(browser: Browser, report: Path) -> None:
    """Purpose, message, kernels, the command that runs it again."""
    address = f"#test={KNOWN_ANSWER}&kernel=11"
    with opened(browser, report, address=address) as found:
        panel = found.page.locator("dialog")
        expect(panel).to_contain_text("Digests of messages around the block")
        expect(panel.locator("h3").first).to_contain_text("skipped on 7.0.13+deb13-amd64")
        expect(panel).to_contain_text("bind hash 'blake2b-160': ENOENT")
        expect(panel.locator(".copy code")).to_have_text(
            f"afalg-harness run debian:7.3.4+deb13-amd64 --suite '{KNOWN_ANSWER}'"
        )
        panel.get_by_label("kernel").select_option("0")
        expect(panel.locator(".copy code")).to_contain_text("debian:6.1.0-50-amd64")
        assert (found.said, found.requests) == ([], [])


def test_transcripts_and_facts(browser: Browser, report: Path) -> None:
    """What a seed's calls were answered, and what was seen of a path."""
    with opened(browser, report, address=f"#test={SEED}") as found:
        page = found.page
        panel = page.locator("dialog")
        expect(panel.locator("table.answers tbody").first).to_contain_text("skcipher cbc(aes)")
        panel.get_by_role("button", name="close").click()
        page.get_by_text("Each path by itself").click()
        page.locator("#zero-copy").get_by_role("link", name="splice_file").first.click()
        expect(panel.locator("h2")).to_have_text("zero_copy.skcipher.splice_file")
        expect(panel).to_contain_text("input is copied, as since ffdd2bc37895")
        expect(panel.locator("h3")).to_have_count(2)
        assert found.said == []


def test_console_around_its_markers(browser: Browser, hostile: Path) -> None:
    """The lines from a test's marker to the next one, from console.log beside the page."""
    with opened(browser, hostile) as found:
        found.page.locator("#grid tr:not(.suite) td.F").first.click()
        console = found.page.locator("dialog details", has_text="console of").first
        expect(console.locator("pre")).to_contain_text(MARKER)
        expect(console.locator("pre")).to_contain_text("a line of the kernel")


def test_hostile_texts_are_only_shown(browser: Browser, hostile: Path) -> None:
    """Markup in every text that others write: nothing of it runs, loads or is hidden."""
    with opened(browser, hostile) as found:
        page = found.page
        _chip(page, "all").click()
        for details in page.locator("main details").all():
            details.evaluate("element => { element.open = true; }")
        page.locator("#grid tr:not(.suite) td.F").first.click()
        assert page.evaluate("window.pwned") is None
        assert page.locator("main b, main img, main iframe, dialog img").count() == 4  # the legend
        assert EVIL in page.locator("dialog").inner_text()
        assert EVIL in page.locator("#details").inner_text()
        assert (found.said, found.requests) == ([], [])


def test_policy_stops_what_got_through(browser: Browser, report: Path, tmp_path: Path) -> None:
    """If markup did come through, the page's own policy keeps it from running or loading."""
    text = report.read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    attack = "<script>window.pwned = 1</script><img src='https://evil.example/x' onerror='pwned=1'>"
    broken.write_text(text.replace("<main>", f"<main>{attack}"), encoding="utf-8")
    with opened(browser, broken) as found:
        assert found.page.evaluate("window.pwned") is None
        assert all("Content Security Policy" in line for line in found.said)
        assert any("script-src" in line for line in found.said)
        assert any("img-src" in line for line in found.said)


@pytest.mark.parametrize("dark", [False, True])
def test_phone(browser: Browser, report: Path, dark: bool) -> None:
    """On a small screen only tables are wider than it, each in a frame of its own."""
    with opened(browser, report, width=390, height=844, dark=dark) as found:
        page = found.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        ink, paper = (
            page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/)[0] * 1")
            for name in ("color", "backgroundColor")
        )
        assert (ink > paper) is dark
        page.locator("#grid tr.row:not(.suite) td").nth(2).click()
        assert page.locator("dialog").evaluate("panel => panel.clientWidth") <= 390
        assert found.said == []


def test_print(browser: Browser, report: Path) -> None:
    """On paper all rows that are chosen are there, without what is for the hand."""
    with opened(browser, report) as found:
        page = found.page
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("#grid tbody tr.row:not(.suite)")).to_have_count(217)
        expect(page.locator(".controls")).to_be_hidden()
        page.set_viewport_size({"width": 718, "height": 1000})  # A4 upright with Chromium's margins
        over = "grid => grid.querySelector('table').offsetWidth - grid.clientWidth"
        assert page.locator("#grid").evaluate(over) <= 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("#grid tbody tr.row").count() < 100


def test_without_script(browser: Browser, report: Path) -> None:
    """Verdict, states and changes are there all the same; what is not says why."""
    with opened(browser, report, script=False) as found:
        page = found.page
        expect(page.locator("h1")).to_contain_text("6 are NOT OK")
        expect(page.locator("#changes .causes > li").first).to_be_visible()
        expect(page.locator("svg.picture")).to_be_visible()
        expect(page.get_by_text("needs JavaScript")).to_be_visible()


def test_where_nothing_differs_all_tests_are_shown(browser: Browser, tmp_path: Path) -> None:
    """The usual filters (differ, failed) would leave an empty table."""
    run = stored_run()
    good = run.kernels[3]
    twin = replace(good, release=f"{good.release}.1", spec="twin")
    with opened(browser, _written(replace(run, kernels=(good, twin)), tmp_path)) as found:
        assert _count(found.page) == "1,209 of 1,209 tests"
        expect(_chip(found.page, "all")).to_have_attribute("aria-pressed", "true")
