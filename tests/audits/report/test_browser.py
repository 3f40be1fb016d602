"""The report in a browser: first screen, sandbox, print, narrow, dark, and accessibility.

Screenshots are kept in build/screenshots, to be looked at.
"""

from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from browsing import NARROW, SHOTS, WIDE, Opened, loaded
from report_pages import PAGES

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = pytest.mark.slow

_MORE_PAGES = ("many_classes", "black_box", "baseline")


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    """The pages as files."""
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in PAGES}
    for name, path in found.items():
        path.write_text(PAGES[name](), encoding="utf-8")
    return found


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_nothing_in_the_console_and_loads_nothing(browser, paths, name, scheme):
    with Opened(browser, paths[name].as_uri(), color_scheme=scheme) as opened:
        assert opened.said == []
        assert [url for url in opened.asked if not url.startswith("data:")] == [
            paths[name].as_uri()
        ]
        assert all(loaded(opened.page))
        opened.keep(f"{name}-{scheme}")


FIRST = {
    "model and word": ".title",
    "date, data, n, run, baseline": ".facts",
    "sentence": ".sentence",
    "conditions with strips": "table.conditions",
    "strip": "svg.strip",
    "classes": ".columns",
}


@pytest.mark.parametrize(
    "name",
    ["failed", "passed", "ablation", "many_classes", "many_conditions", "candidate", "baseline"],
)
def test_six_things_are_on_the_first_screen(browser, paths, name):
    with Opened(browser, paths[name].as_uri()) as opened:
        for what, where in FIRST.items():
            box = opened.page.locator(where).first.bounding_box()
            assert box is not None, what
            assert box["width"] > 0, what
            assert box["x"] + box["width"] <= WIDE[0], what
            assert box["y"] + box["height"] <= WIDE[1], what
        shown = opened.page.inner_text("header")
        facts = ("2026-11-26", "digits (test)", "n = ", "01234567 in MLflow")
        for part in (*facts, "Candidate" if name == "baseline" else "Baseline"):
            assert part in shown
        word = "PASSED" if name == "passed" else "FAILED"
        assert word in shown or "UNDECIDED" in shown
        rows = opened.page.locator("table.conditions").first.locator("tbody tr")
        assert rows.locator("svg.strip").count() == rows.count()


def test_photographs_are_whole_on_the_first_screen_and_large_enough_to_be_known(browser, paths):
    with Opened(browser, paths["photographs"].as_uri()) as opened:
        for where in (".note", "table.conditions", ".images"):
            box = opened.page.locator(where).first.bounding_box()
            assert box["y"] + box["height"] <= WIDE[1], where
        pictures = opened.page.locator(".images").first.locator("img")
        assert pictures.count() == 2 * 5
        assert pictures.first.bounding_box()["width"] > 100
        assert "reference: cup .84, right" in opened.page.inner_text(".images")


def test_a_sandboxed_frame_shows_the_page(browser, paths, tmp_path):
    inside = escape(paths["failed"].read_text(encoding="utf-8"), quote=True)
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe sandbox="" style="width:1200px;height:700px" srcdoc="{inside}"></iframe>',
        encoding="utf-8",
    )
    with Opened(browser, frame.as_uri()) as opened:
        content = opened.page.frames[1]
        assert "FAILED" in content.inner_text(".word")
        assert content.locator(".columns img").first.bounding_box()["width"] > 50
        # Without scripts nothing is missing: tables are there, only not sortable.
        assert content.locator("table.sortable tbody tr").count() >= 10
        opened.keep("failed-sandboxed")


