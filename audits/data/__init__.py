"""Data sets: a config of one `kind` each, read into an ImageSet."""

from audits.data.imageset import ImageSet
from audits.data.kinds import AnyData, load

__all__ = ["AnyData", "ImageSet", "load"]
