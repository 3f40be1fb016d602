"""A network that looks at its batch, or at the settings of its server, is refused."""

from contextlib import nullcontext

import pytest
import torch
from lying_nets import MEAN, STD, Lying, expect_refusal
from torch import nn

from audits.errors import Contradicted
from audits.execution import served_batches
from audits.execution.asking import Asking
from audits.execution.served_classes import expect_one_class
from audits.execution.served_forms import expect_same_answers
from audits.models.adapter import AdaptedNet
from audits.models.form import Adaptation, Form
from fillblanks import Classifier


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A busy machine asks no fewer sizes of batches."""
    monkeypatch.setattr(served_batches, "_SECONDS", dict.fromkeys(served_batches._SECONDS, 600))
    monkeypatch.setattr(served_batches, "_SECONDS_OF_OTHERS", 600)


class Picky(nn.Module):
    """Takes batches of more than one image alone."""

    def forward(self, x):
        if len(x) == 1:
            raise RuntimeError("one image is too few")
        return x.flatten(1)[:, :4]


@pytest.mark.parametrize("rows", [1000, 4096])
def test_a_lie_to_large_batches_is_found(rows, images):
    told = expect_refusal(lambda x: len(x) >= rows, images)
    assert f"in a batch of {rows:,}" in told


@pytest.mark.parametrize("rows", [3, 5, 7, 32, 100, 128, 512])
def test_a_lie_to_one_size_of_a_batch_is_found(rows, images):
    told = expect_refusal(lambda x: len(x) == rows, images)
    assert rows < 16 or f"in a batch of {rows:,}" in told or "in a batch filled up" in told


@pytest.mark.parametrize("rows", [7, 48, 128])
def test_a_network_that_marks_its_images_is_asked_images_without_marks(rows, images):
    mark = 77.0

    def lies(x):
        lied = len(x) == rows and bool((x[:, 0, 0, 0] != mark).all())
        x[:, 0, 0, 0] = mark
        return lied

    told = expect_refusal(lies, images)
    assert rows < 16 or f"in a batch of {rows:,}" in told or "in a batch filled up" in told


def test_a_lie_to_many_different_images_is_found(images):
    told = expect_refusal(lambda x: len({row.sum().item() for row in x}) > 256, images)
    assert "in a batch of 500" in told


def test_other_images_of_the_data_are_the_company(images):
    asked, others = images[:16], torch.randint(0, 256, (500, 3, 8, 8)) / 255
    known = torch.cat([asked, others])

    def lies(x):
        return len(x) > 256 and all((known == row).flatten(1).all(1).any() for row in x)

    taken = []

    def given(count):
        taken.append(count)
        return others[:count]

    classifier = Classifier(Lying(lies))
    with pytest.raises(Contradicted, match="in a batch of 500"):
        expect_same_answers(classifier, asked, only_classes=False, others=given)
    assert max(taken) == 500


def test_a_batch_that_fails_hides_no_lie_to_a_larger_one(images):
    def lies(x):
        if len(x) == 96:  # more than a batch that is filled up may have
            raise RuntimeError("96 images are too many")
        return len(x) > 96

    assert "in a batch of 100" in expect_refusal(lies, images)


class Named(nn.Module):
    """Gives its class beside its logits, another one in batches of `rows` or more."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, x):
        logits = x.flatten(1)[:, :4]
        named = logits.argmax(1)
        return {"logits": logits, "label": (named + 1) % 4 if len(x) >= self.rows else named}


@pytest.mark.parametrize("rows", [7, 100, 500, 2048])
def test_what_our_own_looks_refuse_is_no_error_of_the_network(rows, images):
    net = AdaptedNet(Named(rows), Adaptation(outputs=Form(container="['logits']")), 4)
    with pytest.raises(Contradicted, match="Expected the same class from all parts"):
        expect_same_answers(Classifier(net), images, only_classes=False)


def test_a_network_that_reads_memory_in_which_nothing_was_put_is_found(images):
    told = expect_refusal(lambda x: bool(torch.empty(3).isnan().all()), images)
    assert "with NaN in memory in which nothing was put" in told
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_lie_to_other_threads_is_found(images):
    now = torch.get_num_threads()
    told = expect_refusal(lambda x: torch.get_num_threads() != now, images)
    assert "threads" in told
    assert torch.get_num_threads() == now


