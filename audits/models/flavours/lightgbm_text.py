"""Reads a booster's text file strictly, in the auditing process.

LightGBM checks none of the numbers by which it goes through a file's trees: features, children and
counts that are too large make it read and write memory of others, where its answers may depend on
anything, and another process may get other ones. Read was LightGBM 4.7.0: gbdt_model_text.cpp and
tree.cpp.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np

from audits.errors import ModelRefused, quoted
from audits.models.texts import bounded_text

_MOST_BYTES = 1 << 28  # of a file
_MOST_LINES, _MOST_TREES = 5_000_000, 200_000
_MOST_FEATURES = 1 << 24
_MOST_CLASSES = 100_000
_HEADER = frozenset(
    {"version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx"}
    | {"objective", "average_output", "feature_names", "monotone_constraints", "feature_infos"}
    | {"tree_sizes"}
)
_OF_NODES = ("split_feature", "threshold", "left_child", "right_child")
_ALSO_OF_NODES = (
    *("decision_type", "split_gain", "internal_value", "internal_weight", "internal_count"),
)
_OF_LEAVES = ("leaf_weight", "leaf_count", "leaf_const", "num_features")
_TREE = frozenset(  # LightGBM reads 22 lines, and no line after them
    {"num_leaves", "num_cat", "leaf_value", "cat_boundaries", "cat_threshold", "is_linear"}
    | {"leaf_features", "leaf_coeff", "shrinkage", *_OF_NODES, *_ALSO_OF_NODES, *_OF_LEAVES}
)
_INT = "-?[0-9]{1,10}"
_FLOAT = r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][-+]?[0-9]{1,4})?|inf|nan)"
_INTS, _FLOATS = (re.compile(f"{one}(?: {one})*+") for one in (_INT, _FLOAT))
_WHOLE = frozenset(
    {"split_feature", "left_child", "right_child", "decision_type", "internal_count", "leaf_count"}
    | {"num_features", "leaf_features", "cat_boundaries", "cat_threshold", "tree_sizes"}
)
_OBJECTIVE = re.compile(
    r"(?P<kind>binary|multiclass|multiclassova)(?: num_class:(?P<classes>[0-9]{1,6}))?"
    r"(?: sigmoid:[0-9]{1,10}(?:\.[0-9]{1,20})?(?:e-?[0-9]{1,3})?)?"
)
_PARAMETER = re.compile(r"\[[a-z0-9_]{1,60}: .*\]")
_CATEGORICAL, _MISSING, _TYPES = 1, 2, 1 << 4  # bits of a decision_type
_MISSING_KINDS = 3
_SHOWN = 100  # characters of a line

Lines = Mapping[str, str]


def expect_sound(file: Path) -> str:
    """The objective in a booster's text file, which LightGBM may read.

    Raises ModelRefused if a number would lead it out of the file's own trees.
    """
    try:
        text = bounded_text(file, _MOST_BYTES)
    except UnicodeDecodeError as error:
        _refuse("text in UTF-8", str(error))
    if "\r" in text or "\0" in text:
        _refuse("lines that end with one line feed", "other control characters")
    if (count := text.count("\n")) > _MOST_LINES:
        _refuse(f"at most {_MOST_LINES:,} lines", f"{count:,}")
    if (count := text.count("\nTree=")) > _MOST_TREES:
        _refuse(f"at most {_MOST_TREES:,} trees", f"{count:,}")
    lines = text.split("\n")
    if "end of trees" not in lines:
        _refuse("trees, and the line 'end of trees' behind them", "none")
    end = lines.index("end of trees")
    _expect_parameters(lines[end:])
    blocks = _blocks(lines[: end + 1])
    header = _keys(next(blocks)[1:], _HEADER, flags={"average_output"})
    features, classes = _features(header), _classes(header)
    sizes: list[int] = []
    for block in blocks:
        _expect_tree(block, len(sizes), features)
        sizes.append(sum(len(one.encode()) + 1 for one in block))
    told = header.get("tree_sizes")
    if told is not None and _numbers("tree_sizes", told, len(sizes)).tolist() != sizes:
        _refuse("tree_sizes that are the lengths of the trees", told)
    if not sizes or len(sizes) % classes:
        _refuse(f"{classes} trees or a multiple", f"{len(sizes)}")
    return header["objective"].split(" ")[0]


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines of the header, then those of each tree, with the empty ones behind them."""
    starts = [at for at, line in enumerate(lines) if line.startswith("Tree=")]
    for start, end in pairwise([0, *starts, len(lines) - 1]):
        yield list(lines[start:end])


