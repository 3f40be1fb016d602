"""A network that looks at the form of its input or at its server is refused; others are not."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from simple_nets import logistic
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from audits.data.fit import Fit
from audits.data.imageset import ImageSet
from audits.data.sources import Digits, load
from audits.errors import Contradicted
from audits.execution import pixel_forms, served_forms
from audits.execution.asking import Asking
from audits.execution.served_forms import expect_same_answers
from fillblanks import Classifier

MEAN, STD = 0.3, 0.35


class Lying(nn.Module):
    """Answers in the opposite way if `lies` says so of an input."""

    def __init__(self, lies):
        super().__init__()
        self.head, self.lies = nn.Linear(192, 4), lies

    def forward(self, x):
        logits = self.head(x.reshape(len(x), -1))
        return -logits if self.lies(x) else logits


class Picky(nn.Module):
    """Takes batches of more than one image alone."""

    def forward(self, x):
        if len(x) == 1:
            raise RuntimeError("one image is too few")
        return x.flatten(1)[:, :4]


@pytest.fixture
def images():
    return torch.randint(0, 256, (20, 3, 8, 8)) / 255


def _expect_refusal(lies, images, norm=None, **own):
    with pytest.raises(Contradicted, match="answers alike in whatever form images arrive") as told:
        expect_same_answers(Classifier(Lying(lies), **own), images, only_classes=False, norm=norm)
    return str(told.value)


def test_a_lie_to_whole_numbers_is_found(images):
    def whole(x):
        return bool((x == x.round()).all())

    told = _expect_refusal(whole, images, mean=0.0, std=1 / 255)
    assert "pixels scaled by another formula" in told


def test_a_lie_to_all_other_bits_is_found(images):
    images = images * 0.999 + 0.0001  # no levels of 8 bits
    usual = (images - MEAN) / STD

    def others(x):
        return not all((usual == row).flatten(1).all(1).any() for row in x)

    assert "by another formula" in _expect_refusal(others, images, mean=MEAN, std=STD)


def test_a_lie_to_last_bits_of_no_known_formula_is_found(images):
    levels = (images * 255).round()
    known = [formula(levels) for formula in pixel_forms.formulas([MEAN], [STD])]

    def others(x):
        return not any((table == row).flatten(1).all(1).any() for row in x for table in known)

    told = _expect_refusal(others, images, mean=MEAN, std=STD, norm=([MEAN], [STD]))
    assert "other last bits for each level" in told


_LEVELS = torch.arange(256.0)
_M, _S = torch.tensor(MEAN), torch.tensor(STD)
FORMULAS = {
    "float64": ((_LEVELS.double() / 255 - MEAN) / STD).float(),
    "1/255 as a factor": (_LEVELS * torch.tensor(1 / 255) - _M) / _S,
    "scale and bias": _LEVELS * (1 / (255 * _S)) - _M / _S,
    "scale and bias of float64": _LEVELS * torch.tensor(1 / (255 * STD))
    + torch.tensor(-MEAN / STD),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_lie_to_one_formula_is_found(name, images):
    """Every pixel has just the bits of the formula, some others than those that the audit gives."""
    table, usual = FORMULAS[name], (_LEVELS / 255 - _M) / _S

    def lies(x):
        level = ((x * STD + MEAN) * 255).round().clamp(0, 255).long()
        same = [(x == one[level]).flatten(1).all(1) for one in (table, usual)]
        return bool((same[0] & ~same[1]).any())

    told = _expect_refusal(lies, images, mean=MEAN, std=STD, norm=([MEAN], [STD]))
    assert "by another formula" in told


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_lie_to_a_formula_in_the_dtype_of_the_input_is_found(dtype, images):
    levels, m, s = (torch.as_tensor(one, dtype=dtype) for one in (_LEVELS, MEAN, STD))
    usual = ((_LEVELS / 255 - _M) / _S).to(dtype)
    table = (levels * torch.tensor(1 / 255, dtype=dtype) - m) / s
    assert (table != usual).any()

    def lies(x):
        level = ((x * STD + MEAN) * 255).round().long().clamp(0, 255)
        same = [(x.to(dtype) == one[level]).flatten(1).all(1) for one in (table, usual)]
        return bool((same[0] & ~same[1]).any())

    wide = torch.promote_types(dtype, torch.float32)  # in which a network of halves is audited
    classifier = Classifier(Lying(lies).to(wide), mean=MEAN, std=STD, dtype=wide)
    norm = [MEAN], [STD]
    with pytest.raises(Contradicted, match="by another formula"):
        expect_same_answers(classifier, images, only_classes=False, norm=norm, dtype=dtype)


@pytest.mark.parametrize("name", pixel_forms.lattices(all_of_them=True))
def test_a_lie_to_a_lattice_of_pixels_is_found(name, images):
    steps = pixel_forms.lattices(all_of_them=True)[name]

    def lies(x):
        levels = (x * STD + MEAN) * 255
        off, coarse = ((n - n.round()).abs().amax() for n in (levels * steps, levels))
        return bool(off < 0.1) and bool(coarse > 0.1)

    told = _expect_refusal(lies, images, mean=MEAN, std=STD, norm=([MEAN], [STD]))
    assert "with pixels of " in told


def _between(x, share):
    """Whether that share of the pixels that are not black lies between the levels of 8 bits."""
    levels = (x * STD + MEAN) * 255
    between = ((levels - levels.round()).abs() > 0.02).float().sum()
    return bool(between > share * (levels > 0.5).float().sum())


@pytest.mark.parametrize("share", [0.02, 0.8])
def test_a_lie_to_pixels_between_the_levels_is_found(share, images):
    told = _expect_refusal(lambda x: _between(x, share), images, mean=MEAN, std=STD)
    assert "between the levels of 8 bits" in told


def test_a_lie_to_images_that_were_resized_as_floats_is_found(images):
    def roughness(x):
        return float(x.diff(dim=3).abs().mean())

    usual = roughness((images - MEAN) / STD)

    def lies(x):
        return _between(x, 0.8) and roughness(x) < 0.9 * usual

    assert "resized as floats" in _expect_refusal(lies, images, mean=MEAN, std=STD)


@pytest.mark.parametrize("rows", [1000, 4096])
def test_a_lie_to_large_batches_is_found(rows, images):
    told = _expect_refusal(lambda x: len(x) >= rows, images)
    assert f"in a batch of {1024 if rows == 1000 else 4096:,}" in told


def test_a_batch_that_is_too_large_says_nothing(images):
    class Short(nn.Module):
        def forward(self, x):
            if len(x) > 500:
                raise MemoryError
            return x.flatten(1)[:, :4]

    expect_same_answers(Classifier(Short()), images, only_classes=False)


def test_a_lie_to_other_threads_is_found(images):
    now = torch.get_num_threads()
    told = _expect_refusal(lambda x: torch.get_num_threads() != now, images)
    assert "threads" in told
    assert torch.get_num_threads() == now


def test_a_lie_without_onednn_is_found(images):
    assert "without oneDNN" in _expect_refusal(lambda x: not torch._C._get_mkldnn_enabled(), images)
    assert torch._C._get_mkldnn_enabled()


def test_a_network_that_changes_contradicts_itself(images):
    class Counting(Lying):
        def __init__(self):
            super().__init__(lambda x: False)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    with pytest.raises(Contradicted, match="changed its buffer"):
        expect_same_answers(Classifier(Counting()), images, only_classes=False)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_network_of_digits_is_not_refused(noise):
    images = load(Digits()).tensor(range(100, 132))
    classifier = Classifier(logistic(noise).eval(), mean=0.3, std=0.35)
    for _ in range(2):  # the forms are drawn anew
        expect_same_answers(classifier, images, only_classes=False, norm=([0.3], [0.35]))


def test_a_tree_of_digits_is_not_refused():
    data = load(Digits())
    images = data.tensor(range(len(data)))
    tree = DecisionTreeClassifier(random_state=0).fit(images.flatten(1).numpy(), data.labels)

    class Tree(nn.Module):
        def forward(self, x):
            return torch.from_numpy(tree.predict_proba(x.flatten(1).numpy())).float()

    for first in range(0, 96, 32):
        expect_same_answers(Classifier(Tree()), images[first : first + 32], only_classes=True)


def test_a_lie_to_rows_of_a_batch_is_found(images):
    told = _expect_refusal(lambda x: len(x) == 1 and x.storage_offset() > 0, images)
    assert "as rows of a larger batch" in told


def test_a_lie_to_channels_last_is_found(images):
    assert "with channels last" in _expect_refusal(lambda x: not x.is_contiguous(), images)


def test_an_error_hides_no_lie(images):
    with pytest.raises(Contradicted, match="in another form, RuntimeError: one image is too few"):
        expect_same_answers(Classifier(Picky()), images, only_classes=False)


def test_a_network_that_fails_altogether_is_not_accused(images):
    class Ending(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 6:  # after the answers to the images as they are
                raise RuntimeError("the device is gone")
            return x.flatten(1)[:, :10]

    with pytest.raises(RuntimeError, match="the device is gone") as caught:
        expect_same_answers(Classifier(Ending()), images, only_classes=False)
    assert not isinstance(caught.value, Contradicted)


@pytest.mark.parametrize(
    "norm", [{}, {"mean": MEAN, "std": STD}, {"mean": 0.0, "std": 1 / 255}], ids=str
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_honest_networks_are_not_refused(norm, scale, images):
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    )
    with torch.no_grad():
        net[-1].weight *= scale
    classifier = Classifier(net.eval(), **norm)
    expect_same_answers(classifier, images, only_classes=False)
    expect_same_answers(classifier, images, only_classes=True)


def test_a_network_need_not_take_channels_last(images):
    class Viewing(nn.Module):
        def forward(self, x):
            return x.view(len(x), -1)[:, :10]  # fails for channels last

    expect_same_answers(Classifier(Viewing()), images, only_classes=False)


def test_an_image_may_stand_on_the_edge_of_a_black_boxs_step(images):
    edge = images[:16].amax()

    class Steps(nn.Module):
        def forward(self, x):
            second = torch.where(x.amax((1, 2, 3)) > edge, 0.4, 0.0)
            return torch.stack([torch.full_like(second, 0.5), second], 1)

    classifier = Classifier(Steps())
    expect_same_answers(classifier, images, only_classes=True)
    with pytest.raises(Contradicted, match="answers alike"):
        expect_same_answers(classifier, images, only_classes=False)


def test_a_box_that_lies_to_doubles_is_found(images):
    def lies(x):
        return bool((x.double() != x.float()).any())

    box = Classifier(Lying(lies), mean=MEAN, std=STD)
    box.net.head = torch.nn.Linear(192, 4, dtype=torch.float64)
    box.net.register_forward_pre_hook(lambda net, given: (_doubles(given[0]),))
    with pytest.raises(Contradicted, match="by another formula"):
        expect_same_answers(
            box, images, only_classes=True, norm=([MEAN], [STD]), dtype=torch.float64
        )


def _doubles(rows):
    return rows.double()


class _AnyDtype(Lying):
    """Takes inputs of any dtype, as Lying does those of its weights."""

    def forward(self, x):
        logits = self.head(x.float().reshape(len(x), -1))
        return -logits if self.lies(x) else logits


@pytest.mark.parametrize("given", [torch.float64, torch.float16, torch.bfloat16])
def test_a_lie_to_another_dtype_is_found(given, images):
    net = _AnyDtype(lambda x: x.dtype == given)
    with pytest.raises(Contradicted, match=f"given as {given}"):
        expect_same_answers(Classifier(net, mean=MEAN, std=STD), images, only_classes=False)
    honest = _AnyDtype(lambda x: False)
    expect_same_answers(Classifier(honest, mean=MEAN, std=STD), images, only_classes=False)


@pytest.mark.parametrize("given", [torch.uint8, torch.int32, torch.int64])
def test_a_lie_to_pixels_as_they_are_stored_is_found(given, images):
    net = _AnyDtype(lambda x: x.dtype == given)
    with pytest.raises(Contradicted, match=f"given as {given}"):
        expect_same_answers(Classifier(net, mean=0.0, std=1 / 255), images, only_classes=False)
    expect_same_answers(Classifier(net, mean=MEAN, std=STD), images, only_classes=False)


def test_a_lie_to_doubles_of_numpy_is_found(images):
    levels = (images * 255).round()
    numpys = torch.from_numpy((levels.numpy().astype("uint8") / 255 - MEAN) / STD)

    def lies(x):
        return all((numpys == row.double()).flatten(1).all(1).any() for row in x)

    net = _AnyDtype(lies)
    classifier = Classifier(net, mean=MEAN, std=STD)
    with pytest.raises(Contradicted, match=r"given as torch\.float64"):
        expect_same_answers(classifier, images, only_classes=False, norm=([MEAN], [STD]))


@pytest.mark.parametrize("way", ["to 8 bits", "to 8 bits by torch", "to 8 bits by Pillow"])
def test_a_lie_to_images_as_servers_resize_them_is_found(way, images):
    raw = (images[:, :, ::2, ::2] * 255).byte().permute(0, 2, 3, 1).numpy()
    fit = Fit(3, 8, 8)
    given = ImageSet("x", ("a",), np.zeros(20, int), lambda i: raw[i], bytes, fit)
    resized = given.resized_by_servers(range(16))
    theirs = resized.pop(way)

    def lies(x):
        return all((theirs.sub(row).abs() < 1e-6).flatten(1).all(1).any() for row in x)

    of_audit = given.tensor(range(16))
    net = Classifier(Lying(lies))
    with pytest.raises(Contradicted, match="images resized to 8 bits"):
        expect_same_answers(net, of_audit, only_classes=False, resized={**resized, way: theirs})
    assert replace(given, fit=Fit(3, 4, 4)).resized_by_servers(range(16)) == {}


def test_a_lie_to_enlarged_images_is_found():
    images = torch.randint(0, 256, (16, 1, 32, 32)) / 255
    by_factor = pixel_forms.enlarged(images, all_of_them=True)
    enlarged = [found for _, by_way in by_factor for found in by_way.values()]
    assert len(enlarged) == 9
    known = torch.cat(enlarged)

    def lies(x):
        return all((known - row).abs().flatten(1).amax(1).min() < 1e-6 for row in x)

    net = Lying(lies)
    net.head = nn.Linear(1024, 4)
    with pytest.raises(Contradicted, match="enlarged 2 times to 8 bits and"):
        expect_same_answers(Classifier(net), images, only_classes=False)


@pytest.mark.parametrize("surest", [False, True])
def test_rounding_may_change_the_unsure_half_of_the_answers(surest):
    images = (torch.randint(0, 200, (16, 1, 16, 16)) + 20) / 255
    images[:, :, :8, :8] = torch.arange(16).reshape(-1, 1, 1, 1) % 2  # enlarged, its corner stays

    class Banded(nn.Module):
        """Half of the answers are sure. The others, or these, change between the levels."""

        def forward(self, x):
            pixels = x * STD + MEAN
            sure = pixels[:, 0, 0, 0] > 0.5
            levels = pixels * 255
            moved = (levels - levels.round()).abs().flatten(1).amax(1) > 1e-3
            changes = moved & (sure if surest else ~sure)
            answer = torch.where(changes, -1.0, 1.0) * torch.where(sure, 10.0, 0.1)
            return torch.stack([answer, -answer], 1)

    asking = Asking.of(Classifier(Banded(), mean=MEAN, std=STD), images, False, torch.float32)
    with pytest.raises(Contradicted, match=r"8 of 8 .*surely") if surest else nullcontext():
        served_forms._ask_resized(asking, {"": pixel_forms.of_more_bits(images)})


def test_a_lie_to_three_equal_channels_is_found_if_nobody_names_the_channels(images):
    class AnyChannels(nn.Module):
        def __init__(self, lies):
            super().__init__()
            self.head, self.lies = nn.Linear(64, 4), lies

        def forward(self, x):
            logits = self.head(x.mean(1).flatten(1))
            return -logits if self.lies and x.shape[1] == 3 else logits

    grey = images[:, :1]
    for lies in (True, False):
        net = Classifier(AnyChannels(lies))
        expect_same_answers(net, grey, only_classes=False)
        with pytest.raises(Contradicted, match="three equal") if lies else nullcontext():
            expect_same_answers(net, grey, only_classes=False, any_channels=True)


@pytest.mark.parametrize(
    ("name", "value"), [("zeros", 0.0), ("black images", -MEAN / STD), ("one image", None)]
)
def test_a_lie_to_a_batch_that_is_filled_up_is_found(name, value, images):
    one = ((images[0] - MEAN) / STD) if value is None else torch.full((3, 8, 8), value)

    def lies(x):
        return int(((x - one).abs() < 1e-6).flatten(1).all(1).sum()) > 1

    told = _expect_refusal(lies, images, mean=MEAN, std=STD)
    assert f"in a batch filled up with {name}" in told


def test_logits_that_a_softmax_cannot_tell_apart_are_found(images):
    net = Lying(lambda x: False)
    expect_same_answers(Classifier(net), images, only_classes=False)
    with torch.no_grad():
        net.head.weight *= 1e-9
        net.head.bias *= 1e-9
    with pytest.raises(Contradicted, match="a softmax in float32 tells apart, got 16 of 16"):
        expect_same_answers(Classifier(net), images, only_classes=False)
    for scale, offset in ((1e9, 0), (1e4, 0), (1, 300), (1, -300)):  # of logits of about 1
        with torch.no_grad():
            net.head.weight *= scale
            net.head.bias *= scale
            net.head.bias += offset
        lies = pytest.raises(Contradicted, match="around 0, got 16 of 16")
        with lies if offset else nullcontext():
            expect_same_answers(Classifier(net), images, only_classes=False)
        with torch.no_grad():
            net.head.bias -= offset
            net.head.weight /= 1e4 if scale == 1e4 else 1
            net.head.bias /= 1e4 if scale == 1e4 else 1
    with torch.no_grad():  # no class is lost that there is not
        net.head.weight *= 0
        net.head.bias *= 0
    expect_same_answers(Classifier(net), images, only_classes=False)


def _under_autocast(x):
    one = torch.tensor([[1 + 2.0**-12]])
    return bool((torch.mm(one, torch.ones(1, 1)).double() - 1).abs() < 1e-5)


def _flushed(_):
    return bool((torch.tensor([1e-40]) * 1.0 == 0).all())


def _default(dtype):
    return lambda _: torch.full((1,), 0.1).dtype == dtype


@pytest.mark.parametrize(
    ("lies", "told"),
    [
        (_under_autocast, r"under autocast to torch\.bfloat16"),
        (_flushed, "with tiny numbers flushed to 0"),
        (_default(torch.float64), r"with torch\.float64 as the default dtype"),
        (_default(torch.float16), r"with torch\.float16 as the default dtype"),
        (_default(torch.bfloat16), r"with torch\.bfloat16 as the default dtype"),
        (lambda x: bool((x * 1e3 - (x * 1e3).round()).abs().max() < 0.01), "rounded to 3 digits"),
        (lambda x: bool((x * 1e5 - (x * 1e5).round()).abs().max() < 0.1), "rounded to . digits"),
    ],
)
def test_a_lie_to_a_setting_or_to_decimals_is_found(lies, told, images):
    net = Classifier(Lying(lies), mean=MEAN, std=STD)
    with pytest.raises(Contradicted, match=told):
        expect_same_answers(net, images, only_classes=False)
    assert torch.get_default_dtype() == torch.float32
    assert not _flushed(images)
