"""A table, which a stranger may have written, names no server that sends without end."""

import pytest

from audits.data.rows_of_tables import beside
from audits.errors import AuditError


@pytest.mark.parametrize(
    ("table", "file", "place"),
    [
        ("/a/t.csv", "b/c.png", "/a/b/c.png"),
        ("/a/t.csv", "/b/c.png", "/b/c.png"),
        ("/a/t.csv", "s3://b/c.png", "s3://b/c.png"),
        ("s3://a/d/t.csv", "b/c.png", "s3://a/d/b/c.png"),
        ("runs:/1/t.csv", "c.png", "runs:/1/c.png"),
        ("file:///a/t.csv", "c.png", "/a/c.png"),
    ],
)
def test_the_files_of_a_table_are_beside_it(table, file, place):
    assert beside(table, file) == place


@pytest.mark.parametrize(
    "archive",
    ["zip://0.png::{}", "tar://0.png::simplecache::{}", "zip://0.png::{}::/etc/hostname"],
)
def test_a_table_names_no_image_in_an_archive_of_another_machine(archive):
    far = archive.format("http://127.0.0.1:9/photos.zip")
    with pytest.raises(AuditError, match="Expected an image that is a file of its own"):
        beside("/data/table.csv", far)


@pytest.mark.parametrize("archive", ["zip://0.png::{}", "tar://0.png::simplecache::{}"])
def test_a_table_names_images_in_archives_of_this_machine(archive):
    near = archive.format("file:///data/photos.zip")
    assert beside("/data/table.csv", near) == near


@pytest.mark.parametrize(
    "kind", ["webhdfs", "ftp", "sftp", "hdfs", "smb", "github", "jupyter", "x"]
)
def test_a_table_names_no_server_that_may_send_without_end_but_its_own(kind):
    file = f"{kind}://127.0.0.1:9/photos/0.png"
    for table in ("/data/t.csv", f"{kind}://127.0.0.1:99/t.csv", f"{kind}://127.0.0.1/t.csv"):
        with pytest.raises(AuditError, match="Expected an image at a path, at a web address or"):
            beside(table, file)
    assert beside(f"{kind}://127.0.0.1:9/tables/t.csv", file) == file


@pytest.mark.parametrize("kind", ["http", "https", "s3", "gs", "az", "runs", "models"])
def test_a_table_names_images_in_the_web_in_buckets_and_in_mlflow(kind):
    file = f"{kind}:/0a/0.png" if kind in ("runs", "models") else f"{kind}://photos/0.png"
    assert beside("/data/t.csv", file) == file
