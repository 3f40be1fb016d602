"""Refuses a pt2 archive with text that torch might run when the archive is loaded.

`torch.export.load` evaluates symbolic shapes and guards that the archive's JSON holds as text, and
looks operators up by name. MLflow's guard lets any JSON pass, so the text is checked here first.
Only text that exported networks are known to contain is accepted.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audits.errors import ModelRefused

_OPERATOR = re.compile(
    r"torch\.ops\.(aten|higher_order|prims)\.[\w.]+|_operator\.\w+|math\.\w+|torch\.sym_\w+"
)
_READS_FILES = re.compile(r"torch\.ops\.aten\.from_file\b.*")
_RECORD = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/[\w./-]+|models/[\w.-]+\.json"
    r"|data/(weights|constants|sample_inputs)/[\w.-]+|extra/[\w./-]+)"
)
_SHAPE_FUNCTION = re.compile(
    "Symbol|Integer|Rational|Float|Add|Mul|Pow|Max|Min|Abs|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    "|IntTrueDiv|FloatTrueDiv|ToFloat|TruncToInt|CeilToInt|FloorToInt|RoundToInt|Piecewise|Where"
    "|Equality|Unequality|StrictLessThan|StrictGreaterThan|LessThan|GreaterThan|Eq|Ne|Lt|Le|Gt|Ge"
    "|And|Or|Not"
)
_TENSOR_METHODS = frozenset({"size", "stride", "storage_offset", "dim"})
_SYMBOLIC_FUNCTIONS = frozenset(
    {"sym_max", "sym_min", "sym_not", "sym_int", "sym_float", "sym_ite"}
)
_PLAIN = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
    ast.keyword,
    ast.Tuple,
    ast.Name,
)


def check_archive(path: Path) -> None:
    """Raises ModelRefused unless everything in the archive is known to be harmless to load."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if not _RECORD.fullmatch(name):
                    raise ModelRefused(
                        f"Expected the records of a torch.export archive, got {name!r}."
                    )
            programs = [n for n in archive.namelist() if "/models/" in n]
            for name in programs:
                _check_program(json.loads(archive.read(name)))
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"Expected a torch.export archive, got a broken one: {error}") from error


def _check_program(program: Any) -> None:
    for key, value in _entries(program):
        if key == "expr_str" and not _is_shape(str(value)):
            raise ModelRefused(f"Expected a symbolic shape in the pt2 archive, got {value!r}.")
        if key == "guards_code":
            for guard in value or ():
                if not _is_guard(str(guard)):
                    raise ModelRefused(f"Expected a guard on shapes in the archive, got {guard!r}.")
        if key == "target" and isinstance(value, str):
            known = _OPERATOR.fullmatch(value) and not _READS_FILES.fullmatch(value)
            if not known:
                raise ModelRefused(f"Expected an ATen operator in the archive, got {value!r}.")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every mapping below `value`, with its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _is_shape(text: str) -> bool:
    """Whether a text in sympy's notation only calls known functions on numbers and Symbol(name)."""
    tree = _parsed(text)
    if tree is None:
        return False
    names = {name for node in ast.walk(tree) if (name := _symbol_name(node)) is not None}
    return all(_is_shape_node(node, names) for node in ast.walk(tree))


def _symbol_name(node: ast.AST) -> ast.expr | None:
    """The argument of Symbol('s0'), the only string that a shape may contain."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    if node.func.id != "Symbol" or len(node.args) != 1:
        return None
    name = node.args[0]
    plain = isinstance(name, ast.Constant) and str(name.value).isidentifier()
    return name if plain else None


def _is_shape_node(node: ast.AST, symbol_names: set[ast.expr]) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and bool(_SHAPE_FUNCTION.fullmatch(node.func.id))
    if isinstance(node, ast.Constant):
        return node in symbol_names or isinstance(node.value, int | float)
    return isinstance(node, _PLAIN)


def _is_guard(text: str) -> bool:
    """Whether a text only compares numbers and sizes of the inputs, L['x'].size()[0]."""
    tree = _parsed(text)
    return tree is not None and all(_is_guard_node(node) for node in ast.walk(tree))


def _is_guard_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        # A method of a tensor without arguments, or torch.sym_max(...) of numbers.
        plain = not node.args or _is_symbolic_function(node.func)
        return isinstance(node.func, ast.Attribute) and plain and not node.keywords
    if isinstance(node, ast.Attribute):
        return node.attr in _TENSOR_METHODS or _is_symbolic_function(node)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float | str)
    return isinstance(node, (*_PLAIN, ast.Subscript))


def _is_symbolic_function(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
        and node.attr in _SYMBOLIC_FUNCTIONS
    )


def _parsed(text: str) -> ast.Expression | None:
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return None
