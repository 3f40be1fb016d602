"""MlflowDataset: a data set that a run of MLflow has logged as its input."""

import json
from typing import Any, Literal

import mlflow
from mlflow.exceptions import MlflowException
from pydantic import Field

from audits.data.built import OfFiles
from audits.data.imageset import ImageSet
from audits.data.kinds.folder import Folder
from audits.data.kinds.table import Csv
from audits.errors import AuditError, few, quoted
from audits.strict import PlaceName

_TABLES = (".csv", ".parquet", ".pq")


class MlflowDataset(OfFiles):
    """The source of a data set that a run has logged (`mlflow.log_input`): a table or a folder.

    A source that ends in .csv or .parquet is read as by `csv`, any other as by `folder`. Who writes
    runs decides on the source, so an error does not tell what stands there.
    """

    kind: Literal["mlflow"] = "mlflow"
    run: str = Field(pattern="^[0-9a-f]{32}$", description="id of the run")
    dataset: str = Field(description="its name")
    path_column: str = "path"
    label_column: str = "label"
    split: PlaceName | None = Field(default=None, description="of a folder, as in `folder`")

    def load(self) -> ImageSet:
        found = self.settled()
        try:
            return found.load()
        except AuditError:
            raise AuditError(
                f"Expected data that can be read at {quoted(found.path)}, the source of "
                f"{quoted(self.dataset)} in run {self.run}. To see why they cannot, name the place "
                f"in your own config: data: {{kind: {found.kind}, path: ...}}."
            ) from None

    def settled(self) -> Csv | Folder:
        """The table or the folder that the data set's source names. Raises AuditError."""
        source = self._source()
        own = {"secret", "sample", "sample_seed", "unreadable", "bits"}
        common: dict[str, Any] = {"path": source, **self.model_dump(include=own)}
        if source.lower().endswith(_TABLES):
            common |= {"path_column": self.path_column, "label_column": self.label_column}
            return Csv(**common)
        return Folder(**common, split=self.split)

    def _source(self) -> str:
        try:
            inputs = mlflow.MlflowClient().get_run(self.run).inputs
        except MlflowException as error:
            raise AuditError(f"Expected the run {self.run}, found none: {error.message}") from error
        logged = [one.dataset for one in (inputs.dataset_inputs if inputs else [])]
        sources = {(one.source_type, one.source) for one in logged if one.name == self.dataset}
        if not sources:
            names = sorted({one.name for one in logged})
            raise AuditError(
                f"Expected a data set {quoted(self.dataset)} among those of run {self.run}, found: "
                f"{few(names) or 'none'}."
            )
        if len(sources) > 1:
            raise AuditError(
                f"Expected one data set {quoted(self.dataset)} in run {self.run}, got several with "
                "different sources. Name the files themselves under data."
            )
        ((kind, source),) = sources
        place = _place(source)
        if place is None:
            raise AuditError(
                f"Expected a data set whose source is a file or a folder, got a source of type "
                f"{quoted(kind)}. Name the files themselves under data."
            )
        return place


def _place(source: str | None) -> str | None:
    """The place in the source of a data set, which is JSON; None if it has none."""
    try:
        said = json.loads(source or "{}")
    except (ValueError, RecursionError):
        return None
    place = (said.get("uri") or said.get("url")) if isinstance(said, dict) else None
    return place if isinstance(place, str) else None
