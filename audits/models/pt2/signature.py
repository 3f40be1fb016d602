"""Signature: which inputs and outputs of a graph are whose, and how callers nest them."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from audits.models.pt2.arguments import Argument, one_of, tensor_name
from audits.models.pt2.documents import (
    Json,
    boolean,
    choice,
    document,
    field,
    integer,
    items,
    number,
    refused,
    text,
)
from audits.models.pt2.graph import PLACES
from audits.models.pt2.names import dotted, identifier

Path: TypeAlias = tuple[str | int, ...]
"""The keys of a value: the name of an argument, then keys of dicts and places in lists."""

_DEPTH = 20
_SEQUENCES = {"builtins.tuple", "builtins.list"}
_MAPPINGS = {"builtins.dict", "collections.OrderedDict"}
_MODEL_OUTPUT = re.compile(
    r"transformers(\.[a-z_][a-z0-9_]*)+\.[A-Z][A-Za-z0-9]*Output(With[A-Za-z0-9]+)?", re.ASCII
)
_CONSTANTS = {"as_int": integer, "as_float": number, "as_bool": boolean, "as_none": boolean}


@dataclass(frozen=True)
class Nested:
    """How values are nested: the kind of a container, its keys, what is in it. None is a value."""

    kind: str
    keys: tuple[str, ...]
    inner: tuple["Nested | None", ...]

    @classmethod
    def read(cls, value: Json, depth: int = 0) -> "Nested | None":
        """Raises ModelRefused."""
        kind, context = field(value, "type", "a nesting"), value.get("context")
        children = items(field(value, "children_spec", "a nesting"), "a nesting")
        if kind is None and context is None and not children:
            return None
        if depth > _DEPTH:
            raise refused(f"a nesting up to {_DEPTH} deep", "more")
        inner = tuple(cls.read(one, depth + 1) for one in children)
        if not isinstance(kind, str):
            raise refused("a nesting of tuples, lists and dicts", kind)
        if kind in _SEQUENCES:
            return cls(kind, (), inner)
        # A ModelOutput of transformers is a dict with the same keys, without its class.
        kind = "builtins.dict" if _MODEL_OUTPUT.fullmatch(kind) else kind
        if kind not in _MAPPINGS:
            raise refused("a nesting of tuples, lists and dicts", kind)
        listed = document(text(context, "the keys of a dict").encode())
        keys = tuple(identifier(key, "a key of a dict") for key in items(listed, "keys of a dict"))
        if len(keys) != len(inner) or len(set(keys)) != len(keys):
            raise refused("a value for each key of a dict", list(keys))
        return cls(kind, keys, inner)

    def json(self) -> Json:
        """As torch writes it."""
        context = json.dumps(list(self.keys)) if self.kind in _MAPPINGS else "null"
        inner = [spec_json(one) for one in self.inner]
        return {"type": self.kind, "context": context, "children_spec": inner}


def spec_json(nested: Nested | None) -> Json:
    """A nesting as torch writes it, or a single value."""
    empty: Json = {"type": None, "context": None, "children_spec": []}
    return empty if nested is None else nested.json()


def leaves(nested: Nested | None) -> int:
    """The number of values in a nesting."""
    return 1 if nested is None else sum(leaves(one) for one in nested.inner)


def _paths(nested: Nested | None) -> set[Path]:
    if nested is None:
        return {()}
    keys: Iterable[str | int] = nested.keys or range(len(nested.inner))
    pairs = zip(keys, nested.inner, strict=True)
    return {(key, *path) for key, one in pairs for path in _paths(one)}


@dataclass(frozen=True)
class Call:
    """How the network is called: the nesting of its inputs and outputs, names of its arguments."""

    inputs: Nested
    outputs: Nested | None
    names: tuple[str, ...]

    @classmethod
    def read(cls, value: Json) -> "Call":
        """The call in a module_call_graph. Raises ModelRefused."""
        first = items(value, "modules")[0:1]
        if not first or field(first[0], "fqn", "the call of the network") != "":
            raise refused("the call of the whole network", first)
        signature = field(first[0], "signature", "the call of the network")
        inputs = _nesting(field(signature, "in_spec", "the call of the network"))
        outputs = _nesting(field(signature, "out_spec", "the call of the network"))
        args, kwargs = inputs.inner if inputs and len(inputs.inner) == 2 else (None, None)
        if not inputs or not args or not kwargs or inputs.kind != "builtins.tuple":
            raise refused("inputs by place and by name", spec_json(inputs))
        if (args.kind, kwargs.kind) != ("builtins.tuple", "builtins.dict"):
            raise refused("inputs by place and by name", spec_json(inputs))
        given = items(signature.get("forward_arg_names") or [], "names of arguments")
        names = tuple(identifier(name, "an argument") for name in given)
        if len(set(names)) != len(names):
            raise refused("arguments of different names", list(names))
        return cls(inputs, outputs, names)

    @property
    def paths(self) -> set[Path]:
        """The keys under which a guard may look at an input, for example ("x",)."""
        args, kwargs = self.inputs.inner
        given = [one for one in (args, kwargs) if one is not None]
        inner = [one for nested in given for one in nested.inner]
        names = self.names or tuple(f"arg_{at}" for at in range(len(inner)))
        found: set[Path] = {("flat_args", at) for at in range(leaves(self.inputs))}
        for name, nested in zip(names, inner, strict=False):
            found |= {(name, *path) for path in _paths(nested)}
            # An argument of *args: torch writes its name and number in two ways.
            start, _, number = name.rpartition("_")
            found |= {(start, int(number))} if number.isdecimal() else set()
        return found

    def json(self) -> Json:
        """A module_call_graph as torch writes it, of the whole network alone."""
        signature = {
            "inputs": [],
            "outputs": [],
            "in_spec": json.dumps([1, spec_json(self.inputs)]),
            "out_spec": json.dumps([1, spec_json(self.outputs)]),
            "forward_arg_names": list(self.names) or None,
        }
        return [{"fqn": "", "signature": signature}]


def _nesting(value: Json) -> Nested | None:
    given = document(text(value, "a nesting").encode())
    if not isinstance(given, list) or len(given) != 2 or given[0] != 1:
        raise refused("a nesting of version 1", value)
    return Nested.read(given[1])


@dataclass(frozen=True)
class InputSpec:
    """One input of the graph: what the caller gives, or a tensor of the network by its name."""

    kind: str  # user_input, parameter, buffer, tensor_constant or constant_input
    value: Argument
    target: str = ""
    persistent: bool = False

    @classmethod
    def read(cls, value: Json) -> "InputSpec":
        """Raises ModelRefused."""
        kind, inner = choice(value, "an input")
        if kind == "user_input":
            return cls(kind, one_of(field(inner, "arg", "an input"), "an input", PLACES))
        if kind == "constant_input":
            name = identifier(field(inner, "name", "an input"))
            found, constant = choice(field(inner, "value", "an input"), "an input")
            if found not in _CONSTANTS:
                raise refused("an input that is a number", found)
            return cls(kind, Argument(found, _CONSTANTS[found](constant, "an input")), name)
        keys = {"parameter": "parameter_name", "buffer": "buffer_name"}
        if kind not in (*keys, "tensor_constant"):
            raise refused("an input that is a tensor", kind)
        name = tensor_name(field(inner, "arg", "an input"))
        target = dotted(field(inner, keys.get(kind, "tensor_constant_name"), "an input"))
        persistent = kind == "buffer" and boolean(inner.get("persistent"), "a flag of a buffer")
        return cls(kind, Argument("as_tensor", {"name": name}, (name,)), target, persistent)

    def json(self) -> Json:
        """As torch writes it."""
        if self.kind == "user_input":
            return {self.kind: {"arg": self.value.json()}}
        if self.kind == "constant_input":
            return {self.kind: {"name": self.target, "value": self.value.json()}}
        key = f"{self.kind}_name"
        found = {"arg": self.value.value, key: self.target}
        return {
            self.kind: found | ({"persistent": self.persistent} if self.kind == "buffer" else {})
        }


@dataclass(frozen=True)
class OutputSpec:
    """One output of the graph: the caller's, or what a buffer or an input is overwritten with."""

    kind: str  # user_output, buffer_mutation or user_input_mutation
    value: Argument
    target: str = ""

    @classmethod
    def read(cls, value: Json) -> "OutputSpec":
        """Raises ModelRefused."""
        kind, inner = choice(value, "an output")
        if kind == "user_output":
            return cls(kind, one_of(field(inner, "arg", "an output"), "an output", PLACES))
        keys = {"buffer_mutation": "buffer_name", "user_input_mutation": "user_input_name"}
        if kind not in keys:
            raise refused("an output for the caller", kind)
        name = tensor_name(field(inner, "arg", "an output"))
        target = dotted(field(inner, keys[kind], "an output"))
        return cls(kind, Argument("as_tensor", {"name": name}, (name,)), target)

    def json(self) -> Json:
        """As torch writes it."""
        if self.kind == "user_output":
            return {self.kind: {"arg": self.value.json()}}
        key = "buffer_name" if self.kind == "buffer_mutation" else "user_input_name"
        return {self.kind: {"arg": self.value.value, key: self.target}}
