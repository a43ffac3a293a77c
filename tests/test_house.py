"""The rules of the house, as tests: who imports whom, which words stand where, what must be written down."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import pytest
import yaml

from muster.core import errors
from muster.settings import page

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "muster"
CORE = sorted((SOURCE / "core").rglob("*.py"))
PYTHON = sorted(path for name in ("src", "tests", "bench") for path in (ROOT / name).rglob("*.py"))
PAPERS = sorted(
    path
    for path in chain(ROOT.glob("*"), (ROOT / "docs").rglob("*"), (ROOT / "requirements").glob("*"))
    if path.is_file() and path.name != ".git"
)
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))

# Written apart so that this file does not name them itself.
FOREIGN = re.compile(
    r"(?<![\w.])/wo"
    r"rk/|\bfa"
    r"rm-\w|(?<!\w)\.lib"
    r"rary\b|py"
    r"pi\.org|python"
    r"hosted\.org|npm"
    r"js\.org|crates\." + r"io|proxy\.golang" + r"\.org|index-" + r"url\b"
)
UNFINISHED = re.compile(r"raise NotImplemented" + r"Error|\bTO" + r"DO\b|\bFIX" + r"ME\b|\bXX" + r"X\b")
FAKED = re.compile(r"unittest\.mo" + r"ck|Magic" + r"Mock|(?<![\w.@])pat" + r"ch\(|monkeypatch\.set" + "attr")

OTHERS_WORDS = {"thing", "things", "domain", "domains"}
OUTSIDE = {"asyncio", "socket", "sqlite3", "logging"}
"""What the core does not see of the standard library."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def found(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{named(path)}:{number}: {line.strip()[:80]}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


# --- rooms and words ----------------------------------------------------------------------------------------


def test_rooms_import_downward_only():
    """The contract in .importlinter holds."""
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"


def test_the_core_sees_the_standard_library_alone():
    """And of that no framework, driver, socket or logger."""
    seen = {(named(path), name) for path in CORE for name in imported(tree(path))}
    allowed = sys.stdlib_module_names - OUTSIDE
    strange = {
        (path, name)
        for path, name in seen
        if name.split(".")[0] not in allowed and not re.match(r"muster\.core\b", name)
    }
    assert strange == set()
    assert len(seen) > len(CORE)


