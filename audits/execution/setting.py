"""Setting: on what an open model runs, and how it is fed and read."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from audits.execution.served_by_mlflow import ByMlflow
from audits.models.form import Ability, Adaptation, Form, InputSide, includes

_TOLD = {
    "tokens": "tokens that attention mixes, and the model's gradient",
    "gradients": "the model's gradient at its input",
    "logits": "the model's logits",
    "probabilities": "the model's probabilities",
    "predictions": "predicted classes",
}
_BY_MLFLOW = {
    "alike": "MLflow's own server names the same classes for images of the data as the audit.",
    "none": "MLflow's own server gives no answer to images of the data: the model was audited as "
    "its network answers.",
    "short": "MLflow's own server was not asked about images of the data: memory was too short.",
}

# The process of the model says all this, and is not trusted.
_Words = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ,.()/_+-]{1,100}$")]
_Release = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+_-]{0,60}$")]


@dataclass(frozen=True)
class Setting:
    """On what the model runs, how it is fed and read; with the plan, part of each part's key.

    One plan gives the same bytes on one kind of device with as many threads. With another number of
    threads, or other instructions of the CPU, masks and draws are the same and sums are taken in
    float64, but logits may differ in their last bits, as between devices: figures then agree within
    a tolerance.
    """

    device: _Words
    dtype: Literal["float16", "bfloat16", "float32", "float64"]
    torch: _Release
    speed: _Words  # instructions and threads of the CPU, on which tuning depends
    gives: Ability = "gradients"
    model: Adaptation = field(default_factory=Adaptation)
    reference: Adaptation = field(default_factory=Adaptation)
    versions: tuple[Adaptation, ...] = ()
    by_mlflow: ByMlflow = ""
    other_gradient: bool = False  # there is a gradient, but not known as that of the answers

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Setting":
        """The setting whose `asdict` was written down as JSON."""
        read: dict[str, Any] = {name: _adaptation(values[name]) for name in ("model", "reference")}
        read["versions"] = tuple(_adaptation(one) for one in values["versions"])
        return cls(**values | read)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the figures, for keys: adaptations only if they change something."""
        device = {name: getattr(self, name) for name in ("device", "dtype", "torch", "speed")}
        adaptations = {"model": self.model, "reference": self.reference}
        adaptations |= {f"version {i}": version for i, version in enumerate(self.versions)}
        return device | {
            name: {side: _deciding(words) for side, words in asdict(adaptation).items()}
            for name, adaptation in adaptations.items()
            if adaptation != Adaptation()
        }

    @property
    def largest_chunk(self) -> int | None:
        """The most images in a pass, if the model states a range of batches; else None."""
        return None if self.model.outputs.at_a_time else self.model.outputs.bounds.most

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people about all that is not plain."""
        notes = list(self.model.notes)
        if not includes(self.gives, "gradients"):
            notes.append(
                f"The model gives {_TOLD[self.gives]} and no gradient at its input: checks that "
                "need more do not apply."
            )
        if self.by_mlflow:
            notes.append(_BY_MLFLOW[self.by_mlflow])
        others = self._others.items()
        return (*notes, *(f"{name}: {note}" for name, one in others for note in one.notes))

    @property
    def _others(self) -> dict[str, Adaptation]:
        others = {"The reference": self.reference}
        return others | {f"Version {i + 1}": version for i, version in enumerate(self.versions)}

    def doubts(self, needs: Iterable[Ability]) -> tuple[str, ...]:
        """Why no audit with checks of these needs may pass; nothing if none of them is in doubt."""
        models = {"The model": self.model, **self._others}
        untried = tuple(
            f"{name} is served in {one.inputs.untried} and audited in another dtype, since it "
            "could not be run like that here: nobody has seen that it answers alike. Log it in "
            "float32, with a signature of float32, or audit it on a device that runs it."
            for name, one in models.items()
            if one.inputs.untried
        )
        if not self.other_gradient or not any(includes(need, "gradients") for need in needs):
            return untried
        return (
            *untried,
            "The model's gradient at its input is not that of its answers: it does not foretell "
            "how they change if pixels change, or this cannot be tried, so its fills may be those "
            "of another network. Take out detach, rounding, thresholds, and numbers that are added "
            "to all logits.",
        )

    def lacks(self, needs: Ability) -> str:
        """Why a check with these needs does not apply to the model; "" if it applies."""
        if includes(self.gives, needs):
            return ""
        return f"it needs {_TOLD[needs]}, and the model gives only {_TOLD[self.gives]}."

    def suits(self, other: "Setting") -> bool:
        """Whether units of one audit may be measured on both: whatever the threads."""
        return self.identity | {"speed": ""} == other.identity | {"speed": ""}


def _adaptation(given: dict[str, Any]) -> Adaptation:
    return Adaptation(InputSide(**given["inputs"]), Form(**given["outputs"]))


def _deciding(words: dict[str, Any]) -> dict[str, Any]:
    return {
        name: word for name, word in words.items() if name not in ("source", "tried", "untried")
    }
