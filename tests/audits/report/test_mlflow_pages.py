"""MLflow's own pages of an audited model in a browser: version, run, report, list, sliders.

Screenshots are kept in build/screenshots, to be looked at.
"""

from typing import Any, NamedTuple

import mlflow
import pytest
from browsing import Opened, loaded, without_greetings
from servers import mlflow_server
from simple_nets import logistic

from audits import parse_config, run_audit
from audits.verdict.result import AuditResult

pytestmark = pytest.mark.slow

_POLICY = {
    "conditions": [
        {"metric": "performance/accuracy", "min": 0.5},
        {"metric": "progressive_fill/accuracy", "min": 0.99},
    ]
}
_SIZE = (1440, 1000)


class _Served(NamedTuple):
    """An audit that failed, and the server that shows it."""

    browser: Any
    url: str
    result: AuditResult

    def opened(self, page: str, size: tuple[int, int] = _SIZE) -> Opened:
        """The page behind the "#" of MLflow's address."""
        state = without_greetings(self.url)
        return Opened(self.browser, f"{self.url}/#/{page}", size, storage_state=state)

    def ours(self, opened: Opened) -> list[str]:
        """What the console said that MLflow's own pages did not say."""
        return [said.text for said in opened.said if not said.source.startswith(self.url)]

    @property
    def run(self) -> str:
        """The page of the run."""
        return self.result.page.removeprefix("#/")


@pytest.fixture(scope="module")
def served(browser, tmp_path_factory, register):
    folder = tmp_path_factory.mktemp("served")
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with mlflow_server(folder) as server, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        mlflow.set_experiment("training")
        uri, _ = register(logistic(), "digits")
        config = {
            "model": uri,
            "data": {"kind": "digits"},
            "checks": [
                {"kind": "performance"},
                {"kind": "random_fill", "images": 20, "samples": 8},
                {"kind": "progressive_fill", "images": 20},
            ],
            "policy": _POLICY,
            "store": str(folder / "store"),
        }
        yield _Served(browser, server.url, run_audit(parse_config(config)))
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def test_the_page_of_the_version_begins_with_the_word_and_shows_table_and_strip(served):
    assert served.result.verdict.word == "failed"
    with served.opened("models/digits/versions/1") as opened:
        told = opened.page.locator("p", has_text="Audit failed, ").first
        told.wait_for(timeout=60_000)
        table = opened.page.locator("table", has_text="condition").first
        assert table.locator("tr").count() == 1 + len(served.result.verdict.judgements)
        assert "image wholly filled in recognised" in table.inner_text()
        strip = opened.page.locator("img[src*='strip.png']")  # MLflow drops its alternative text
        strip.evaluate("image => image.decode()")
        width, height = strip.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert 400 < width <= 800
        assert 100 < height <= 220
        shown = strip.bounding_box()
        assert (shown["width"], shown["height"]) == (width, height)
        order = [told.bounding_box()["y"], table.bounding_box()["y"], shown["y"]]
        assert order == sorted(order)
        assert shown["y"] + shown["height"] < _SIZE[1]
        # The marker of the block is a comment, which nobody sees.
        assert "fillblanks audit" not in opened.page.inner_text("body")
        tags = opened.page.locator("body")
        for name in ("audit.verdict", "audit.date", "audit.run"):
            assert name in tags.inner_text()
        opened.keep("mlflow-version")
        with opened.context.expect_page(timeout=60_000) as tab:
            opened.page.get_by_role("link", name="Report", exact=True).click()
        tab.value.frame_locator("iframe").locator(".word.failed").wait_for(timeout=60_000)
        assert tab.value.url.endswith(f"/#/{served.run}/artifacts/report.html")


def test_mlflow_shows_the_report_in_its_sandboxed_frame(served):
    with served.opened(f"{served.run}/artifacts/report.html") as opened:
        frame = opened.page.locator("iframe")
        frame.wait_for(timeout=60_000)
        assert frame.get_attribute("sandbox") == "allow-scripts"
        report = opened.page.frame_locator("iframe")
        report.locator(".word.failed").wait_for(timeout=60_000)
        assert "FAILED" in report.locator(".word").inner_text()
        assert "digits v1" in report.locator("h1").inner_text()
        inside = opened.page.frames[1]
        found = loaded(inside)
        assert len(found) > 30
        assert all(found)
        assert inside.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # The script of the page runs here: its tables can be sorted.
        assert report.locator("table.bars th button").count() > 0
        assert served.ours(opened) == []
        opened.keep("mlflow-report")


def test_the_page_of_the_run_begins_with_the_note_and_has_parameters(served):
    with served.opened(served.run) as opened:
        note = opened.page.get_by_text("Audit failed, ").first
        note.wait_for(timeout=60_000)
        metrics = opened.page.get_by_text("Metrics (6)").first
        parameters = opened.page.get_by_text("Parameters (5)").first
        metrics.wait_for(timeout=60_000)
        parameters.wait_for(timeout=60_000)
        places = [one.bounding_box()["y"] for one in (note, metrics, parameters)]
        assert places[0] == min(places)
        assert places[0] < 300
        told = opened.page.inner_text("body")
        assert "2 conditions" in told
        assert "audit.verdict" in told
        opened.keep("mlflow-run")


def test_the_run_has_the_colour_of_its_verdict_in_the_list_of_runs(served):
    with served.opened(f"{served.run.partition('/runs/')[0]}/runs") as opened:
        row = opened.page.locator(".ag-row", has_text="digits v1").first
        row.wait_for(timeout=60_000)
        colour = row.get_by_test_id("experiment-view-table-run-color")
        style = colour.evaluate("dot => getComputedStyle(dot).backgroundColor")
        assert style == "rgb(178, 24, 43)"
        opened.keep("mlflow-runs")


def test_the_list_of_models_shows_the_verdicts_of_the_versions(served):
    with served.opened("models") as opened:
        tag = opened.page.get_by_text("v1 failed").first
        tag.wait_for(timeout=60_000)
        box = tag.bounding_box()
        assert box["x"] + box["width"] <= _SIZE[0]
        opened.keep("mlflow-models")


_CARD = "[data-testid=experiment-view-compare-runs-card]"
# The share of a card's picture that is seen without scrolling inside the card.
_VISIBLE = f"""image => {{
  const box = image.getBoundingClientRect();
  const card = image.closest('{_CARD}');
  let end = box.bottom;
  for (let e = image.parentElement; e !== card; e = e.parentElement)
    if (getComputedStyle(e).overflowY !== 'visible')
      end = Math.min(end, e.getBoundingClientRect().bottom);
  return (end - box.top) / box.height;
}}"""


def test_sliders_begin_with_the_answer_and_their_cards_show_it_whole(served):
    with served.opened(f"{served.run}/model-metrics", (1280, 1000)) as opened:
        section = opened.page.get_by_text("progressive_fill").first
        section.wait_for(state="attached", timeout=60_000)
        section.scroll_into_view_if_needed()  # MLflow draws the cards that can be seen
        picture = opened.page.locator("img[src*='progressive_fill']").first
        picture.wait_for(timeout=60_000)
        # The card and not its picture, which would scroll inside the card.
        picture.evaluate(f"image => image.closest('{_CARD}').scrollIntoView({{block: 'center'}})")
        picture.evaluate("image => image.decode()")
        assert "step%2B0" in picture.get_attribute("src")
        # Class, reading and drawing end at 166 of 320 pixels.
        assert picture.evaluate(_VISIBLE) > 0.53
        opened.keep("mlflow-sliders")
