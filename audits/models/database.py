"""Checks a database of MLflow that is reached without a server, and words its errors.

It imports SQLAlchemy and MLflow's tables, which takes a second: import it where it is used.
"""

from pathlib import Path

from mlflow.store.db.utils import create_sqlalchemy_engine
from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from audits.errors import AuditError


def expect_database(uri: str, variable: str) -> None:
    """Raises AuditError if there is no database of MLflow at `uri`, or no driver for it."""
    url = _parsed(uri, variable)
    if url.get_backend_name() == "sqlite":
        _expect_sqlite(url, uri, variable)
        return
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise AuditError(
            f"Expected a driver for the database {url.render_as_string()}, found none ({error}). "
            f"Install it, or correct {variable}."
        ) from error


def _expect_sqlite(url: URL, uri: str, variable: str) -> None:
    database = Path((url.database or "").removeprefix("file:"))  # as SQLite's own URIs begin
    expected, cure = f"Expected MLflow's database at {database.absolute()}", f"Set {variable}."
    if not database.is_file():
        raise AuditError(f"{expected}, found none. {cure}")
    try:
        # MLflow's own connection, with the settings that the URI names, as how long to wait.
        engine = create_sqlalchemy_engine(uri)
        try:
            known = inspect(engine).has_table("alembic_version")  # made with the first table
        finally:
            engine.dispose()
    except (SQLAlchemyError, TypeError, ValueError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise AuditError(f"{expected}, but it cannot be read: {reason}. {cure}") from error
    if not known:
        raise AuditError(f"{expected}, got a file without its tables. {cure}")


def _parsed(uri: str, variable: str) -> URL:
    try:
        return make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise AuditError(f"Expected {variable} to name a database, got {uri!r}: {error}") from error
