"""Preprocessing: the normalisation and the class names that a config may give."""

from pydantic import Field, PositiveFloat, field_validator

from audits.strict import Strict


class Preprocessing(Strict):
    """Normalisation of images in [0, 1] for the network, and the class names of its logits."""

    mean: tuple[float, ...] | None = None
    std: tuple[PositiveFloat, ...] | None = None
    classes: tuple[str, ...] | None = None  # in the order of the logits
    overrides: bool = Field(
        default=True, description="false: values of the model's metadata come first"
    )

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and len(set(classes)) < len(classes):
            raise ValueError("expected different class names, got one twice")
        return classes
