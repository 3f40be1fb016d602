"""Forms that differ in the names of the classes, in the model and in the folders."""

from forms.form import Form, log_torch, write_folders
from forms.nets import Reordered, Wide
from forms.owner import NAMES, Owner

_RANGE = {"preprocessing": {"range": "0-1"}}
_TITLES = tuple(f"Digit {name.upper()}" for name in NAMES)
_SPACED = tuple(f"digit_{name}" for name in NAMES)
_GERMAN = ("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun")
_CRANES = tuple("crane" if name == "one" else name for name in NAMES)
_NUMBERS = tuple(str(n) for n in range(10))
_WNIDS = tuple(f"n{2_000_000 + 7 * i:08}" for i in range(10))
_PLACES = [3, 134, 150, 281, 340, 404, 517, 700, 850, 999]
_THOUSAND = [f"class {i}" for i in range(1000)]
for _place, _name in zip(_PLACES, NAMES, strict=True):
    _THOUSAND[_place] = _name
_TWICE = ["crane" if i in (10, 134) else name for i, name in enumerate(_THOUSAND)]


def _named(classes):
    metadata = {**_RANGE, **({"classes": list(classes)} if classes else {})}

    def log(owner: Owner, name: str) -> None:
        log_torch(owner.net, name, metadata=metadata)

    return log


def _log_reordered(owner: Owner, name: str) -> None:
    order = [NAMES.index(name) for name in sorted(NAMES)]
    log_torch(Reordered(owner.net, order), name)


def _write_train(folder, images):
    write_folders(folder / "train", images)
    return folder


def _wide(classes):
    def log(owner: Owner, name: str) -> None:
        log_torch(Wide(owner.net, _PLACES), name, metadata={**_RANGE, "classes": list(classes)})

    return log


_ASKS_NAMES = r"preprocessing\.classes"

FORMS = (
    Form(
        "no class names, folders with names",
        _named(None),
        {"preprocessing": {"classes": list(NAMES)}},
        asked=_ASKS_NAMES,
    ),
    Form(
        "no class names, folders 0 to 9",
        _named(None),
        folders=_NUMBERS,
        shown=_NUMBERS,
    ),
    Form(
        "class names that differ from the folders in case and spaces",
        _named(_TITLES),
        folders=_SPACED,
        shown=_TITLES,
    ),
    Form(
        "class names in another language than the folders",
        _named(_GERMAN),
        {"preprocessing": {"class_map": {name: i for i, name in enumerate(NAMES)}}},
        asked="class_map|preprocessing.classes",
        shown=_GERMAN,
    ),
    Form(
        "logits in the order of the alphabet, names in the order of the numbers",
        _log_reordered,
        {"preprocessing": {"classes": sorted(NAMES)}},
        asked=r"as configured.*set preprocessing\.classes: \[eight, five,",
    ),
    Form("1,000 logits with names, ten folders", _wide(_THOUSAND)),
    Form(
        "1,000 logits with one name twice, of other classes than the folders",
        _wide(["crane" if i in (10, 20) else name for i, name in enumerate(_THOUSAND)]),
    ),
    Form(
        "1,000 logits with the name of a folder twice",
        _wide(_TWICE),
        {"preprocessing": {"class_map": {"crane": 134}}},
        asked=r"'crane' stands twice: 10 and 134",
        folders=_CRANES,
        shown=tuple("crane (134)" if n == "crane" else n for n in _CRANES),
    ),
    Form("two of ten classes", _named(NAMES), kept=(4, 9)),
    Form(
        "wnids as class names, folders wnid_name",
        _named(_WNIDS),
        folders=tuple(f"{w}_{n}" for w, n in zip(_WNIDS, NAMES, strict=True)),
        shown=_WNIDS,
    ),
    Form(
        "a folder train alone, taken for a class",
        _named(NAMES),
        {"data": {"kind": "folder", "split": "train"}},
        asked=r"Set data\.split: train",
        write=_write_train,
    ),
)
