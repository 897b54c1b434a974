"""That the lock file for development holds what pyproject.toml asks for."""

import re
import tomllib

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = ROOT / "requirements-dev.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def asked(*, extra: str) -> list[Requirement]:
    """Return the requirements of an extra, with those of other extras that it names."""
    requirements = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    other = [requirement for requirement in requirements if requirement.name != PROJECT["name"]]
    extras = [name for requirement in requirements if requirement not in other for name in requirement.extras]
    return other + [requirement for name in extras for requirement in asked(extra=name)]


def locked() -> list[tuple[Requirement, bool]]:
    """The requirements of the lock, each with whether textclf asks for it itself."""
    entries = re.findall(r"^([a-z0-9][^\\]*)\\\n((?: .*\n)*)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return [(Requirement(requirement), f"{PROJECT['name']} (pyproject.toml)" in rest) for requirement, rest in entries]


def versions(name: str, *, python: str) -> list[str]:
    """The versions of the package that the lock gives this Python, here and on every system where it is needed."""
    environment = {"python_full_version": f"{python}.0", "python_version": python}
    return [
        specifier.version
        for requirement, _ in locked()
        if requirement.name == canonicalize_name(name)
        and (requirement.marker is None or requirement.marker.evaluate(environment))
        for specifier in requirement.specifier
    ]


ASKED = [Requirement(text) for text in PROJECT["dependencies"]] + asked(extra="dev")


def test_the_lock_names_what_pyproject_asks_for() -> None:
    named = {canonicalize_name(requirement.name) for requirement, own in locked() if own}
    assert named == {canonicalize_name(requirement.name) for requirement in ASKED}, "run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locked_versions_are_allowed(python: str) -> None:
    for requirement in ASKED:
        (version,) = versions(requirement.name, python=python)
        assert version in requirement.specifier, f"{requirement} is locked at {version}: run `make lock`"


def test_messages_name_the_packages_as_pyproject_does() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "textclf").rglob("*.py"))
    named = {name for source in sources for name in re.findall(r"pip install '([^']+)'", source)}
    extras = {text.partition(";")[0].strip() for texts in PROJECT["optional-dependencies"].values() for text in texts}
    assert named
    assert {name for name in named if "{" not in name} <= extras