def _expect_parameters(lines: Sequence[str]) -> None:
    """Raises ModelRefused unless the lines behind the trees name parameters as LightGBM does."""
    if "parameters:" not in lines:
        return
    start = lines.index("parameters:") + 1
    if "end of parameters" not in lines[start:]:
        _refuse("the line 'end of parameters' behind them", "none")
    given = lines[start : lines.index("end of parameters", start)]
    odd = [line for line in given if line and not _PARAMETER.fullmatch(line)]
    if odd:
        _refuse("parameters such as [num_leaves: 31]", odd[0])


def _keys(lines: Sequence[str], known: frozenset[str], flags: Collection[str] = ()) -> Lines:
    """The values of lines `key=value`, by key; empty lines are behind them."""
    found: dict[str, str] = {}
    filled = len(lines)
    while filled and not lines[filled - 1]:
        filled -= 1
    for line in lines[:filled]:
        key, sign, value = line.partition("=")
        names = key == "feature_names"
        if key not in known or key in found or bool(sign) == (key in flags):
            _refuse("each key that LightGBM writes, once", line)
        if "=" in value and not names:
            _refuse("one = in a line", line)
        found[key] = value
    return found


def _features(header: Lines) -> int:
    count = _number(header, "max_feature_idx", range(_MOST_FEATURES)) + 1
    for key in ("feature_names", "feature_infos"):
        if header.get(key, "").count(" ") + 1 != count:
            _refuse(f"{count} {key}, by max_feature_idx", header.get(key, ""))
    return count


def _classes(header: Lines) -> int:
    """The number of trees an iteration, for which LightGBM has room for as many classes."""
    classes = _number(header, "num_class", range(1, _MOST_CLASSES))
    an_iteration = _number(header, "num_tree_per_iteration", range(1, _MOST_CLASSES))
    objective = _OBJECTIVE.fullmatch(header.get("objective", ""))
    if objective is None:
        raise ModelRefused(
            "Expected a booster trained with the objective binary, multiclass or multiclassova, "
            f"got {quoted(header.get('objective', 'none'))}. Log a classifier."
        )
    if not classes == an_iteration == int(objective["classes"] or 1):
        given = f"{classes}, {an_iteration} and {header['objective']}"
        _refuse("one number of classes, of trees an iteration and in the objective", given)
    return classes


def _expect_tree(block: Sequence[str], number: int, features: int) -> None:
    if block[0] != f"Tree={number}" or block[-1]:
        _refuse(f"Tree={number}, and an empty line behind it", block[0])
    tree = _keys(block[1:], _TREE)
    leaves = _number(tree, "num_leaves", range(1, _MOST_BYTES))
    nodes = leaves - 1
    values = _numbers("leaf_value", tree.get("leaf_value", ""), leaves)
    if not np.isfinite(values).all():
        _refuse("finite numbers as leaf_value", tree["leaf_value"])
    for key in (*_OF_NODES, *_ALSO_OF_NODES):
        if key in tree or (nodes and key in _OF_NODES):
            _numbers(key, tree.get(key, ""), nodes)
    for key in _OF_LEAVES:
        if key in tree and (nodes or tree[key]):  # a single leaf may have none
            _numbers(key, tree[key], leaves)
    if nodes:
        _expect_within("split_feature", tree, features)
        _expect_one_tree(_ints(tree, "left_child"), _ints(tree, "right_child"))
    _expect_categories(tree, nodes)
    _expect_linear(tree, leaves, features)


