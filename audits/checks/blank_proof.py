"""BlankProof: can whatever stands in a blank change the answer?"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from audits.checks._blank_proof.bounds import bounded, prover_of
from audits.checks._blank_proof.figures import declared, measured, sentence
from audits.checks._shared.blank_figures import COLUMN_WORDS, cases_table, images_table, states_of
from audits.checks._shared.blank_pictures import legend, pictures, shown
from audits.checks._shared.blanks import BlankCheck
from audits.checks.base import Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric

_BOUND = 1000  # passes that take about as long as the bound of one case, in a small network


class BlankProof(BlankCheck):
    """Blanks for which a bound proves that no fill changes the answer.

    A case is an image and a blank, a patch of the image that may hold anything, each pixel from 0
    to 1. Random fills and a search by gradient look for a fill that changes the model's answer
    (`broken`). For the other cases the smallest margin over all fills is bounded from below, by
    intervals and by linear bounds (CROWN, Zhang et al. 2018, arXiv 1811.00866): if the bound is
    above 0, the case is `proven`. The rest is undecided. The bounds include the rounding of the
    network in its own dtype.

    Convolutions, linear layers, batch normalisation, average and max pooling, ReLU, sums and
    concatenations can be bounded, in networks of up to 12,000 values that go through a ReLU. With
    anything else the check does not apply and names the operation; `blank_attack` takes any
    network, and proves nothing.

    The question is that of EVA (Fel et al. 2023, arXiv 2202.07728), asked of blanks.
    """

    kind: Literal["blank_proof"] = "blank_proof"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = "gradients"
    plain_name: ClassVar[str] = "Whatever stands in a blank"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "A small patch of an image is left blank. Can something be put there that makes the model "
        "give another answer?",
        "Proven: no fill of the blank changes the answer. This is calculated from the weights, for "
        "all fills at once.",
        "Broken: a fill was found that changes the answer, and the model has been asked.",
        "Undecided: no such fill was found, and the bound is too coarse for a proof.",
        "A proof is about one blank of one image, and about nothing outside of the blank.",
    )
    legend: ClassVar[tuple[str, ...]] = legend(proof=True)
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    optimised: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=20,
        description="steps by which a bound is improved that does not prove a case; 0 for none",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared()

    def most_passes(self, images: int) -> int:
        return self.passes(images) + images * self.blanks * _BOUND

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        prover_of(audit)  # no search in vain
        attacked = self.attacked(audit, unit)
        part = attacked.part | bounded(audit, attacked, self.optimised)
        return part | shown(audit, unit, attacked.cases, attacked.worst, states_of(part))

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        both = (len(unit.indices), self.count(audit.shape))
        return {
            **self.attack_form(audit, unit),
            **{name: Array("float", both) for name in ("ibp", "crown", "best")},
            "radius": Array("float", both[:1], 0),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        size = self.size(audit.shape)
        table = images_table(parts, proof=True)
        return Evidence(
            check=self.name,
            sentence=sentence(parts, size, self.tries),
            metrics=measured(parts),
            images=table,
            tables={"cases": cases_table(parts, audit.shape, size, audit.classes)},
            pictures=pictures(self.name, audit, parts, table, self.shown_image),
            legend=self.legend,
            passes=self.spent(parts),
        )