def test_two_pages_lead_to_each_other_in_a_folder_and_from_a_frame_into_mlflow(
    browser, paths, tmp_path
):
    with Opened(browser, paths["candidate"].as_uri()) as opened:
        assert not opened.page.locator(".framed").is_visible()
        for name in ("baseline", "candidate"):
            with opened.context.expect_page() as new:
                opened.context.pages[-1].click("a.other")
            new.value.wait_for_url(paths[name].as_uri())
            assert name in new.value.inner_text(".title")
    page = paths["candidate"].read_text(encoding="utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        mlflow = f"http://127.0.0.1:{server.server_port}/"
        inside = escape(page.replace("http://mlflow.example/", mlflow), quote=True)
        frame = tmp_path / "frame.html"  # as MLflow shows it
        frame.write_text(
            '<iframe sandbox="allow-scripts" style="width:1200px;height:700px" '
            f'srcdoc="{inside}"></iframe>',
            encoding="utf-8",
        )
        with Opened(browser, frame.as_uri()) as opened:
            content = opened.page.frames[1]
            assert "Links open here with Ctrl and a click" in content.inner_text(".facts")
            with opened.context.expect_page() as new:
                content.click("a.other", modifiers=["Control"])
            new.value.wait_for_url(f"{mlflow}#/runs/baseline.html")
            opened.keep("candidate-framed")
        server.shutdown()


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_screen_needs_no_sideways_scrolling(browser, paths, name):
    with Opened(browser, paths[name].as_uri(), NARROW) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
        if name == "index":  # a table of a row a model, which becomes a list
            assert opened.page.evaluate(
                "[...document.querySelectorAll('.scroll')]"
                ".every(e => e.scrollWidth <= e.clientWidth)"
            )
        opened.keep(f"{name}-narrow")


_SIZES = """() => [...document.querySelectorAll("svg.matrix")].map(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const size = text => parseFloat(getComputedStyle(text).fontSize);
  return scale * Math.min(...[...svg.querySelectorAll("text")].map(size));
})"""


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["failed", "many_classes", "sixty_classes"])
def test_the_names_beside_a_matrix_can_be_read_and_are_not_cut_off(browser, paths, name, size):
    with Opened(browser, paths[name].as_uri(), size) as opened:
        sizes = opened.page.evaluate(_SIZES)
        assert len(sizes) >= 2
        assert min(sizes) > 10.9
        # Every name is within its picture; the picture may scroll.
        assert opened.page.evaluate(
            "[...document.querySelectorAll('svg.matrix text')].every(t => {"
            " const [a, b] = [t, t.ownerSVGElement].map(e => e.getBoundingClientRect());"
            " return a.left >= b.left - 1 && a.bottom <= b.bottom + 1"
            " && a.right <= b.right + 1 && a.top >= b.top - 1; })"
        )
        opened.page.locator("svg.matrix").last.scroll_into_view_if_needed()
        opened.keep(f"{name}-matrix-{size[0]}")


def test_the_badge_of_the_index_covers_no_words(browser, paths):
    with Opened(browser, paths["index"].as_uri()) as opened:
        gaps = opened.page.locator(".index tbody td:nth-child(2)").evaluate_all(
            "cells => cells.map(c => c.querySelector('small').getBoundingClientRect().top"
            " - c.querySelector('.word').getBoundingClientRect().bottom)"
        )
        assert len(gaps) == 2
        assert min(gaps) >= 0


def test_a_table_of_more_classes_than_a_screen_is_sorted_as_a_whole(browser, paths):
    with Opened(browser, paths["sixty_classes"].as_uri()) as opened:
        names = opened.page.evaluate(_SORTED, "Class")
        assert len(names) == 60
        assert names == sorted(names, reverse=True)
        table = opened.page.get_by_role("region", name="Table of classes")
        assert table.evaluate("e => e.scrollHeight > e.clientHeight")
        head = table.locator("thead th").first
        table.evaluate("e => e.scrollTo(0, 900)")
        assert abs(head.bounding_box()["y"] - table.bounding_box()["y"]) < 2


def test_a_printed_page_keeps_its_badge_and_repeats_the_heads_of_tables(browser, paths):
    with Opened(browser, paths["ablation"].as_uri()) as opened:
        opened.page.emulate_media(media="print")
        styles = opened.page.evaluate(
            "[getComputedStyle(document.querySelector('.word')).printColorAdjust,"
            " getComputedStyle(document.querySelector('.word')).borderTopWidth,"
            " getComputedStyle(document.querySelector('thead')).display]"
        )
        assert styles == ["exact", "3px", "table-header-group"]
        opened.page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 718
        printed = opened.page.pdf(format="A4", print_background=False)
        assert printed.startswith(b"%PDF")
        assert printed.count(b"/Type /Page\n") > 2
        SHOTS.mkdir(parents=True, exist_ok=True)
        (SHOTS / "ablation.pdf").write_bytes(printed)


