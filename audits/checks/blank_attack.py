"""BlankAttack: is there a fill of a blank that changes the answer?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from audits.checks._shared.blank_figures import (
    COLUMN_WORDS,
    cases_table,
    counted,
    declared_of_attacks,
    images_table,
    measured_of_attacks,
    silent_told,
    states_of,
)
from audits.checks._shared.blank_pictures import legend, pictures, shown
from audits.checks._shared.blanks import BlankCheck
from audits.checks.base import Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric


class BlankAttack(BlankCheck):
    """Blanks for which a fill is found that changes the answer, in any network.

    A case is an image and a blank, a patch of the image that may hold anything. Random fills are
    tried, and then the worst of them is made worse: by projected gradient descent (Madry et al.
    2018, arXiv 1706.06083), or, if the model has no gradient, by redrawing parts of it at random.
    Each break is an answer of the model. If none is found, nothing is proven: `blank_proof` proves,
    in small networks.
    """

    kind: Literal["blank_attack"] = "blank_attack"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "Fills of a blank that change the answer"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "A small patch of an image is left blank, and fills of it are sought with which the model "
        "gives another answer.",
        "Broken: such a fill was found, and the model has been asked. If none was found, there may "
        "still be one.",
        "Random fills are the null: if they break as many, the search adds nothing.",
    )
    legend: ClassVar[tuple[str, ...]] = legend(proof=False)
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared_of_attacks()

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        found = self.attacked(audit, unit)
        states = states_of(found.part)
        return found.part | shown(audit, unit, found.cases, found.worst, states)

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        return self.attack_form(audit, unit)

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        size = self.size(audit.shape)
        table = images_table(parts, proof=False)
        return Evidence(
            check=self.name,
            sentence=self._sentence(parts, size),
            metrics=measured_of_attacks(parts),
            images=table,
            tables={"cases": cases_table(parts, audit.shape, size, audit.classes)},
            pictures=pictures(self.name, audit, parts, table, self.shown_image),
            legend=self.legend,
            passes=self.spent(parts),
        )

    def _sentence(self, parts: Sequence[Part], size: int) -> str:
        n = counted(parts)
        told = (
            f"In {n['broken']:,} of {n['cases']:,} cases ({n['images']:,} images, {n['blanks']} "
            f"blanks of {size}x{size} pixels in each) a fill of the blank was found that changes "
            f"the answer (by {self.tries} random fills: {n['random']:,})."
        )
        if not n["undecided"]:
            return told + silent_told(parts)
        return (
            f"{told} In the other {n['undecided']:,} no break was found in {2 * self.tries} tries, "
            f"which is no proof.{silent_told(parts)}"
        )