def identifiers(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        for field in ("name", "id", "attr", "arg", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def words(identifier: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return {word.lower() for word in apart.split("_")}


def test_a_dialects_words_never_come_into_the_core():
    """One word per concept: a device is no thing, a tenant no domain, its secret no client_secret."""
    seen = {(named(path), name) for path in CORE for name in identifiers(tree(path))}
    strange = {each for each in seen if words(each[1]) & OTHERS_WORDS or "client_secret" in each[1].lower()}
    assert strange == set()
    assert any("device" in words(name) for _, name in seen)


def test_nothing_is_left_unfinished():
    """A promise in the code is kept in the code."""
    assert found(UNFINISHED, [path for path in PYTHON if path != Path(__file__)]) == []


def test_our_own_code_is_never_faked():
    """A test that replaces a part of Muster proves nothing of it; settings come as arguments."""
    assert found(FAKED, [path for path in PYTHON if "tests" in path.parts and path != Path(__file__)]) == []


def test_nothing_names_a_machine_or_a_package_index():
    """The project builds anywhere, from whichever index its user has."""
    assert found(FOREIGN, [path for path in PYTHON + PAPERS if path != Path(__file__)]) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (FOREIGN, "see /wo" + "rk/wt"),
        (FOREIGN, "https://py" + "pi.org/simple"),
        (UNFINISHED, "# TO" + "DO later"),
        (FAKED, "with pat" + "ch('x'):"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern, text):
    """A rule that cannot fail is none."""
    assert pattern.search(text) is not None


def skips(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            name, reasons = ast.unparse(node.func), [*node.args, *(each.value for each in node.keywords)]
            if name in {"pytest.skip", "pytest.mark.skip", "pytest.xfail"} and not reasons:
                yield f"{named(path)}:{node.lineno}"
            keywords = {each.arg for each in node.keywords}
            if name in {"pytest.mark.skipif", "pytest.mark.xfail"} and "reason" not in keywords:
                yield f"{named(path)}:{node.lineno}"


def test_whatever_is_skipped_says_why():
    """Silence looks like success."""
    assert [each for path in PYTHON for each in skips(path)] == []


# --- sizes --------------------------------------------------------------------------------------------------


def test_files_stay_readable():
    """A file of the product has 400 lines at most, a test 600: split by noun. Migrations stay as they are."""
    most = {path: 400 if SOURCE in path.parents else 600 for path in PYTHON if "versions" not in path.parts}
    sizes = {path: path.read_text().count("\n") for path in most}
    assert {named(path): lines for path, lines in sizes.items() if lines > most[path]} == {}


# --- errors -------------------------------------------------------------------------------------------------


def kinds(error: type[errors.MusterError]) -> Iterator[type[errors.MusterError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from kinds(kind)


OURS = sorted({kind for kind in kinds(errors.MusterError) if kind.__module__ == errors.__name__}, key=str)
PROBLEMS = [path.parent.name for path in sorted((SOURCE / "dialects").glob("*/problems.py"))]


def table_of(dialect: str) -> Mapping[type, object]:
    """The dialect's one table from an error to what it says."""
    module = importlib.import_module(f"muster.dialects.{dialect}.problems")
    tables = [
        value
        for value in vars(module).values()
        if isinstance(value, Mapping) and errors.NotFound in value and errors.Conflict in value
    ]
    assert len(tables) == 1, f"{dialect} has {len(tables)} tables of errors"
    return tables[0]


@pytest.mark.parametrize("dialect", PROBLEMS)
def test_each_door_maps_every_error(dialect):
    """No error of the core reaches a caller as something unknown."""
    table = table_of(dialect)
    unmapped = [kind for kind in OURS if not any(each in table for each in kind.__mro__[: -len(BEYOND)])]
    assert unmapped == []


BEYOND = errors.MusterError.__mro__
"""Mapping the root of all errors maps none of them."""


def test_every_dialect_has_its_problems():
    """A dialect that has routes says its errors in one place."""
    routed = {path.parent.name for path in (SOURCE / "dialects").glob("*/routes.py")}
    assert routed - set(PROBLEMS) == set()


# --- papers -------------------------------------------------------------------------------------------------


def test_every_setting_is_documented():
    """docs/settings.md is what the settings say of themselves: python -m muster.settings.page."""
    assert (ROOT / "docs" / "settings.md").read_text() == page.page()


def requirement(text: str) -> str:
    return re.split(r"[\[<>=~! ]", text)[0]


def test_every_dependency_says_why():
    """docs/dependencies.md has a line for each dependency of pyproject.toml, and for no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = [requirement(each) for each in project["project"]["dependencies"]]
    test = [requirement(each) for each in project["dependency-groups"]["test"]]
    text = (ROOT / "docs" / "dependencies.md").read_text()
    run_part, test_part = text.split("## For the tests")
    rows = re.compile(r"^\| `([\w.-]+)` \| .{15,} \|$", re.MULTILINE)
    assert rows.findall(run_part) == sorted(run)
    assert rows.findall(test_part) == sorted(test)


def steps(target: str) -> list[str]:
    """The commands of a target, in the Makefile's words."""
    body = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert body, f"the Makefile has no recipe for {target}"
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in body[1].splitlines()]


def test_every_make_target_that_is_mentioned_exists():
    """In .PHONY, in the papers, and in what builds and checks."""
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) - TARGETS == set()
    mentioned = {
        (named(path), target)
        for path in [*PAPERS, ROOT / ".ci" / "run"]
        for target in re.findall(r"(?:`|^|&& |exec |\$ )make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE)
    }
    assert {each for each in mentioned if each[1] not in TARGETS} == set()
    assert {target for _, target in mentioned} >= {"run", "test"}


def test_continuous_integration_runs_the_documented_command():
    """`.ci/run` is `make test` and nothing else."""
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"


def test_a_commit_is_checked_as_the_tests_check_it():
    """pre-commit runs the steps of `make test` before pytest, word for word."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert hooks == [step for step in steps("test") if "pytest" not in step]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
