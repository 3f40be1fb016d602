"""Shapes: arithmetic on whole numbers and symbols, read from sympy's notation and written anew."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from audits.models.pt2.documents import LARGEST, refused

_TOKEN = re.compile(r"([A-Za-z]\w*|-?[0-9]+|'[A-Za-z0-9.+-]+'|[(),=]) ?", re.ASCII)
_LONGEST = 1 << 16  # characters
_DEPTH = 60
_SYMBOL = re.compile(r"'((?:s|u|zf|zuf)[0-9]{1,4})'")
_FLOAT = re.compile(r"'(-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,3})?)'")
_ASSUMED = {"integer", "positive", "nonnegative", "real"}
_MANY = 200
# The functions of sympy and torch that shapes are made of, with the number of their arguments.
_FUNCTIONS = {
    **dict.fromkeys(("Add", "Mul", "Max", "Min", "And", "Or"), (1, _MANY)),
    **dict.fromkeys(("Mod", "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv"), (2, 2)),
    **dict.fromkeys(("IntTrueDiv", "FloatTrueDiv"), (2, 2)),
    **dict.fromkeys(("Equality", "Unequality", "StrictLessThan", "StrictGreaterThan"), (2, 2)),
    **dict.fromkeys(("LessThan", "GreaterThan"), (2, 2)),
    **dict.fromkeys(("ToFloat", "TruncToInt", "CeilToInt", "FloorToInt", "RoundToInt"), (1, 1)),
    **dict.fromkeys(("Abs", "Not"), (1, 1)),
    "Where": (3, 3),
}
_POWERS = {"Pow", "PowByNatural"}
_EXPONENTS = range(-1, 5)


@dataclass(frozen=True)
class Integer:
    """A whole number."""

    value: int

    def __str__(self) -> str:
        return f"Integer({self.value})"


@dataclass(frozen=True)
class Real:
    """A number in decimals; `digits` as sympy prints them."""

    digits: str
    precision: int

    def __str__(self) -> str:
        return f"Float('{self.digits}', precision={self.precision})"


@dataclass(frozen=True)
class Symbol:
    """An unknown size, for example s77, with what is assumed about it."""

    name: str
    assumed: tuple[tuple[str, bool], ...]

    def __str__(self) -> str:
        return f"Symbol({', '.join([repr(self.name), *(f'{k}={v}' for k, v in self.assumed)])})"


@dataclass(frozen=True)
class Call:
    """One of the known functions of other shapes."""

    function: str
    arguments: tuple["Shape", ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(str(one) for one in self.arguments)})"


Shape: TypeAlias = Integer | Real | Symbol | Call


@lru_cache(maxsize=4096)
def shape(text: str) -> Shape:
    """The shape that a text in sympy's notation names. Raises ModelRefused."""
    tokens: list[str] = []
    at = 0
    while at < len(text) <= _LONGEST and (found := _TOKEN.match(text, at)):
        tokens.append(found[1])
        at = found.end()
    if not text or at < len(text):
        raise refused("a symbolic shape", text)
    return _Parser(tokens, text).whole()


def symbols(found: Shape) -> set[str]:
    """The names of the symbols in a shape."""
    if isinstance(found, Symbol):
        return {found.name}
    inner = found.arguments if isinstance(found, Call) else ()
    return {name for one in inner for name in symbols(one)}


class _Parser:
    def __init__(self, tokens: list[str], text: str):
        self._tokens, self._text, self._at = tokens, text, 0

    def whole(self) -> Shape:
        found = self._shape(0)
        if self._at != len(self._tokens):
            raise self._refused()
        return found

    def _shape(self, depth: int) -> Shape:
        function = self._next()
        if depth > _DEPTH or self._next() != "(":
            raise self._refused()
        if function == "Integer":
            found: Shape = Integer(self._number())
        elif function == "Symbol":
            found = self._symbol()
        elif function == "Float":
            found = self._real()
        elif function in _FUNCTIONS or function in _POWERS:
            arguments = [self._shape(depth + 1)]
            while self._peek() == ",":
                self._next()
                arguments.append(self._shape(depth + 1))
            found = self._call(function, tuple(arguments))
        else:
            raise self._refused()
        self._expect(")")
        return found

    def _call(self, function: str, arguments: tuple[Shape, ...]) -> Shape:
        if function in _POWERS:
            # sympy computes a power of numbers at once, however large it gets.
            base, exponent = (*arguments, None, None)[:2]
            small = isinstance(exponent, Integer) and exponent.value in _EXPONENTS
            if len(arguments) != 2 or not small or not (base and symbols(base)):
                raise self._refused()
        else:
            least, most = _FUNCTIONS[function]
            if not least <= len(arguments) <= most:
                raise self._refused()
        return Call(function, arguments)

    def _symbol(self) -> Symbol:
        name = _SYMBOL.fullmatch(self._next())
        assumed = {}
        while self._peek() == ",":
            self._next()
            key = self._next()
            self._expect("=")
            value = self._next()
            if key not in _ASSUMED or key in assumed or value not in ("True", "False"):
                raise self._refused()
            assumed[key] = value == "True"
        if not name:
            raise self._refused()
        return Symbol(name[1], tuple(assumed.items()))

    def _real(self) -> Real:
        digits = _FLOAT.fullmatch(self._next())
        for token in (",", "precision", "="):
            self._expect(token)
        precision = self._number()
        if not digits or not 0 < precision <= 100:
            raise self._refused()
        return Real(digits[1], precision)

    def _number(self) -> int:
        token = self._next()
        if len(token) > 20 or not token.lstrip("-").isdecimal() or abs(int(token)) > LARGEST:
            raise self._refused()
        return int(token)

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise self._refused()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _refused(self) -> Exception:
        return refused("a symbolic shape", self._text)
