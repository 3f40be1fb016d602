"""Lists, tuples and mappings of texts and numbers, as Python writes them."""

import re
from ast import literal_eval
from typing import Any

# Texts, numbers and constants, each before a comma or its like, within brackets. Python's parser
# takes quadratic time for other literals, such as f-strings.
_LITERAL = re.compile(
    r"""(?:[\[\](){},:\s]
    |(?:-?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,4})?|True|False|None
        |'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")(?=\s*[\]}),:]))*+""",
    re.VERBOSE,
)


def plain_literal(text: str) -> Any:
    """The value that `text` stands for. Raises ValueError for any other expression.

    It raises what Python's parser raises, too: SyntaxError, MemoryError, RecursionError, TypeError.
    """
    if not _LITERAL.fullmatch(text):
        raise ValueError("expected a list, tuple or mapping of texts and numbers")
    return literal_eval(text)
