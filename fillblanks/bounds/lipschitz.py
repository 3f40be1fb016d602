"""How fast logits can change at all, and the radius in which an answer is sure.

If logits are L-Lipschitz in the Euclidean norm, no image nearer than margin / (sqrt(2) L) has
another answer (Tsuzuku et al. 2018, arXiv 1802.04034). L is computed from the weights and never
taken from a claim. Rounding of the network is not part of this bound.
"""

from collections.abc import Iterator
from math import exp, log, prod, sqrt

import torch
from torch import Tensor

from fillblanks.bounds.prover import Prover
from fillblanks.bounds.steps import Affine, Program, Relu, Shape

_SQUARINGS = 8  # the bound is then at most m ** (1 / 1024) too large, .8 % for m = 2,048
_LARGEST = 2048  # rows of a Gram matrix
_VALUES = 1 << 24  # of a matrix
_CHUNK = 256
# Rounding of a Gram matrix moves its norm by about 1e-8 of it at most, at these sizes.
_ROUNDED = 1 + 1e-6


def lipschitz(program: Program) -> float | None:
    """An upper bound of the Lipschitz constant from images to logits; None if it is not a chain.

    It is the product of the norms of the linear operations between ReLUs. The norm of a matrix W
    with at most 2,048 rows or columns is that of ||(W W')^n||_F ^ (1 / 2n), n = 256, which is
    never too small (Delattre et al. 2023, arXiv 2305.16173); that of a larger one is
    sqrt(||W||_1 ||W||_inf).
    """
    if any(step.inputs != (i - 1,) for i, step in enumerate(program.steps) if i):
        return None
    return prod(_norm(run, program) for run in _runs(program))


def radius(prover: Prover, constant: float, image: Tensor, answer: int) -> float:
    """The Euclidean radius around `image` (C, H, W), in pixels of [0, 1], that keeps `answer`.

    `constant` bounds the Lipschitz constant of the network's logits. 0 if the answer is another.
    """
    nothing = torch.zeros(image.shape[1:], dtype=torch.bool)
    with torch.no_grad():
        margin = prover.margin(image, nothing, answer).best
    return max(margin, 0.0) / (sqrt(2) * constant) if constant else float("inf")


def _runs(program: Program) -> Iterator[list[int]]:
    """Linear steps that follow each other."""
    run: list[int] = []
    for number, step in enumerate(program.steps):
        if isinstance(step, Affine):
            run.append(number)
        elif isinstance(step, Relu) and run:
            yield run
            run = []
    if run:
        yield run


def _norm(run: list[int], program: Program) -> float:
    """An upper bound of the spectral norm of linear steps together."""
    before, after = program.shapes[run[0] - 1], program.shapes[run[-1]]
    steps = [step for i in run if isinstance(step := program.steps[i], Affine)]
    inputs, outputs = prod(before), prod(after)
    if min(inputs, outputs) > _LARGEST or inputs * outputs > _VALUES:
        pairs = zip(run, steps, strict=True)
        return prod(_holder(step, program.shapes[i - 1], program) for i, step in pairs)
    matrix = torch.cat([_through(steps, rows.view(-1, *before)) for rows in _unit(inputs, program)])
    gram = matrix @ matrix.T if inputs <= outputs else matrix.T @ matrix
    return _ROUNDED * sqrt(_largest_eigenvalue(gram))


def _largest_eigenvalue(gram: Tensor) -> float:
    """An upper bound of the largest eigenvalue of a matrix that has none below 0."""
    logarithm, power = 0.0, 1.0
    for _ in range(_SQUARINGS):
        size = float(gram.norm())
        if size == 0:
            return 0.0
        # The power of the matrix is exp(logarithm) times what is kept, so that nothing overflows.
        gram = (gram / size) @ (gram / size)
        logarithm, power = 2 * (logarithm + log(size)), 2 * power
    size = float(gram.norm())
    total = logarithm + (log(size) if size else 0.0)
    return exp(total / power)


def _through(steps: list[Affine], rows: Tensor) -> Tensor:
    for step in steps:
        rows = step.apply(rows)
    return rows.flatten(1)


def _unit(count: int, program: Program) -> Iterator[Tensor]:
    whole = torch.eye(count, dtype=torch.float64, device=program.device)
    return iter(whole.split(_CHUNK))


def _holder(step: Affine, before: Shape, program: Program) -> float:
    """sqrt(||W||_1 ||W||_inf) of one step, from the sums of absolute weights."""
    ones = torch.ones(1, *before, dtype=torch.float64, device=program.device)
    with torch.enable_grad():
        ones.requires_grad_()
        sums = step.absolute(ones)
        (columns,) = torch.autograd.grad(sums.sum(), ones)
    return _ROUNDED * sqrt(float(sums.detach().max()) * float(columns.max()))
