"""Takes the pictures of docs/reading.md: `make pictures`.

MLflow's pages and the reports are those of the demo, which is made first if its folder is not
there. The gallery shows two more models, which are trained and audited here. Two pictures are of
invented figures, those that the tests of the report use.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import reports
import torch
from browsing import Opened, started, without_greetings
from mlflow.artifacts import download_artifacts
from PIL import Image
from servers import Server, free_port
from sklearn.linear_model import LogisticRegression
from torch import nn

from audits import parse_config, run_audit
from audits.data.sources import Digits, load
from audits.report.answer import answer
from audits.report.html import report
from audits.report.index import Indexed, Past, index
from audits.verdict.decide import decide
from flows.demo.photos import demo_photos
from flows.demo.story import demo

OUT = Path(__file__).parents[1] / "reading"
_SIDE_BAR = 206  # pixels of MLflow's menu, with the round corner of the page
_DAY = date(2026, 11, 26)


def keep(shot: bytes, name: str, box: tuple[float, float, float, float] | None = None) -> None:
    """Writes a screenshot, or the box (left, top, right, bottom) of it, as a small PNG."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.crop(tuple(map(round, box))) if box else image
    few = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(OUT / f"{name}.png", optimize=True)
    print(f"{name}.png", few.size, (OUT / f"{name}.png").stat().st_size // 1000, "kB")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """MLflow's address while it serves the demo."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    server = Server(command, port, "/health", folder / "server.log")
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def bottom(found: Any) -> float:
    """The lower edge of an element, in pixels."""
    box = found.bounding_box()
    return float(box["y"] + box["height"])


def mlflow_pages(browser: Any, url: str, runs: dict[str, str]) -> None:
    """Pictures of MLflow's own pages; `runs` are the pages of the audits' runs by version."""

    def opened(page: str, size: tuple[int, int]) -> Opened:
        return Opened(browser, f"{url}/#/{page}", size, storage_state=without_greetings(url))

    with opened("models", (1280, 800)) as shown:
        shown.page.get_by_text("v2 passed").first.wait_for(timeout=60_000)
        end = bottom(shown.page.get_by_text("v2 passed").first)
        keep(shown.page.screenshot(), "models", (_SIDE_BAR, 8, 1270, end + 14))
    with opened("models/digits/versions/1", (1120, 1100)) as shown:
        last = shown.page.get_by_role("link", name="Report", exact=True)
        last.wait_for(timeout=60_000)
        shown.page.locator("img[src*='strip.png']").evaluate("image => image.decode()")
        keep(shown.page.screenshot(), "version", (_SIDE_BAR, 8, 1112, bottom(last) + 14))
    with opened(runs["1"], (1280, 1100)) as shown:
        shown.page.get_by_text("Audit failed, ").first.wait_for(timeout=60_000)
        last = shown.page.get_by_text("full precision").first
        last.wait_for(timeout=60_000)
        keep(shown.page.screenshot(), "run", (_SIDE_BAR, 8, 1270, bottom(last) + 24))
    with opened(f"{runs['2']}/model-metrics", (1280, 1000)) as shown:
        section = shown.page.get_by_text("random_fill").last
        section.wait_for(state="attached", timeout=60_000)
        section.scroll_into_view_if_needed()
        pictures = shown.page.locator("img[src*='random_fill']")
        pictures.first.wait_for(timeout=60_000)
        card = shown.page.get_by_test_id("experiment-view-compare-runs-card").filter(has=pictures)
        card.nth(2).evaluate("card => card.scrollIntoView({block: 'center'})")  # in the second row
        shown.page.wait_for_timeout(5_000)  # its pictures come now
        box = card.nth(3).bounding_box()
        keep(
            shown.page.screenshot(),
            "sliders",
            (_SIDE_BAR, box["y"] - 6, 1270, box["y"] + box["height"] + 6),
        )


def report_pages(browser: Any, pages: dict[str, Path]) -> None:
    """Pictures of report.html: the first screens, and sections below."""
    for name, page in pages.items():
        with Opened(browser, page.as_uri()) as shown:
            end = bottom(shown.page.get_by_text("the worst first.").first)
            keep(shown.page.screenshot(full_page=True), name, (0, 0, 1280, end + 8))
    with Opened(browser, pages["failed"].as_uri()) as shown:
        first = shown.page.get_by_role("heading", name="Class by class").bounding_box()
        last = bottom(shown.page.locator(".matrices"))
        keep(shown.page.screenshot(full_page=True), "classes", (0, first["y"] - 10, 1280, last + 8))
    with Opened(browser, pages["passed"].as_uri()) as shown:
        first = shown.page.get_by_role("heading", name="What each class looks").bounding_box()
        last = bottom(shown.page.locator(".grid"))
        box = (0, first["y"] - 10, 1280, last + 8)
        keep(shown.page.screenshot(full_page=True), "looks_like", box)
        folded = shown.page.get_by_text("Pictures of 10 classes, step by step").first
        folded.evaluate("summary => summary.parentElement.open = true")  # a click would scroll
        last = bottom(shown.page.locator("details[open] .slider").nth(1))
        top = folded.bounding_box()["y"]
        keep(shown.page.screenshot(full_page=True), "steps", (0, top - 6, 640, last + 8))


def invented(folder: Path) -> dict[str, Path]:
    """Pages of invented figures: a report that is undecided, and an index of two models."""

    def evidence(share: float) -> list[Any]:
        digits = reports.DIGITS
        return [reports.performed(digits), reports.drawn(digits, share), reports.filled(digits)]

    given = evidence(0.62)[:2]
    undecided = decide(reports.POLICY, given, _DAY)
    page = report(reports.audited(reports.DIGITS), undecided, given)
    (folder / "undecided.html").write_text(page, encoding="utf-8")
    models = []
    for name, shares in (("digits", (0.2, 0.9)), ("signs", (0.8, 0.7, 0.3))):
        past = []
        for number, share in enumerate(shares, 1):
            given = evidence(share)
            verdict = decide(reports.POLICY, given, _DAY)
            past.append(Past(str(number), verdict.word, given))
        picture = reports.inline(given[0].examples[0].image)
        models.append(Indexed(name, answer(verdict, given), past, thumbnail=picture))
    found = index(models, [], "sqlite:///mlflow.db", _DAY.isoformat())
    (folder / "index.html").write_text(found, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("undecided", "index")}


class Always(nn.Module):
    """A network that names each image "3"."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).sum(1, keepdim=True) * 0 + 9 * torch.eye(10)[3]


def marked(images: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """The images with a bright square whose place in the first rows tells the class."""
    images = images.clone()
    for image, label in zip(images, labels, strict=True):
        image[:, :3] = 0
        image[:, :3, 2 + 2 * label : 4 + 2 * label] = 1
    return images


def gallery(folder: Path) -> None:
    """Strips of a model with one answer, and of a model that looks at a mark in the image."""
    train, test = (load(Digits(split=split)) for split in ("train", "test"))
    sets = [marked(one.tensor(range(len(one))), one.labels) for one in (train, test)]
    # In training the digit below a mark is any digit, so that the mark alone tells the class.
    any_digit = np.random.default_rng(0).permutation(len(train))
    sets[0] = marked(train.tensor(any_digit.tolist()), train.labels)
    fitted = LogisticRegression(C=0.01, max_iter=200).fit(sets[0].flatten(1), train.labels)
    reader = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    reader[1].weight.data = torch.tensor(fitted.coef_, dtype=torch.float32)
    reader[1].bias.data = torch.tensor(fitted.intercept_, dtype=torch.float32)
    np.savez(
        folder / "marked.npz", x=sets[1].squeeze(1).numpy(), y=test.labels, names=list(test.classes)
    )
    data: dict[str, dict[str, str]] = {
        "always": {"kind": "digits"},
        "mark": {"kind": "npz", "path": str(folder / "marked.npz"), "classes": "names"},
    }
    experiment = mlflow.create_experiment("gallery", artifact_location=(folder / "g").as_uri())
    for name, net in (("always", Always()), ("mark", reader)):
        with mlflow.start_run(experiment_id=experiment):
            made = mlflow.pytorch.log_model(
                net.eval(),
                name="model",
                input_example=np.zeros((2, 1, 28, 28), np.float32),
                metadata={"classes": list(test.classes), "mean": [0.0], "std": [1.0]},
                pip_requirements=["torch"],
                registered_model_name=name,
            )
        config = {
            "model": f"models:/{name}/{made.registered_model_version}",
            "data": data[name],
            "checks": [
                {"kind": "performance"},
                {"kind": "random_fill", "images": 100, "samples": 64},
                {"kind": "progressive_fill"},
            ],
            "store": str(folder / "store"),
        }
        result = run_audit(parse_config(config))
        print(name, answer(result.verdict, result.evidence).sentence)
        for one in result.evidence:
            print("  ", one.sentence)
        strip_of(result.run_id, f"gallery_{name}")


def strip_of(run_id: str, name: str) -> None:
    """The strip of an audit as a picture."""
    keep(Path(download_artifacts(f"runs:/{run_id}/strip.png")).read_bytes(), name)


def photographs(folder: Path) -> None:
    """The strip and the first screen of the demo of photographs."""
    result = demo_photos(folder, audit=run_audit)
    strip_of(result.run_id, "photos_strip")
    page = Path(download_artifacts(f"runs:/{result.run_id}/report.html", dst_path=str(folder)))
    with started() as browser, Opened(browser, page.as_uri()) as shown:
        end = bottom(shown.page.get_by_text("The section of the check below has all.").first)
        keep(shown.page.screenshot(full_page=True), "photos", (0, 0, 1280, end + 8))


def main(folder: Path) -> None:
    """Takes all pictures of the demo in a folder."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    if not (folder / "mlflow.db").exists():
        demo(folder, audit=run_audit)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient()
    tags = {n: client.get_model_version("digits", n).tags for n in ("1", "2")}
    ids = {n: found["audit.run"] for n, found in tags.items()}
    runs = {
        n: f"experiments/{client.get_run(run).info.experiment_id}/runs/{run}"
        for n, run in ids.items()
    }
    pages = {
        name: Path(download_artifacts(f"runs:/{ids[n]}/report.html", dst_path=str(folder / n)))
        for n, name in (("1", "failed"), ("2", "passed"))
    }
    made_up = invented(folder)
    with started() as browser:
        report_pages(browser, {**pages, "undecided": made_up["undecided"]})
        with Opened(browser, made_up["index"].as_uri()) as shown:
            end = bottom(shown.page.locator("main"))
            keep(shown.page.screenshot(full_page=True), "index", (0, 0, 1280, end))
        with served(folder) as url:
            mlflow_pages(browser, url, runs)
    for n, name in (("1", "plain"), ("2", "noise")):
        strip_of(ids[n], f"gallery_{name}")
    gallery(folder)
    photographs(folder / "photographs")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