def test_in_print_an_empty_cell_keeps_its_words_and_its_hatch(browser, paths):
    with Opened(browser, paths["failed"].as_uri()) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        opened.page.emulate_media(media="print")
        opened.page.set_viewport_size({"width": 718, "height": 1000})
        cells = opened.page.locator(".tile.none").evaluate_all(
            "cells => cells.map(c => [c.innerText, getComputedStyle(c).printColorAdjust,"
            " getComputedStyle(c).backgroundImage.slice(0, 25), c.clientWidth,"
            " c.clientHeight, c.firstElementChild.scrollWidth,"
            " c.firstElementChild.getBoundingClientRect().height])"
        )
        assert len(cells) > 2
        for words, adjust, hatch, width, height, told, high in cells:
            assert words.replace("\n", " ") == "no draw accepted"
            assert (adjust, hatch) == ("exact", "repeating-linear-gradient")
            assert told <= width
            assert high < 0.6 * height  # the hatch is seen above and below
        opened.keep("failed-print")


@pytest.mark.parametrize(
    "name",
    [
        *("failed", "ablation", "index"),
        *(pytest.param(page, marks=pytest.mark.soak) for page in _MORE_PAGES),
    ],
)
def test_axe_finds_nothing_of_moderate_or_worse(browser, paths, name):
    # axe itself is a script, which the page's own policy would forbid.
    with Opened(browser, paths[name].as_uri(), bypass_csp=True) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        colours = set()
        for scheme in ("light", "dark"):
            opened.page.emulate_media(color_scheme=scheme)
            colours.add(opened.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            found = axe.Axe().run(opened.page).response
            assert len(found["passes"]) > 10
            worse = [v for v in found["violations"] if v["impact"] != "minor"]
            assert [(scheme, v["id"], v["nodes"][0]["html"]) for v in worse] == []
        assert len(colours) == 2


def test_the_keyboard_reaches_and_scrolls_the_table_of_an_ablation(browser, paths):
    with Opened(browser, paths["ablation"].as_uri(), NARROW) as opened:
        region = opened.page.get_by_role("region", name="Own drawings under other settings: cells")
        region.focus()
        assert region.evaluate("e => e === document.activeElement && e.scrollWidth > e.clientWidth")
        # A key's scrolling is animated, and the page's own policy forbids `wait_for_function`.
        for _ in range(50):
            opened.page.keyboard.press("ArrowRight")
            if region.evaluate("e => e.scrollLeft > 0"):
                break
            opened.page.wait_for_timeout(100)
        assert region.evaluate("e => e.scrollLeft > 0")


def test_a_click_on_a_head_sorts_the_table_of_classes(browser, paths):
    with Opened(browser, paths["failed"].as_uri()) as opened:
        table = opened.page.locator("table.bars").first

        def column():
            return [
                float(v)
                for v in table.locator("tbody tr td:nth-of-type(1)").evaluate_all(
                    "cells => cells.map(c => c.dataset.value)"
                )
            ]

        before = column()
        table.get_by_role("button", name="images named right").click()
        assert column() == sorted(before, reverse=True)
        table.get_by_role("button", name="images named right").click()
        assert column() == sorted(before)
        assert table.locator("th[aria-sort=ascending]").count() == 1


_SORTED = """name => {
  const heads = [...document.querySelectorAll("table.sortable thead th")];
  const head = heads.find(one => one.textContent.includes(name));
  head.querySelector("button").click();
  const rows = [...head.closest("table").tBodies[0].rows];
  return rows.map(row => row.cells[head.cellIndex].textContent.trim());
}"""


def test_decimals_are_sorted_by_their_value(browser, paths):
    with Opened(browser, paths["ablation"].as_uri()) as opened:
        down = [
            float(value.split()[0]) for value in opened.page.evaluate(_SORTED, "share of blanks")
        ]
        assert len(set(down)) > 1
        assert down == sorted(down, reverse=True)


def test_in_grey_an_outcome_is_still_told_by_word_and_form(browser, paths):
    with Opened(browser, paths["failed"].as_uri()) as opened:
        words = opened.page.locator("td.outcome").all_inner_texts()
        assert {word.split()[0] for word in words} == {"✗", "✓", "?"}
        forms = opened.page.locator("table.conditions svg.strip .dot").evaluate_all(
            "dots => dots.map(d => d.tagName)"
        )
        assert set(forms) == {"rect", "circle", "path"}
        borders = opened.page.locator(".columns .tile").evaluate_all(
            "tiles => tiles.map(t => getComputedStyle(t).borderTopStyle)"
        )
        assert {"solid", "dashed"} <= set(borders)
        opened.page.add_style_tag(content="html { filter: grayscale(1); }")
        opened.keep("failed-grey")
