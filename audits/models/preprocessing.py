"""What stands between an image and the network, as a config says it."""

from pydantic import Field, PositiveFloat, field_validator

from audits.strict import Strict


class Preprocessing(Strict):
    """What stands between an image in [0, 1] and the network."""

    mean: tuple[float, ...] | None = None
    std: tuple[PositiveFloat, ...] | None = None
    classes: tuple[str, ...] | None = None  # in the order of the logits
    overrides: bool = Field(
        default=True, description="false: only what the model's metadata do not say"
    )

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and len(set(classes)) < len(classes):
            raise ValueError("expected different class names, got one twice")
        return classes
