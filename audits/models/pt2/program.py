"""Program: an exported network without its weights, as far as loading it needs."""

import re
from dataclasses import dataclass

from audits.models.pt2.devices import expect_alike_on_devices
from audits.models.pt2.documents import Json, field, integer, items, mapping, refused, text
from audits.models.pt2.effects import expect_without_effects
from audits.models.pt2.graph import Graph
from audits.models.pt2.guards import Term, guard, sources
from audits.models.pt2.notes import expect_calls
from audits.models.pt2.scope import expect_scoped
from audits.models.pt2.signature import Call, InputSpec, OutputSpec, leaves

_SCHEMA = 8  # the major version of torch's schema
_SYMBOL = re.compile(r"(?:s|u|zf|zuf)[0-9]{1,4}", re.ASCII)
_DIALECTS = ("TRAINING", "ATEN", "")
_GUARDS = 10_000
_LARGEST = 1 << 62


@dataclass(frozen=True)
class Program:
    """A graph, whose tensors are whose, its symbols' ranges, and the guards on its inputs."""

    graph: Graph
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    call: Call
    ranges: dict[str, tuple[int | None, int | None]]
    guards: tuple[Term, ...]
    dialects: tuple[str, ...]
    opset: int

    @classmethod
    def read(cls, value: Json) -> "Program":
        """The program in the JSON of an archive. Raises ModelRefused."""
        what = "a program"
        version = field(field(value, "schema_version", what), "major", "a version")
        if version != _SCHEMA:
            raise refused(f"a program of schema {_SCHEMA}", version)
        module = field(value, "graph_module", what)
        signature = field(module, "signature", what)
        graph = Graph.read(field(module, "graph", what))
        calls = field(module, "module_call_graph", what)
        expect_calls(calls)
        guards = items(value.get("guards_code", []), "guards")
        if len(guards) > _GUARDS:
            raise refused(f"at most {_GUARDS} guards", len(guards))
        found = cls(
            graph=graph,
            inputs=tuple(
                InputSpec.read(one) for one in items(field(signature, "input_specs", what), what)
            ),
            outputs=tuple(
                OutputSpec.read(one) for one in items(field(signature, "output_specs", what), what)
            ),
            call=Call.read(calls),
            ranges=_ranges(value.get("range_constraints", {}), graph.symbols),
            guards=tuple(guard(text(one, "a guard on shapes")) for one in guards),
            dialects=_dialects(value.get("verifiers")),
            opset=integer(
                field(field(value, "opset_version", what), "aten", what), what, 0, 10_000
            ),
        )
        found._expect_whole()
        expect_alike_on_devices(found.graph)
        expect_scoped(found.graph, found.inputs, found.outputs)
        expect_without_effects(found.graph, found.inputs, found.outputs)
        return found

    def _expect_whole(self) -> None:
        """Raises ModelRefused unless the signature names the inputs and outputs of the graph."""
        given = sum(one.kind in ("user_input", "constant_input") for one in self.inputs)
        back = sum(one.kind == "user_output" for one in self.outputs)
        counts = (
            len(self.graph.inputs),
            len(self.graph.outputs),
            leaves(self.call.inputs),
            leaves(self.call.outputs),
        )
        if counts != (len(self.inputs), len(self.outputs), given, back):
            raise refused("a signature of as many inputs and outputs as the graph has", counts)
        looked_at = {keys for one in self.guards for keys in sources(one)}
        if unknown := looked_at - self.call.paths:
            raise refused("guards on inputs that the network has", unknown)

    def json(self) -> Json:
        """As torch writes it."""
        signature = {
            "input_specs": [one.json() for one in self.inputs],
            "output_specs": [one.json() for one in self.outputs],
        }
        ranges = {
            name: {"min_val": least, "max_val": most} for name, (least, most) in self.ranges.items()
        }
        return {
            "graph_module": {
                "graph": self.graph.json(),
                "signature": signature,
                "module_call_graph": self.call.json(),
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": {"aten": self.opset},
            "range_constraints": ranges,
            "schema_version": {"major": _SCHEMA, "minor": 0},
            "verifiers": list(self.dialects),
            "torch_version": "",
            "guards_code": [str(one) for one in self.guards],
        }


def _ranges(value: Json, used: set[str]) -> dict[str, tuple[int | None, int | None]]:
    """The least and most of each symbol that the graph has."""
    found = {}
    for name, one in mapping(value, "ranges of symbols").items():
        if not _SYMBOL.fullmatch(name):
            raise refused("a symbol such as s77", name)
        ends = (field(one, "min_val", "a range"), field(one, "max_val", "a range"))
        least, most = (
            end if end is None else integer(end, "a range", -_LARGEST, _LARGEST) for end in ends
        )
        if name in used:
            found[name] = least, most
    return found


def _dialects(value: Json) -> tuple[str, ...]:
    given = items(value, "dialects")
    if not 0 < len(given) <= len(_DIALECTS) or not all(one in _DIALECTS for one in given):
        raise refused(f"a dialect among {', '.join(_DIALECTS[:2])}", given)
    return tuple(given)
