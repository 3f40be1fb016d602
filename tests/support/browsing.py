"""Pages in headless Chromium: each page with all that its console said and that it asked for.

Screenshots are kept in build/screenshots, to be looked at.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CHROMIUM = shutil.which("chromium")
WIDE, NARROW = (1280, 800), (400, 800)
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"


class Said(NamedTuple):
    """A message of the console, with the address of the page or script that wrote it."""

    text: str
    source: str = ""


class Opened:
    """A page in a browser, with what its console said and what it asked for."""

    def __init__(self, browser: Any, url: str, size: tuple[int, int] = WIDE, **context: Any):
        width, height = size
        viewport = {"width": width, "height": height}
        self.context = browser.new_context(viewport=viewport, **context)
        self.page = self.context.new_page()
        self.said: list[Said] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.said.append(Said(m.text, m.location["url"])))
        self.page.on("pageerror", lambda error: self.said.append(Said(str(error))))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url, timeout=120_000)  # a busy machine is slow

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def keep(self, name: str) -> None:
        """Keeps a screenshot of the window."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")


@contextmanager
def started() -> Iterator[Any]:
    """A browser; playwright must be installed, and Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def without_greetings(url: str) -> dict[str, Any]:
    """The state of a browser to which MLflow at `url` has shown its news and its assistant."""
    seen = {
        "_mlflow_model_registry_promo_modal_dismissed_v1": "true",
        "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
        "mlflow.assistant.panelOpen_v1": "false",
    }
    storage = [{"name": name, "value": value} for name, value in seen.items()]
    return {"cookies": [], "origins": [{"origin": url, "localStorage": storage}]}


def loaded(frame: Any) -> list[bool]:
    """Whether each picture of a page or frame is loaded."""
    found: list[bool] = frame.evaluate(
        "[...document.images].map(i => i.complete && i.naturalWidth > 0)"
    )
    return found
