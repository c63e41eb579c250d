"""Debian's chromium without a screen, for what only a browser can show of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

_PATIENCE = 120_000  # ms: a busy machine takes its time


@contextmanager
def chromium(place: Path) -> Iterator[Browser]:
    """A browser whose own files lie in ``place``."""
    program = shutil.which("chromium")
    assert program is not None, "chromium is not installed; ci/setup.sh does that"
    # Root cannot have the sandbox, and /dev/shm is small in many containers.
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(place))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program, args=arguments, timeout=_PATIENCE
            )
            yield browser
            browser.close()


@dataclass
class Opened:
    """A page, and what it did that nobody asked for."""

    page: Page
    said: list[str] = field(default_factory=list)  # console messages, errors, dialogs
    requests: list[str] = field(default_factory=list)  # of anything but the file itself

    def refuse(self, dialog: Dialog) -> None:
        """Close a dialog that the page opened."""
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    *,
    address: str = "",
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    script: bool = True,
) -> Iterator[Opened]:
    """The file ``path`` in a window of that size, with its script done; ``address``: ``#...``."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
    )
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(f"error: {error}"))
    page.on("dialog", found.refuse)
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(f"{path.as_uri()}{address}")
    if script:
        page.wait_for_selector("html[data-ready]", state="attached")
    found.requests = [url for url in found.requests if url.partition("#")[0] != path.as_uri()]
    try:
        yield found
    finally:
        context.close()
