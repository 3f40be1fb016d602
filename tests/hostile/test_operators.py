"""No operator that a pt2 archive may call gives memory that was never written, or odd strides.

Such memory holds what an earlier call has left there, and a network that reads it has a memory.
Strides of its own let a network see how its input lies in memory, and write over what lasts.
"""

from importlib import resources

import pytest
import torch
from crafting import Pooled, crafted, export

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive
from audits.models.pt2.effects import _LEAVE_UNSET, _UNSET
from audits.models.pt2.operators import STATISTICS, _known, operator, overload

_LISTED = resources.files("audits.models.pt2").joinpath("operators.txt").read_text().split()
_REFUSED = [
    # strides and storages of one's own
    *("as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter", "_reshape_alias"),
    *("empty_strided", "new_empty_strided", "empty_permuted", "set_", "set_data", "swap_data"),
    *("resize", "resize_", "resize_as_", "_resize_output_", "resize_as_sparse_"),
    *("sym_stride", "stride", "sym_storage_offset", "storage_offset", "_unsafe_set_data"),
    *("is_contiguous", "sym_is_contiguous", "is_set_to", "data_ptr", "_debug_has_internal_overlap"),
    # memory that nothing has written
    *("_empty_affine_quantized", "empty_quantized", "_efficientzerotensor", "from_file"),
    # counters and chance without a flag that switches it off
    *("_version", "normal_", "uniform_", "random_", "exponential_", "multinomial", "normal"),
    *("rand_like_", "randint", "randint_like", "poisson", "cauchy_", "geometric_", "log_normal_"),
]


def _overloads(name):
    packet = getattr(torch.ops.aten, name, None)
    return [] if packet is None else [f"torch.ops.aten.{name}.{k}" for k in packet.overloads()]


def _allowed():
    """The targets of all overloads that an archive may call."""
    for name in _LISTED:
        for target in (*_overloads(name), *_overloads(f"{name}_")):
            if _known(target):
                yield operator(target)


@pytest.mark.parametrize("name", _REFUSED)
def test_an_operator_that_reaches_into_memory_is_refused_by_its_name(name):
    for target in {f"torch.ops.aten.{name}.default", *_overloads(name)}:
        with pytest.raises(ModelRefused, match=f"exported with in the pt2 archive, got .*{name}"):
            operator(target)


@pytest.mark.parametrize("name", ["as_strided", "empty_strided", "sym_stride", "set_"])
def test_an_archive_with_such_an_operator_is_refused(name, tmp_path):
    real = export(Pooled(), tmp_path / "model.pt2", torch.zeros(2, 3, 9, 9), 0, 2, 3)
    target = _overloads(name)[0]
    file = crafted(
        real, tmp_path / "canary", lambda made: made.called(target), tmp_path / "crafted.pt2"
    )
    with pytest.raises(ModelRefused, match=f"exported with in the pt2 archive, got .*{name}"):
        check_archive(file)


def test_no_operator_on_the_list_takes_strides_of_a_tensor_or_its_storage():
    for target in _allowed():
        schema = overload(target)._schema
        names = {one.name for one in schema.arguments}
        aliases = any(one.alias_info for one in schema.returns)
        assert not names & {"storage_offset", "storage"}, target
        # Of convolutions and pooling: the step of a window, and the result is new.
        assert not (aliases and names & {"stride", "strides"}), target


def test_every_operator_on_the_list_that_leaves_memory_unwritten_is_watched():
    words = ("empty", "resize", "uninit", "strided", "storage", "set_")
    named = {name for name in _LISTED if any(word in name for word in words)}
    assert named <= set(_UNSET)
    assert set(_LEAVE_UNSET) <= set(_LISTED)
    normalising = {name for name in _LISTED if "batch_norm" in name and name != "batch_norm"}
    attending = {name for name in _LISTED if name.startswith("_scaled_dot_product")}
    assert normalising | attending == set(_LEAVE_UNSET)


def test_every_operator_on_the_list_that_draws_numbers_says_so():
    """By the tag, which has it refused unless a flag or a share switches chance off."""
    for target in _allowed():
        found = overload(target)
        names = {one.name for one in found._schema.arguments}
        shares = names & {"generator", "dropout", "dropout_p", "train"}
        draws = torch.Tag.nondeterministic_seeded in found.tags
        assert draws or not shares, target
        assert draws or not any(word in target for word in ("rand", "drop", "bernoulli")), target


class _Second(torch.nn.Module):
    """Reads the second result of an operator, which a gradient would need."""

    def forward(self, x):
        one = torch.ones(3)
        out, mean, _ = torch.ops.aten._native_batch_norm_legit_no_training(
            x, one, one, one, one, 0.1, 1e-5
        )
        return out.flatten(1) + mean.sum()


def test_a_result_that_may_be_left_unwritten_is_not_read(tmp_path):
    file = export(_Second(), tmp_path / "model.pt2", torch.zeros(2, 3, 2, 2), 0)
    with pytest.raises(ModelRefused, match="what an earlier call has left there"):
        check_archive(file)


def test_an_overload_of_torchscript_is_refused():
    """It takes a dtype by its number, and goes by the size of a number that is none."""
    with pytest.raises(ModelRefused, match=r"got 'torch\.ops\.aten\.to\.prim_Device'"):
        operator("torch.ops.aten.to.prim_Device")


def test_operators_that_write_say_so_by_their_names():
    for target in _allowed():
        written = {one.name for one in overload(target)._schema.arguments if one.is_write}
        assert written <= set(STATISTICS) or target.split(".")[3].endswith("_"), target


@pytest.mark.parametrize("name", ["max.dim_max", "sort.values", "topk.values", "xlogy.OutTensor"])
def test_an_operator_that_puts_results_into_given_tensors_is_refused(name):
    with pytest.raises(ModelRefused, match="exported with"):
        operator(f"torch.ops.aten.{name}")


@pytest.mark.parametrize("name", ["remainder.int", "add.int", "eq.str", "floor_divide.int"])
def test_an_operator_of_numbers_alone_is_refused(name):
    with pytest.raises(ModelRefused, match="exported with"):
        operator(f"torch.ops.aten.{name}")
