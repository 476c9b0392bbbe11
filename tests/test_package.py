"""The house: which way imports point, what they cost, and what public docstrings say."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import reference
from reference import corpus, data, model, training, vocabulary
from reference.fast import (
    batches,
    fitting,
    generation,
    losses,
    models,
    sampling,
    training as fast_training,
)

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reference"
NOTES = ROOT / "docs/notes/nn-module.markmap.md"
SHARED_NOTES = ROOT.parent / "shared/notes/nn-module.markmap.md"

# From the ground up; a module may import its own floor and those below.
FLOORS = [
    {"errors", "notes", "oracle"},
    {"checks", "files", "shapes", "terminal"},
    {"data", "model", "vocabulary"},
    {"corpus"},
    {"training"},
    {"tinyshakespeare", "tokens"},
    {"runs"},
    {"fast", "spec", "walkthrough"},
    {"conformance"},
    {"cli"},
    {"__main__"},
]
IN_THE_PACKAGE = {"reference.__version__", "reference._offered"}
"""What stands in no module, but in the package itself, and may be used on any floor."""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: relative import"
            if node.module == "reference":
                yield from (f"reference.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room(path: Path) -> str:
    """The module or sub-package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(name: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    here = floor_of(room(path))
    for name in imports(path):
        if name.startswith("reference.") and name not in IN_THE_PACKAGE:
            assert floor_of(name.split(".")[1]) <= here, f"{path} imports {name}"


@pytest.mark.parametrize("name", ["corpus", "data", "model", "training", "vocabulary"])
def test_the_core_imports_no_folder_but_the_oracle(name: str) -> None:
    allowed = {path.stem for path in PACKAGE.glob("*.py")} | {"oracle"}
    for imported in imports(PACKAGE / f"{name}.py"):
        if imported.startswith("reference."):
            assert imported.split(".")[1] in allowed, imported


@pytest.mark.parametrize("path", sorted((PACKAGE / "runs").glob("*.py")), ids=lambda p: p.name)
def test_a_run_is_passed_its_trainer_and_does_not_import_the_engine(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("reference.fast")]


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def named(path: Path) -> Iterator[str]:
    """Every module that a file imports, in functions too, or names as text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names if names <= MODULES.keys() else {*names, str(node.module)}
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_import_comes_back_to_where_it_began() -> None:
    graph = {name: MODULES.keys() & set(named(path)) - {name} for name, path in MODULES.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", sorted((PACKAGE / "oracle").glob("*.py")), ids=lambda p: p.name)
def test_the_oracle_stands_alone(path: Path) -> None:
    allowed = {"numpy", "jaxtyping", "math", "collections", "dataclasses", "typing"}
    for name in imports(path):
        assert name.split(".")[0] in allowed or name.startswith("reference.oracle"), name


def python(script: str) -> str:
    done = subprocess.run(  # noqa: S603  our own script
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_importing_loads_nothing_heavier_than_torch() -> None:
    modules = python(
        "import sys\nfrom reference import *\nprint(*{name.split('.')[0] for name in sys.modules})"
    ).split()
    assert {"torch", "numpy", "jaxtyping", "reference"} <= set(modules)
    heavy = {"hypothesis", "typer", "rich", "numba", "matplotlib", "pooch", "requests", "scipy"}
    assert not heavy & set(modules)


def test_importing_the_package_alone_does_not_even_load_torch() -> None:
    assert python("import sys, reference; print('torch' in sys.modules)").strip() == "False"


def test_importing_has_no_side_effect() -> None:
    left_out = {"__main__.py", "__init__.py"}
    if find_spec("triton") is None:  # there is none but for Linux
        left_out.add("triton_kernels.py")
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if path.name not in left_out
    ]
    script = (
        "import importlib, os, torch\n"
        "state, cwd = torch.get_rng_state(), set(os.listdir())\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "assert torch.equal(state, torch.get_rng_state())\n"
        "assert torch.get_default_dtype() == torch.float32\n"
        "assert torch.is_grad_enabled()\n"
        "assert set(os.listdir()) == cwd\n"
    )
    assert python(script) == ""


def test_the_public_face_is_a_dozen_names_and_each_is_there() -> None:
    assert len(reference.__all__) <= 12
    assert reference.__all__ == sorted(reference._MODULE_OF)
    assert set(reference.__all__) <= set(dir(reference))
    for name in reference.__all__:
        home = importlib.import_module(f"reference.{reference._MODULE_OF[name]}")
        assert getattr(reference, name) is getattr(home, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = reference.no_such_name


def public(module: ModuleType) -> Iterator[tuple[str, str, object]]:
    """Every public class, function and method of a module, with its docstring."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            yield f"{module.__name__}.{name}", inspect.getdoc(value) or "", value
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if not method.startswith("_"):
                    function = getattr(function, "__func__", function)  # noqa: PLW2901  unwrapped
                    if inspect.isfunction(function):
                        place = f"{module.__name__}.{name}.{method}"
                        yield place, inspect.getdoc(function) or "", function


ENGINE = (batches, fitting, generation, losses, models, sampling, fast_training)
DOCUMENTED = [
    entry
    for module in (vocabulary, data, corpus, model, training, *ENGINE)
    for entry in public(module)
]
# What the notes do not have: ours to add, so there is no place to cite.
OURS = {"TrainStep", "to", "read", "pair_counts"}
OURS |= {"TrainBlock", "Stepper", "prepared", "take", "means", "restore"}
OURS |= {"Exact", "Additive", "count", "table_of"}
OURS |= {"distance_bound", "multinomial_is_a_race", "worth_counting"}


@pytest.mark.parametrize(("name", "doc"), [entry[:2] for entry in DOCUMENTED])
def test_public_docstrings_cite_a_place_in_the_notes(name: str, doc: str) -> None:
    assert doc, f"{name} has no docstring"
    source = re.search(r"^Source: notes, (.+)\.$", doc, flags=re.MULTILINE | re.DOTALL)
    if name.rsplit(".", maxsplit=1)[-1] in OURS:
        assert source is None, f"{name} is listed as ours, and cites the notes"
        return
    assert source is not None, f"{name} does not say where in the notes it comes from"
    notes = NOTES.read_text(encoding="utf-8").replace("**", "").replace("`", "")
    at = 0
    for place in source[1].replace("\n", " ").split(" > "):
        found = notes.find(place, at)
        assert found >= 0, f"{name}: the notes have no {place!r} there"
        at = found


@pytest.mark.parametrize(("name", "doc", "value"), DOCUMENTED)
def test_public_docstrings_give_the_shapes_in_the_signature(
    name: str, doc: str, value: object
) -> None:
    if not inspect.isfunction(value):
        return
    annotations = inspect.get_annotations(value)
    if any("Tensor" in str(annotation) for annotation in annotations.values()):
        assert "Shape:" in doc, f"{name} takes or gives tensors, and does not say of which shape"


def test_the_notes_here_are_the_notes() -> None:
    if not SHARED_NOTES.exists():
        pytest.skip("the user's own copy of the notes is not at ../shared/notes")
    assert NOTES.read_bytes() == SHARED_NOTES.read_bytes()


@pytest.fixture
def readme() -> ModuleType:
    """Return what makes the README's table; benchmarks are no package that tests can import."""
    spec = spec_from_file_location("readme", ROOT / "benchmarks/readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readmes_ratios_are_those_of_the_benchmarks(readme: ModuleType) -> None:
    page, results = (path.read_text(encoding="utf-8") for path in (readme.README, readme.RESULTS))
    assert readme.table(results) in page, "run: python -m benchmarks.readme"
    found = re.findall(r"[\d,.]+x ", readme.table(results))
    assert len(found) == sum(len(ratios) for _does, ratios in readme.ROWS.values())


def test_the_readmes_table_follows_the_results(readme: ModuleType) -> None:
    page, results = (path.read_text(encoding="utf-8") for path in (readme.README, readme.RESULTS))
    step = re.search(r"^\| a training step.*\| at least [^|]*\| (\d+x) \|", results, re.MULTILINE)
    assert step is not None
    others = results[: step.start(1)] + "1,234x" + results[step.end(1) :]
    assert readme.renewed(page, others).count("1,234x") == 1
    assert readme.renewed(readme.renewed(page, others), results) == page
    with pytest.raises(KeyError, match="a training step"):
        readme.table(results[: step.start()] + results[step.end() :])


@pytest.mark.parametrize("folder", [PACKAGE, PACKAGE / "conformance"], ids=lambda path: path.name)
def test_the_tree_in_the_readme_is_the_folder(folder: Path) -> None:
    tree = re.search(r"```text\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    assert tree is not None
    shown = re.findall(r"^ *((?:\w+(?:\.py|/)  ?)+)", tree[1], re.MULTILINE)
    names = {name.strip("/") for line in shown for name in line.split()} - {folder.name}
    there = {path.name for path in folder.glob("*.py") if not path.name.startswith("__")}
    there |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert names == there
