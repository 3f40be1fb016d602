"""Checks of other packages are found, and a broken check is named with its package."""

import pytest

from audits.checks.base import Check
from audits.checks.registered import check_classes
from audits.errors import AuditError

_OWN = """
from typing import Literal
from audits.checks.performance import Performance
class Own(Performance):
    kind: Literal["own"] = "own"
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package of one module; its entry points name `targets`."""

    def installed(package, source, *targets):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"check{number} = {target}" for number, target in enumerate(targets)]
        (info / "entry_points.txt").write_text("\n".join(["[fillblanks.checks]", *lines]))
        (tmp_path / f"{package}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)

    return installed


def test_another_package_adds_its_check(install):
    ours = check_classes()
    install("adds_a_check", _OWN, "adds_a_check:Own")
    *before, own = check_classes()
    assert tuple(before) == ours
    assert own.__name__ == "Own"
    assert issubclass(own, Check)
    assert own().kind == "own"


@pytest.mark.parametrize(
    ("package", "source", "said"),
    [
        ("imports_nothing", "import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("imports_wrongly", "from os import nowhere", "ImportError: cannot import name 'nowhere'"),
        ("is_no_python", "class Own(", "SyntaxError: '(' was never closed"),
        ("has_no_class", "", "AttributeError: module 'has_no_class' has no attribute 'Own'"),
        ("has_two_lines", "raise OSError('a\\nb')", "OSError: a b. Mend"),
        ("divides", "1 / 0", "ZeroDivisionError: division by zero"),
        ("leaves", "raise SystemExit(1)", "SystemExit: 1"),
    ],
)
def test_a_check_that_cannot_be_imported_is_named_with_its_package(package, source, said, install):
    install(package, source, f"{package}:Own")
    with pytest.raises(AuditError) as caught:
        check_classes()
    line = str(caught.value)
    assert line.startswith(
        f"Expected the check 'check0' of package '{package}' 1.0 ({package}:Own) to be "
        f"importable, got {said}"
    )
    assert line.endswith("Mend or uninstall the package.")
    assert "\n" not in line


@pytest.mark.parametrize("target", ["collections:OrderedDict", "os.path:join", "os:sep"])
def test_an_entry_point_must_name_a_check(target, install):
    install("names_no_check", "", target)
    with pytest.raises(AuditError, match=r"'names_no_check' 1\.0 .* to be a subclass of Check"):
        check_classes()


@pytest.mark.parametrize("kind", ["", '    kind: str = "own"\n', '    kind: Literal["own"]\n'])
def test_a_check_must_say_its_kind(kind, install):
    package = f"has_no_kind_{len(kind)}"
    source = (
        "from typing import Literal\nfrom audits.checks.base import Check\n"
        f"class Own(Check):\n    version = 1\n{kind}"
    )
    install(package, source, f"{package}:Own")
    with pytest.raises(AuditError, match=rf"'{package}' 1.0 .* to have a field `kind: Literal"):
        check_classes()


def test_a_check_must_have_all_its_methods(install):
    source = (
        "from typing import Literal\nfrom audits.checks.base import Check\n"
        'class Own(Check):\n    version = 1\n    kind: Literal["own"] = "own"\n'
    )
    install("has_no_methods", source, "has_no_methods:Own")
    with pytest.raises(AuditError, match=r"'has_no_methods' 1\.0 .* it lacks conclude, declared_"):
        check_classes()


def test_a_check_must_need_something_that_is_known(install):
    install("needs_magic", f'{_OWN}    needs = "magic"\n', "needs_magic:Own")
    with pytest.raises(
        AuditError, match=r"one of tokens, gradients, logits, prob.*, pred.*got needs 'ma"
    ):
        check_classes()


def test_a_kind_of_ours_is_taken(install):
    source = "from audits.checks.performance import Performance\nclass Own(Performance): pass\n"
    install("takes_our_kind", source, "takes_our_kind:Own")
    with pytest.raises(
        AuditError, match=r"own, got 'performance', which is taken by fillblanks\. Rename"
    ):
        check_classes()


def test_a_kind_of_another_package_is_taken(install):
    install("takes_first", _OWN, "takes_first:Own")
    install("takes_second", _OWN, "takes_second:Own")
    with pytest.raises(AuditError) as caught:
        check_classes()
    assert "got 'own', which is taken by the check 'check0' of package" in str(caught.value)
    assert "takes_first" in str(caught.value)
    assert "takes_second" in str(caught.value)
