"""Attack: one change of a real archive that is to make code run, or to exhaust the machine."""

from collections.abc import Callable
from dataclasses import dataclass

from crafting import Crafted


@dataclass(frozen=True)
class Attack:
    """`live` attacks run their code in torch's own loader, which a test shows.

    An attack that is not `refused` loads without what it put in.
    """

    name: str
    change: Callable[[Crafted], None]
    live: bool = False
    refused: bool = True

    def __str__(self) -> str:
        return self.name
