"""Folder: image files in a folder for each class."""

from typing import Literal

from audits.data.built import OfFiles, of_files
from audits.data.encoded import Encoded
from audits.data.imageset import ImageSet
from audits.data.listing import list_classes
from audits.data.places import folder_at
from audits.strict import PlaceName


class Folder(OfFiles):
    """A folder with one sub-folder of image files for each class.

    `path` may also be a URI that fsspec or MLflow knows (`s3://bucket/photos`,
    `runs:/<id>/photos`). With `split`, the folders of classes are in the sub-folder of that name.
    """

    kind: Literal["folder"] = "folder"
    path: PlaceName
    split: PlaceName | None = None

    def load(self) -> ImageSet:
        root = folder_at(self.path)
        found = list_classes(root, self.split)
        folder = root if self.split is None else root / self.split
        images = [Encoded(str(file.relative_to(folder)), file) for file in found.files]
        name = folder.name if self.split is None else f"{root.name}/{self.split}"
        return of_files(f"{name} (folder)", images, found.labels, found.classes, self, found.notes)
