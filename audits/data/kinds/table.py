"""Csv and Table: a table that names image files and their classes."""

from pathlib import Path
from typing import Literal

import pandas as pd
from pyarrow import parquet

from audits.data.built import OfFiles, by_name, of_files
from audits.data.encoded import Encoded
from audits.data.imageset import ImageSet
from audits.data.parquet_size import expect_bounded
from audits.data.places import file_at, files_at
from audits.data.rows_of_tables import beside
from audits.data.scan import named
from audits.data.table_columns import TableColumns, expect_different_names
from audits.errors import AuditError
from audits.strict import PlaceName


class _Table(OfFiles):
    path: PlaceName
    path_column: str = "path"
    label_column: str = "label"

    def load(self) -> ImageSet:
        path = file_at(self.path)
        table = _read(path)
        for column in (self.path_column, self.label_column):
            if column not in table:
                found = named([repr(str(name)) for name in table.columns])
                raise AuditError(f"Expected a column {column!r} in {path}, found: {found}.")
            values = table[column]
            if empty := int((values.isna() | (values.astype(str) == "")).sum()):
                raise AuditError(
                    f"Expected a value in each row of the column {column!r} of {path}, got none in "
                    f"{empty} of {len(table)} rows. Leave these rows out, or fill them in."
                )
        rows = [str(value) for value in table[self.path_column]]
        files = files_at([beside(self.path, row) for row in rows])
        images = [
            Encoded(row, fault=str(file)) if isinstance(file, AuditError) else Encoded(row, file)
            for row, file in zip(rows, files, strict=True)
        ]
        missing = [image for image in images if not (image.path and image.path.is_file())]
        if missing and self.unreadable == "refuse":
            first = missing[0]
            raise AuditError(
                f"Expected the images that {path} names, {first.path or first.name} is not there"
                + (f", nor are {len(missing) - 1} others" if missing[1:] else "")
                + (f" ({first.fault.rstrip('.')})" if first.fault else "")
                + ". Correct the table, or set data.unreadable: skip."
            )
        labels, classes = by_name([str(value) for value in table[self.label_column]])
        names = tuple(str(name) for name in table.columns)
        columns = TableColumns(names, lambda name: table.iloc[:, names.index(name)].tolist())
        return of_files(path.name, images, labels, classes, self, columns=columns)


class Csv(_Table):
    """A table with a column of images (paths beside it, or addresses) and one of class names.

    The table is CSV in UTF-8, or Parquet if its name ends in .parquet. Its path may be a URI that
    fsspec knows, or MLflow's. An image may be in the web, in a bucket (`s3://bucket/cat/1.jpg`), in
    MLflow, or on the table's own server.
    """

    kind: Literal["csv"] = "csv"


class Table(_Table):
    """The same as `csv`, for a table in Parquet."""

    kind: Literal["table"] = "table"


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            expect_bounded(path)
            return parquet.read_table(path).to_pandas(ignore_metadata=True)
        # Not unpacked, whatever the name says: a few bytes may hold gigabytes.
        expect_different_names(path)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, compression=None)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise AuditError(f"Expected a UTF-8 table with a header at {path}: {error}") from error
    except AuditError:
        raise
    except Exception as error:  # of what Arrow and pandas make of the types in a file
        raise AuditError(
            f"Expected a table in Parquet at {path}, got {type(error).__name__}: {error}"
        ) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first field as a name
        raise AuditError(
            f"Expected rows with as many fields as the header of {path} has, got more. Name each "
            "column in the header."
        )
    return table
