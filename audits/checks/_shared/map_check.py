"""MapCheck: the base of checks that make maps of evidence, with the method and its parameters."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from audits.checks._shared.maps import (
    DRAWS,
    USUAL_PATCHES,
    Baseline,
    Method,
    MethodName,
    default_patch,
)
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext
from audits.strict import Count, Ratio
from fillblanks.attribution.pami import RADIUS, STRIDE

_MOST_DRAWS = 100_000


class MapCheck(Check):
    """Base of the checks of maps: how the map of an image is made."""

    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "probabilities"
    method: MethodName = Field(
        default="blank_difference", description="blank_difference, occlusion, pami or sobol"
    )
    patch_size: Count | None = Field(
        default=None,
        description="pixels; default an eighth of the shorter side, from 65 pixels a quarter",
    )
    draws: Annotated[int, Field(ge=1, le=_MOST_DRAWS)] | None = Field(
        default=None,
        description="random masks an image, for blank_difference (default 512) and sobol (a power "
        "of two, default 16; it takes as many passes for each patch)",
    )
    mask_ratio: Ratio = Field(
        default=0.25, description="share of patches that is blank, for blank_difference"
    )
    radius: Ratio = Field(
        default=RADIUS, description="of the discs of pami, as a share of the shorter side"
    )
    stride: Ratio = Field(
        default=STRIDE, description="between the discs of pami, as a share of the shorter side"
    )
    baseline: Baseline = Field(
        default="black", description="what the method puts where it hides: black or blurred"
    )

    @model_validator(mode="after")
    def _only_its_own(self) -> Self:
        owners: dict[str, tuple[str, ...]] = {
            "draws": tuple(DRAWS),
            "mask_ratio": ("blank_difference",),
            "radius": ("pami",),
            "stride": ("pami",),
        }
        for name, methods in owners.items():
            # A check that is settled or read again has all fields.
            default = type(self).model_fields[name].default
            if self.method not in methods and getattr(self, name) != default:
                raise ValueError(f"expected {name} for {' or '.join(methods)}, got {self.method}")
        return self

    def settled(self, shape: tuple[int, int, int]) -> Self:
        return self.model_copy(
            update={
                "patch_size": self.patch_size or default_patch(shape),
                "draws": self.draws or DRAWS.get(self.method),
            }
        )

    def method_for(self, shape: tuple[int, int, int]) -> Method:
        """The method with its parameters, for images of this shape (C, H, W)."""
        own = self.settled(shape)
        return Method(
            self.method,
            own.patch_size or 1,
            own.draws or 1,
            self.mask_ratio,
            self.radius,
            self.stride,
            self.baseline,
        )

    def impossible(self, shape: tuple[int, int, int]) -> str:
        method = self.method_for(shape)
        try:
            self._expect(method, *shape[1:])
        except ValueError as error:
            height, width = shape[1:]
            size = method.patch_size
            return f"{self.name}, patch_size {size} on images of {height}x{width}: {error}"
        return ""

    def _expect(self, method: Method, height: int, width: int) -> None:
        """Raises ValueError if the check cannot be made on images of this size."""
        method.expect(height, width)

    def map_passes(self, audit: AuditContext) -> int:
        """The number of passes for the map of one image."""
        return self.method_for(audit.shape).passes(*audit.shape[1:])

    @property
    def least_map_passes(self) -> int:
        """The least number of passes for a map, before the images are known."""
        return self.draws or 1

    @property
    def most_map_passes(self) -> int:
        """About the largest number of passes for a map, before the images are known."""
        of_map = {
            "blank_difference": self.draws or 1,
            "occlusion": USUAL_PATCHES,
            "pami": round(1 / self.stride + 1) ** 2,
            "sobol": (self.draws or 1) * (USUAL_PATCHES + 1),
        }
        return of_map[self.method]