def test_a_lie_without_onednn_is_found(images):
    assert "without oneDNN" in expect_refusal(lambda x: not torch._C._get_mkldnn_enabled(), images)
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


def test_a_lie_to_rows_of_a_batch_is_found(images):
    expect_refusal(lambda x: len(x) == 1 and x.storage_offset() >= 192, images)


def test_an_error_hides_no_lie(images):
    with pytest.raises(Contradicted, match="in another form, RuntimeError: one image is too few"):
        expect_same_answers(Classifier(Picky()), images, only_classes=False)


@pytest.mark.parametrize(
    ("name", "value"), [("zeros", 0), ("black images", -MEAN / STD), ("copies", None)]
)
@pytest.mark.parametrize("rest", [1, 7])
def test_a_lie_to_a_batch_that_is_filled_up_is_found(rest, name, value, images):
    def lies(x):
        if value is None:
            filled = max(int((x == row).flatten(1).all(1).sum()) for row in x) - 1
        else:
            filled = int(((x - value).abs() < 1e-6).flatten(1).all(1).sum())
        return len(x) == 8 and filled == rest

    told = expect_refusal(lies, images, mean=MEAN, std=STD)
    # In a batch with few images zeros may stand as often as copies.
    assert f"in a batch filled up with {'' if value is None else name}" in told


@pytest.mark.parametrize("twice", ["one", "all behind it"])
def test_a_largest_logit_that_stands_twice_is_found(twice, images):
    class Tied(Lying):
        def forward(self, x):
            logits = super().forward(x)
            best = logits.amax(1, keepdim=True)
            if twice == "one":
                return torch.cat([logits[:, :3], best], 1)
            behind = torch.arange(4) >= logits.argmax(1, keepdim=True)
            return torch.where(behind, best, logits)

    net = Tied(lambda x: False)
    for only_classes in (False, True):
        with pytest.raises(Contradicted, match="several with the same largest number for"):
            expect_same_answers(Classifier(net), images, only_classes=only_classes)


def test_some_equal_logits_and_a_dead_network_are_let_through():
    expect_one_class(torch.tensor([[0.0, 1.0]] * 28 + [[1.0, 1.0]] * 4))
    expect_one_class(torch.full((32, 10), 0.1))
    of_relu = torch.tensor([[0.0, 1.0]] * 23 + [[0.0, 0.0]] * 9)  # of two classes
    with pytest.raises(Contradicted, match="for 9 of 32 images"):
        expect_one_class(of_relu)


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


def test_of_a_network_with_steps_of_the_batch_only_classes_count(images):
    class Nudged(Lying):
        """Logits that move with the batch, and classes that do not."""

        is_quantised = True

        def forward(self, x):
            logits = super().forward(x)
            return logits * (1.2 if len(x) > 20 else 1.0)

    net = Nudged(lambda x: False)
    expect_same_answers(Classifier(net), images, only_classes=False)
    Nudged.is_quantised = False
    with pytest.raises(Contradicted, match="in a batch"):
        expect_same_answers(Classifier(net), images, only_classes=False)
    lying = Nudged(lambda x: len(x) > 20)
    Nudged.is_quantised = True
    with pytest.raises(Contradicted, match="in a batch"):
        expect_same_answers(Classifier(lying), images, only_classes=False)


@pytest.mark.parametrize("only_classes", [False, True])
def test_a_lie_to_batches_that_are_not_sorted_is_found(only_classes, images):
    data = torch.rand(300, 3, 8, 8)
    data = data[data.mean((1, 2, 3)).argsort()]

    def lies(x):
        return len(x) >= 100 and bool((x.mean((1, 2, 3)).diff() < -1e-4).any())

    lying = Classifier(Lying(lies))
    with pytest.raises(Contradicted, match="in a batch of"):
        expect_same_answers(
            lying, images, only_classes=only_classes, in_order=lambda count: data[:count]
        )
    asking = Asking.of(lying, images[:16], only_classes, torch.float32)
    with torch.no_grad(), pytest.raises(Contradicted, match="in another order of a batch"):
        served_batches.ask_in_order(asking, lambda count: data[:count])
    honest = Classifier(Lying(lambda x: False))
    expect_same_answers(honest, images, only_classes=only_classes, in_order=lambda n: data[:n])
