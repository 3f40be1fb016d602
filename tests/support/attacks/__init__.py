"""The hostile kit: changes of a real archive, by their kind."""

from attacks.attack import Attack
from attacks.containers import CONTAINERS
from attacks.contents import DOCUMENTS, OPERATORS, PICKLES, SIZES
from attacks.texts import GUARDS, NAMES, SHAPES

ATTACKS = [*GUARDS, *SHAPES, *NAMES, *CONTAINERS, *OPERATORS, *PICKLES, *SIZES, *DOCUMENTS]

__all__ = ["ATTACKS", "Attack"]
