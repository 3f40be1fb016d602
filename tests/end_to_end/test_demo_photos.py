"""The demo of photographs, made small: a network is audited, and another reads its fills."""

from pathlib import Path

import mlflow
import pytest
import yaml
from PIL import Image

from audits import parse_config, run_audit
from flows.demo import imagenet
from flows.demo.photos import demo_photos

pytestmark = pytest.mark.soak


def _small(values):
    """Four photographs and few steps."""
    checks = [
        check | ({"images": 4, "steps": 6} if check["kind"] == "completion" else {})
        for check in values["checks"]
        if check["kind"] != "progressive_fill"
    ]
    engine, limits = {"precision": "full", "chunk": 8}, {"load_seconds": 900}
    return values | {"checks": checks, "engine": engine, "limits": limits}


@pytest.fixture(scope="module")
def shown(tmp_path_factory, shared_registry):
    if absent := imagenet.missing():
        pytest.skip(f"no {', '.join(absent)}; pip install 'fillblanks[photos]'")
    folder = tmp_path_factory.mktemp("photos")
    return folder, demo_photos(folder, audit=run_audit, changed=_small)


def test_the_reference_reads_the_fills(shown):
    _, result = shown
    performance, completion = result.evidence
    assert [one.status for one in result.evidence] == ["ok", "ok"]
    assert performance.metrics["accuracy"].estimate.value > 0.6  # so classes are in their order
    assert performance.metrics["accuracy"].estimate.n == 23
    assert completion.metrics["forced_choice"].estimate.n == 4
    assert completion.metrics["gap"].estimate.value > 0
    assert completion.sentence.startswith("With three quarters of the image blank, an independent")


def test_pictures_and_page_show_photograph_null_and_fills(shown):
    _, result = shown
    client = mlflow.MlflowClient()
    files = {
        name: Path(client.download_artifacts(result.run_id, name))
        for name in ("strip.png", "contact_sheet.png", "report.html")
    }
    with Image.open(files["strip.png"]) as strip, Image.open(files["contact_sheet.png"]) as sheet:
        assert strip.size == (800, 220)
        assert sheet.width == 900
        assert sheet.height > 4 * 150
    first = files["report.html"].read_text(encoding="utf-8").split('id="reason"')[0]
    for words in ("three quarters blank", "smooth fill (null)", "asked: ", "reference: "):
        assert words in first


def test_the_folder_has_all_that_is_needed_to_run_the_audit_again(shown):
    folder, result = shown
    config = parse_config(yaml.safe_load((folder / "audit.yaml").read_text(encoding="utf-8")))
    assert config.model == result.model.uri
    photographs = sorted((folder / "photographs").rglob("*.png"))
    assert len(photographs) == 23
    for file in photographs:
        assert file.parent.name in imagenet.classes()
        with Image.open(file) as picture:
            assert picture.size == (imagenet.SIDE, imagenet.SIDE)
    assert {path.name for path in folder.iterdir()} == {
        "audit.yaml",
        "mlartifacts",
        "mlflow.db",
        "photographs",
        "pictures",
        "store",
    }
