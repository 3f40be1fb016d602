"""Guards: comparisons of sizes of the inputs, read from Python's notation and written anew."""

import ast
from dataclasses import dataclass
from typing import TypeAlias

from audits.errors import ModelRefused
from audits.models.pt2.documents import LARGEST, refused
from audits.models.pt2.names import identifier

_LONGEST = 1 << 16  # characters
_DEPTH = 80
_BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_COMPARED = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_FUNCTIONS = {"sym_max", "sym_min"}
_SIZES = {"size", "stride"}


@dataclass(frozen=True)
class Number:
    """A whole number."""

    value: int

    def __str__(self) -> str:
        return f"({self.value})" if self.value < 0 else str(self.value)


@dataclass(frozen=True)
class Size:
    """A size of an input, L['x'].size()[0], or an input that is a whole number, L['x']."""

    keys: tuple[str | int, ...]
    method: str | None = None
    dimension: int | None = None

    def __str__(self) -> str:
        source = "L" + "".join(f"[{key!r}]" for key in self.keys)
        if self.method is None:
            return source
        return f"{source}.{self.method}()" + (
            "" if self.dimension is None else f"[{self.dimension}]"
        )


@dataclass(frozen=True)
class Combined:
    """Terms with one operator between them, for example + or <= or and."""

    operator: str
    terms: tuple["Term", ...]

    def __str__(self) -> str:
        return "(" + f" {self.operator} ".join(str(one) for one in self.terms) + ")"


@dataclass(frozen=True)
class Applied:
    """One of a few functions of terms: torch.sym_max, torch.sym_min, minus, or not."""

    function: str
    terms: tuple["Term", ...]

    def __str__(self) -> str:
        if self.function in ("-", "not "):
            return f"({self.function}{self.terms[0]})"
        return f"torch.{self.function}({', '.join(str(one) for one in self.terms)})"


Term: TypeAlias = Number | Size | Combined | Applied


def sources(term: Term) -> set[tuple[str | int, ...]]:
    """The keys of the inputs that a guard looks at, for example ("x",)."""
    if isinstance(term, Size):
        return {term.keys}
    inner = term.terms if isinstance(term, Combined | Applied) else ()
    return {keys for one in inner for keys in sources(one)}


def guard(text: str) -> Term:
    """The condition that a guard's text names. Raises ModelRefused."""
    try:
        if len(text) > _LONGEST or not text.isascii():
            raise ValueError(text)
        found = _term(ast.parse(text, mode="eval").body, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ModelRefused) as error:
        raise refused("a guard on shapes", text) from error
    if isinstance(found, Number | Size):
        raise refused("a guard on shapes", text)
    return found


def _term(node: ast.expr, depth: int) -> Term:
    """The term of a node. Raises ValueError for anything else."""
    if depth > _DEPTH:
        raise ValueError(node)
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool) and value < LARGEST:
            return Number(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            if not isinstance(value, bool) and value < LARGEST:
                return Number(-value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Applied("-", (_term(operand, depth + 1),))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Applied("not ", (_term(operand, depth + 1),))
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(value))):
            # A power of a size alone: one of numbers could be too large to compute.
            if value in (2, 3, 4):
                return Combined("**", (_size(left), Number(value)))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            terms = _term(left, depth + 1), _term(right, depth + 1)
            return Combined(_BINARY[type(operator)], terms)
        case ast.BoolOp(op=ast.And() | ast.Or() as operator, values=values):
            word = "and" if isinstance(operator, ast.And) else "or"
            return Combined(word, tuple(_term(value, depth + 1) for value in values))
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            if type(operator) in _COMPARED:
                terms = _term(left, depth + 1), _term(right, depth + 1)
                return Combined(_COMPARED[type(operator)], terms)
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="torch"), attr=function),
            args=[first, *others],
            keywords=[],
        ) if function in _FUNCTIONS:
            return Applied(function, tuple(_term(one, depth + 1) for one in (first, *others)))
        case _:
            return _size(node)
    raise ValueError(node)


def _size(node: ast.expr) -> Size:
    dimension = None
    match node:
        case ast.Subscript(value=ast.Call() as call, slice=ast.Constant(value=int(value))):
            if isinstance(value, bool) or not 0 <= value < 100:
                raise ValueError(node)
            node, dimension = call, value
    match node:
        case ast.Call(func=ast.Attribute(value=source, attr=method), args=[], keywords=[]):
            sized = method in _SIZES and dimension is not None
            if sized or (method in ("dim", "storage_offset") and dimension is None):
                return Size(_keys(source), method, dimension)
            raise ValueError(node)
    return Size(_keys(node))


def _keys(node: ast.expr) -> tuple[str | int, ...]:
    """The keys of L['x'][0]: names of inputs, and places in them."""
    match node:
        case ast.Subscript(value=ast.Name(id="L"), slice=ast.Constant(value=str(name))):
            return (identifier(name),)
        case ast.Subscript(value=inner, slice=ast.Constant(value=str(name))):
            return (*_keys(inner), identifier(name))
        case ast.Subscript(value=inner, slice=ast.Constant(value=int(place))):
            if not isinstance(place, bool) and 0 <= place < 1000:
                return (*_keys(inner), place)
    raise ValueError(node)
