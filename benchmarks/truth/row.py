"""Row: what one check says of one network."""

import math
from typing import NamedTuple

NOT_APPLICABLE = "not applicable: "  # how the detail of a check that does not apply begins


class Row(NamedTuple):
    """One check on one network. None: the check does not say this, or it means nothing here."""

    check: str
    score: float  # the higher, the more a defect is suspected
    accused: bool | None  # by the bound of the default policy, or another that page.md.j2 names
    class_right: bool | None
    place_right: bool | None
    seconds: float  # of the process on a CPU, of the clock on a GPU
    beside_right: bool | None = None  # the place, up to the network's stride
    detail: str = ""

    @classmethod
    def inapplicable(cls, check: str, reason: object) -> "Row":
        """The check has not been able to say anything: neither accused nor left in peace."""
        return cls(check, math.nan, None, None, None, 0.0, None, f"{NOT_APPLICABLE}{reason}")