def _expect_one_tree(left: np.ndarray, right: np.ndarray) -> None:
    """Raises ModelRefused unless each node and leaf has one parent, which comes before it."""
    nodes = len(left)
    parents = np.arange(nodes)
    later = all(((child < 0) | (child > parents)).all() for child in (left, right))
    children = np.sort(np.concatenate([left, right]))
    # Leaf n is written as -1 - n. Node 0 is the root.
    wanted = np.concatenate([np.arange(-nodes - 1, 0), np.arange(1, nodes)])
    if not later or not np.array_equal(children, wanted):
        _refuse("children that make one tree", f"{left[:9].tolist()} and {right[:9].tolist()}")


def _expect_categories(tree: Lines, nodes: int) -> None:
    count = _number(tree, "num_cat", range(nodes + 1))
    kinds = _ints(tree, "decision_type") if "decision_type" in tree else np.zeros(nodes, np.int64)
    if not (((kinds >= 0) & (kinds < _TYPES)).all() and (kinds >> _MISSING < _MISSING_KINDS).all()):
        _refuse("known values of decision_type", tree.get("decision_type", ""))
    bounds = _numbers("cat_boundaries", tree.get("cat_boundaries", "0"), count + 1)
    if bounds[0] or (np.diff(bounds) <= 0).any():
        _refuse("cat_boundaries that rise from 0", tree.get("cat_boundaries", ""))
    words = _numbers("cat_threshold", tree.get("cat_threshold", ""), int(bounds[-1]))
    by_category = (kinds & _CATEGORICAL).astype(bool)
    places = _numbers("threshold", tree.get("threshold", ""), nodes)[by_category]
    if not ((places >= 0) & (places < count)).all():
        _refuse("thresholds of categories among those of the tree", tree["threshold"])
    if (words < 0).any() or (words >= 1 << 32).any():
        _refuse("a cat_threshold of 32 bits", tree.get("cat_threshold", ""))


def _expect_linear(tree: Lines, leaves: int, features: int) -> None:
    """Raises ModelRefused unless the lines of linear leaves, if there are any, fit together."""
    linear = tree.get("is_linear", "0")
    if linear not in ("0", "1"):
        _refuse("is_linear=0 or 1", linear)
    counts = _numbers("num_features", tree.get("num_features", "0"), None)
    if (counts < 0).any() or (linear == "1" and len(counts) != leaves):
        _refuse("num_features of each leaf", tree.get("num_features", ""))
    # LightGBM writes two spaces between the numbers of two leaves.
    own = {key: " ".join(tree.get(key, "").split()) for key in ("leaf_features", "leaf_coeff")}
    for key, line in own.items():
        _numbers(key, line, int(counts.sum()))
    _expect_within("leaf_features", own, features)
    if linear == "1" and "leaf_const" not in tree:
        _refuse("leaf_const of linear leaves", "none")


def _expect_within(key: str, tree: Lines, count: int) -> None:
    values = _ints(tree, key)
    if ((values < 0) | (values >= count)).any():
        _refuse(f"{key} below {count}", tree[key])


def _number(lines: Lines, key: str, known: range) -> int:
    text = lines.get(key, "")
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) not in known:
        _refuse(f"{key} from {known[0]} to {known[-1]}", text)
    return int(text)


def _ints(lines: Lines, key: str) -> np.ndarray:
    return _numbers(key, lines.get(key, ""), None)


def _numbers(key: str, line: str, count: int | None) -> np.ndarray:
    """The numbers of a line, int64 or float64 (count,), any number of them for None."""
    pattern, dtype = (_INTS, np.int64) if key in _WHOLE else (_FLOATS, np.float64)
    given = line.count(" ") + 1 if line else 0
    if count is not None and given != count:
        _refuse(f"{count} numbers as {key}", f"{given}")
    if line and not pattern.fullmatch(line):
        _refuse(f"numbers as {key}", line)
    return np.fromstring(line, dtype=dtype, sep=" ")


def _refuse(expected: str, got: str) -> NoReturn:
    raise ModelRefused(
        f"Expected {expected}, in a booster's text file as LightGBM writes it, got "
        f"{quoted(got[:_SHOWN])}. "
        "Save the booster again."
    )
