"""Addresses of MLflow's pages: only of servers with pages, and without user and password."""

import pytest

from audits.tracking.audited import page_url, without_secrets


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("http://host:5000", "http://host:5000/"),
        ("http://me:secret@host:5000/ui/", "http://host:5000/ui/"),
        ("https://[::1]:5000?token=secret", "https://[::1]:5000/"),
        ("sqlite:///mlflow.db", ""),
        ("databricks", ""),
        ("databricks://profile", ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_only_pages_have_an_address_and_without_secrets(uri, root):
    assert page_url(uri, "") == root
    assert page_url(uri, "#/runs/1") == (f"{root}#/runs/1" if root else "")
    assert "secret" not in without_secrets(uri)


def test_a_uri_without_secrets_stays_as_it_is():
    assert without_secrets("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"
