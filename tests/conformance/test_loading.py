import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import nn

from reference.conformance.loading.errors import FactoryError, LoadError
from reference.conformance.loading.factory import Loaded, factory_of
from reference.conformance.loading.load import load, parse_definition

LECTURE = Path(__file__).parent / "lecture"

MODELS = {
    "argparse_script.py": "BigramLanguageModel",
    "bare_logits.py": "Bigram",
    "cuda_in_forward.py": "BigramLanguageModel",
    "default_from_text.py": "BigramLanguageModel",
    "flattened_always_planted_column.py": "BigramLanguageModel",
    "from_sibling.py": "BigramLanguageModel",
    "greedy.py": "BigramLanguageModel",
    "hyperparameters.py": "Bigram",
    "magics.ipynb": "BigramLanguageModel",
    "missing_sibling.py": "BigramLanguageModel",
    "no_argument.py": "BigramLM",
    "only_new_tokens.py": "BigramLanguageModel",
    "other_name.py": "NextToken",
    "output_object.py": "BigramForCausalLM",
    "parameter_table.py": "Bigram",
    "plain.py": "BigramLanguageModel",
    "targets_required.py": "Bigram",
    "text_in_text_out.py": "BigramLanguageModel",
    "trained_in_a_function.py": "BigramLanguageModel",
    "unflattened.py": "BigramLanguageModel",
    "version_3.ipynb": "Bigram",
    "yields.py": "StreamingBigram",
}
FACTORIES = {"config_object.py": "make", "sized_by_chars.py": "make"}

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in an empty folder, and leave no module or path behind."""
    path, modules = list(sys.path), dict(sys.modules)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a script, and give its path."""

    def write_script(source: str) -> Path:
        path = tmp_path / "script.py"
        path.write_text(dedent(source), encoding="utf-8")
        return path

    return write_script


def table(loaded: Loaded) -> torch.Tensor:
    model = factory_of(loaded)(5)
    assert isinstance(model, nn.Module)
    (parameter,) = model.parameters()
    return parameter


def call(value: object, *arguments: object) -> object:
    assert callable(value)
    return value(*arguments)


# Files as people have them


@pytest.mark.parametrize(("file", "name"), sorted((MODELS | FACTORIES).items()))
def test_a_file_loads_as_it_stands_and_trains_nothing(
    file: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = time.process_time()  # of this process: a busy machine takes none of it
    loaded = load(f"{LECTURE / file}:{name}")
    assert time.process_time() - before < 2  # it takes 0.02 s; any of the trainings takes longer
    assert table(loaded).shape == (5, 5)
    model = factory_of(loaded)(7)
    assert isinstance(model, nn.Module)
    assert [tuple(each.shape) for each in model.parameters()] == [(7, 7)]
    assert capfd.readouterr() == ("", "")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("file", "name"), sorted((MODELS | FACTORIES).items()))
def test_with_the_text_at_hand_nothing_trains_either(file: str, name: str) -> None:
    Path("input.txt").write_text("To be, or not to be", encoding="utf-8")
    loaded = load(f"{LECTURE / file}:{name}")
    assert table(loaded).shape == (5, 5)
    assert [path.name for path in Path().iterdir()] == ["input.txt"]


def test_every_lecture_file_is_in_the_list_and_says_how_it_differs() -> None:
    files = {path.name for path in LECTURE.iterdir() if path.suffix in {".py", ".ipynb"}}
    assert files - {"sibling_layers.py"} == MODELS.keys() | FACTORIES.keys()
    for name in files - {"magics.ipynb", "version_3.ipynb"}:
        lines = (LECTURE / name).read_text(encoding="utf-8").splitlines()
        assert any(line.startswith("# ") for line in lines[:2]), name


def test_get_batch_comes_without_the_data_that_the_caller_supplies() -> None:
    supplied = ("vocab_size", "train_data", "val_data", "data", "block_size", "batch_size")
    target = f"{LECTURE / 'plain.py'}:BigramLanguageModel"
    loaded = load(target, also=["get_batch"], supplied=supplied)
    assert loaded.namespace["batch_size"] == 4  # not the training's 32
    assert "text" not in loaded.namespace
    assert [note for note in loaded.notes if "skipped" in note] == []
    loaded.namespace["train_data"] = torch.arange(20)
    x, y = loaded.namespace["get_batch"]("train")  # type: ignore[operator]  # what a script defines
    assert x.shape == (4, 8)
    assert torch.equal(x + 1, y)
    with pytest.raises(LoadError, match=r"train_data.*`train_data = data\[:n\]`.*input\.txt"):
        load(target, also=["get_batch"])


MAGICS = [(1, 2), (1, 3), (2, 4), (4, 12), (5, 1)]


def test_a_notebooks_earlier_cells_count_and_its_training_does_not() -> None:
    loaded = load(f"{LECTURE / 'magics.ipynb'}:BigramLanguageModel", also=["get_batch"])
    x, _ = loaded.namespace["get_batch"]("train")  # type: ignore[operator]  # what a script defines
    assert x.shape == (4, 8)
    assert loaded.notes[:2] == (
        "cell 3 was skipped: `%%bash` makes it no Python.",
        "5 lines are for a notebook only (% ! ?), and left out: "
        + "; ".join(f"cell {cell}, line {line}" for cell, line in MAGICS)
        + ".",
    )
    old = load(f"{LECTURE / 'version_3.ipynb'}:Bigram")
    assert old.notes[0] == "cell 3 was skipped: line 1 of it: expected ':'."
    assert old.namespace["temperature"] == 1.0
    assert old.notes[1:] == (
        "Bigram is defined 2 times; this is the last, cell 5, line 1.",
        "6 of 11 statements at the top level did not run: nothing that was asked for needs them.",
    )


def test_a_dict_is_filled_below_the_class_and_not_emptied_after_its_use() -> None:
    loaded = load(f"{LECTURE / 'text_in_text_out.py'}:BigramLanguageModel")
    assert len(loaded.namespace["stoi"]) == 27  # type: ignore[arg-type]
    model = call(loaded.value)
    assert len(model.say("abc", 5)) == 8  # type: ignore[attr-defined]


def test_free_functions_come_along() -> None:
    target = f"{LECTURE / 'trained_in_a_function.py'}:BigramLanguageModel"
    loaded = load(target, also=["softmax", "train_step"])
    probabilities = call(loaded.namespace["softmax"], torch.zeros(1, 4))
    assert torch.equal(torch.as_tensor(probabilities), torch.full((1, 4), 0.25))
    assert callable(loaded.namespace["train_step"])


def test_a_table_sized_by_another_global_says_what_would_bind_it() -> None:
    target = f"{LECTURE / 'sized_by_chars.py'}:Bigram"
    with pytest.raises(LoadError) as caught:
        load(target)
    message = str(caught.value)
    for part in (
        "n_tokens: line 9 (`n_tokens = len(chars)`)",
        "line 8 (`chars = sorted(set(text))`)",
        "line 6 (`with open('input.txt') as f:`)",
        "FileNotFoundError",
        "--define n_tokens=8",
    ):
        assert part in message
    loaded = load(target, define={"n_tokens": 65})
    with pytest.raises(FactoryError, match=r"(?s)global n_tokens.*bigram check .*:make_bigram"):
        factory_of(loaded)


def test_a_missing_import_matters_only_to_who_reads_it() -> None:
    target = f"{LECTURE / 'missing_sibling.py'}:TextBigram"
    with pytest.raises(LoadError, match=r"(?s)clean: line 6 .*my_text_tools.*clean=None"):
        load(target)
    assert table(load(target, define={"clean": None})).shape == (5, 5)


def test_settings_are_made_by_the_files_own_class_in_the_advice() -> None:
    loaded = load(f"{LECTURE / 'config_object.py'}:Bigram")
    with pytest.raises(FactoryError, match=r"BigramConfig\(vocab_size=vocab_size\)"):
        factory_of(loaded)


# Which statements run


def test_statements_run_as_far_as_they_are_needed(write: Write) -> None:
    path = write("""
        a = mark("a")
        unused = mark("unused")
        print(mark("print"))
        b, c = mark("b"), 2
        (d := mark("d"))
        e: int = mark("e")
        e += mark("e")
        with open(__file__) as file: f = mark("f")
        for g in [mark("g")]: pass
        try:
            import there_is_none
        except ImportError:
            h = mark("h")
        if True: i = mark("i")
        def j(x=mark("j")): return mark_late()
        def mark_late(): return k
        k = mark("k")
        class Base: mark("base")
        def decorate(cls): mark("decorate"); return cls
        @decorate
        class Model(Base):
            l = mark("class"), d
            def forward(self): return a, c, e, f, g, h, i, j, [x for x in range(3)]
            def other(self):
                unused = 1
                return unused
        after = Model()
        k = mark("again")
        while True: pass
    """)
    ran: list[str] = []

    def mark(name: str) -> str:
        ran.append(name)
        return name

    loaded = load(f"{path}:Model", define={"mark": mark})
    assert " ".join(ran) == "a b d e e f g h i j k base class decorate"
    assert loaded.notes == (
        "5 of 20 statements at the top level did not run: nothing that was asked for needs them.",
    )


def test_locals_and_comprehensions_name_no_globals(write: Write) -> None:
    path = write("""
        x = y = z = w = 1 / 0
        def make(n, x=3):
            y = [z for z in range(n)]
            def inner():
                nonlocal y
                y += [x]
                return (lambda w: w + len(y))(1)
            return inner()
    """)
    loaded = load(f"{path}:make")
    assert "skipped" not in " ".join(loaded.notes)
    assert call(loaded.value, 2) == 4


@pytest.mark.parametrize(
    "change",
    [
        "table['a'] = 1",
        "table.update(a=1)",
        "for key in ['a']: table[key] = 1",
        "view = table; view['a'] = 1",
        "def fill(d, v): d['a'] = v\nfill(table, 1)",
        "def fill(): table['a'] = 1\nfill()",
        "def fill():\n    global table\n    table = {'a': 1}\nfill()",
        "import random\nkeys = ['a']\nrandom.shuffle(keys)\ntable[keys[0]] = 1",
        "table |= {'a': 1}",
        "if True: table['a'] = 1",
    ],
)
@pytest.mark.parametrize("below", [True, False])
def test_changes_to_what_is_needed_are_needed(change: str, *, below: bool, write: Write) -> None:
    definition = "def make(n): return table['a']"
    if below and "global" not in change and "|=" not in change:
        parts = ["table = {}", definition, change, "make(3)", "table.clear()"]
    else:
        parts = ["table = {}", change, definition]
    assert call(load(f"{write(chr(10).join(parts))}:make").value, 3) == 1


def test_attributes_of_settings_are_set(write: Write) -> None:
    path = write("""
        import types
        config = types.SimpleNamespace(size=1)
        config.size = 8
        setattr(config, "depth", 2)
        def make(n): return config.size, config.depth
        def late(n): return settings.size
        settings = types.SimpleNamespace(size=1)
        settings.size = 9
        print(make(3), late(3))
        config.size = settings.size = 10
    """)
    assert call(load(f"{path}:make").value, 3) == (8, 2)
    assert call(load(f"{path}:late").value, 3) == 9


def test_a_patched_method_comes_along(write: Write) -> None:
    path = write("""
        class Model: pass
        def generate(self): return 7
        Model.generate = generate
    """)
    assert call(load(f"{path}:Model").value).generate() == 7  # type: ignore[attr-defined]


def test_the_last_definition_counts_and_those_before_it_do_not_run(write: Write) -> None:
    path = write("""
        log = []
        def make(n, _=log.append("first")): return n + one
        one = 1
        def make(n, _=log.append("second")): return n + two
        two = 2
    """)
    loaded = load(f"{path}:make")
    assert call(loaded.value, 1) == 3
    assert loaded.namespace["log"] == ["second"]
    assert "one" not in loaded.namespace


def test_what_a_needed_call_reads_is_bound_by_then(write: Write) -> None:
    path = write("""
        stoi = {}
        def encode(s): return [stoi[c] for c in s]
        stoi = {c: i for i, c in enumerate("abc")}
        data = encode("cab")
        stoi = None
        def make(n): return data
    """)
    assert call(load(f"{path}:make").value, 1) == [2, 0, 1]


def test_an_assignment_that_fails_leaves_its_forerunners_value(write: Write) -> None:
    path = write("""
        size = 65
        text = open("input.txt").read()
        size = len(text)
        def make(n): return size
    """)
    loaded = load(f"{path}:make")
    assert call(loaded.value, 1) == 65
    first, second, *_ = loaded.notes
    assert first.startswith('line 3 (`text = open("input.txt").read()`) was skipped: FileNotFound')
    assert second == (
        "line 4 (`size = len(text)`) was skipped: NameError: name 'text' is not defined."
    )


def test_what_is_done_with_a_model_is_no_change_of_its_class(write: Write) -> None:
    path = write("""
        class Model:
            def __init__(self, n): self.n = n
            def fit(self): loss.backward()
        loss = None
        model = Model(3)
        model.fit()
        model.n = 4
        Model(5).fit()
        for _ in range(9): model.fit()
    """)
    loaded = load(f"{path}:Model")
    assert "model" not in loaded.namespace
    assert "5 of 7 statements" in loaded.notes[0]


def test_a_name_defined_twice_is_the_last_one_and_that_is_said(write: Write) -> None:
    path = write("def make(n): return 1\ndef make(n): return 2\n")
    loaded = load(f"{path}:make")
    assert call(loaded.value, 1) == 2
    assert loaded.notes[0] == "make is defined 2 times; this is the last, line 2."


@pytest.mark.parametrize(
    "failing",
    [
        "size = exit(3)",
        "import sys; size = sys.exit()",
        "assert False\nsize = int('x')",
        "size = input('size? ')",
        "from nowhere_to_be_found import size",
        "size = undefined",
        "if __name__ == '__main__': size = 8",
        "for size in range(10**9): size.backward()",
        "def train(): loss.backward(); return 8\ndef main(): return train()\nsize = main()",
        "del size",
        "def set_size():\n    size = 8\nset_size()",
    ],
)
def test_what_fails_or_never_runs_is_named(failing: str, write: Write) -> None:
    path = write(f"{failing}\ndef make(n): return size")
    with pytest.raises(LoadError, match=r"(?s)size:.*--define size="):
        load(f"{path}:make")
    assert call(load(f"{path}:make", define={"size": 8}).value, 1) == 8


def test_a_defined_name_stays_and_nothing_runs_for_it(write: Write) -> None:
    path = write("""
        text = open("input.txt").read()
        size = len(text)
        size, depth = 1, 2
        def make(n): return size, depth
    """)
    loaded = load(f"{path}:make", define={"size": 8, "depth": 3})
    assert call(loaded.value, 1) == (8, 3)
    assert "text" not in loaded.namespace
    assert call(load(f"{path}:make", define={"size": 8}).value, 1) == (8, 2)


def test_a_supplied_name_is_bound_by_constants_only(write: Write) -> None:
    path = write("""
        size = 1 / int(0)
        depth = 2 * 4
        depth = slow()
        width: int = -3
        def make(n): return size, depth, width, height
    """)
    supplied = ("size", "depth", "width", "height")
    loaded = load(f"{path}:make", supplied=supplied)
    assert loaded.namespace.keys() & set(supplied) == {"depth", "width"}
    assert loaded.namespace["depth"] == 8
    assert "skipped" not in " ".join(loaded.notes)
    with pytest.raises(LoadError, match="size.*ZeroDivisionError"):
        load(f"{path}:make", supplied=["height"])


def test_star_imports_and_changed_paths_are_kept(write: Write, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "distant.py").write_text("FAR = 5", encoding="utf-8")
    path = write(f"""
        import sys
        sys.path.append({str(tmp_path / "lib")!r})
        from distant import *
        def make(n): return FAR + n
    """)
    assert call(load(f"{path}:make").value, 1) == 6


def test_each_of_several_imports_may_fail_alone(write: Write) -> None:
    path = write("""
        import nowhere_to_be_found, math
        def make(n): return math.sqrt(n)
    """)
    assert call(load(f"{path}:make").value, 9) == 3


def test_future_imports_hold_for_every_statement(write: Write) -> None:
    path = write("""
        from __future__ import annotations
        from dataclasses import dataclass, fields
        @dataclass
        class Settings:
            size: Unheard[of] = 8
            depth: int = 2
        def make(n: Nor[this]) -> Settings: return len(fields(Settings()))
    """)
    assert call(load(f"{path}:make").value, 1) == 2


def test_a_failing_definition_says_what_it_raised(write: Write) -> None:
    path = write("""
        class Model(NoBase): pass
        class Other:
            size = 1 / 0
        if __name__ == "__main__":
            class Guarded: pass
    """)
    with pytest.raises(LoadError, match=r"NoBase: nothing at the top level"):
        load(f"{path}:Model")
    with pytest.raises(LoadError, match=r"line 3 .*ZeroDivisionError"):
        load(f"{path}:Other")
    with pytest.raises(LoadError, match=r"line 5 .*__main__.*does not run"):
        load(f"{path}:Guarded")


def test_none_stands_for_a_supplied_name_in_a_default_and_nowhere_else(write: Write) -> None:
    path = write("""
        class Default:
            def __init__(self, vocab_size=vocab_size): self.size = vocab_size
        class Computed:
            size = 2 * vocab_size
    """)
    loaded = load(f"{path}:Default")
    assert "vocab_size" not in loaded.namespace
    assert "None for vocab_size" in loaded.notes[0]
    assert factory_of(loaded)(5).size == 5  # type: ignore[attr-defined]
    with pytest.raises(LoadError, match="vocab_size: nothing at the top level"):
        load(f"{path}:Computed")


# Surroundings


def test_arguments_files_and_folders_are_those_of_a_script(write: Write, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 3", encoding="utf-8")
    Path("here.txt").write_text("of the current folder", encoding="utf-8")
    path = write('''
        """What it is about."""
        import sys, os
        print("loud"), sys.stderr.write("loud")
        arguments, text, about = sys.argv, open("here.txt").read(), __doc__
        def make(n):
            from beside import VALUE
            return arguments, text, about, __file__, VALUE
    ''')
    before = list(sys.argv), os.getcwd()  # noqa: PTH109  the very string
    loaded = load(f"{path}:make")
    assert (sys.argv, os.getcwd()) == before  # noqa: PTH109  as above
    assert call(loaded.value, 1) == (
        [str(path)],
        "of the current folder",
        "What it is about.",
        str(path),
        3,
    )


def test_each_folder_has_its_own_siblings(tmp_path: Path) -> None:
    found = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my_layers.py").write_text(f"NAME = {folder!r}", encoding="utf-8")
        script = tmp_path / folder / "model.py"
        script.write_text("from my_layers import NAME\ndef make(n): return NAME", encoding="utf-8")
        found.append(load(f"{script}:make"))
    assert [call(loaded.value, 1) for loaded in found] == ["one", "two"]


def test_a_module_is_imported_from_the_current_folder() -> None:
    Path("my_package").mkdir()
    Path("my_package/__init__.py").touch()
    source = "print('loud')\nclass Model:\n    def forward(self): pass\nsize = 3\n"
    Path("my_package/my_module.py").write_text(source, encoding="utf-8")
    loaded = load("my_package.my_module:Model", also=["size"], define={"depth": 2})
    assert loaded.value is sys.modules["my_package.my_module"].Model
    assert loaded.namespace["size"] == 3
    assert loaded.namespace["depth"] == 2
    assert loaded.path is not None
    assert loaded.path.name == "my_module.py"
    with pytest.raises(LoadError, match=r"bigram check my_package\.my_module:Model"):
        load("my_package.my_module")
    with pytest.raises(LoadError, match="Did you mean Model"):
        load("my_package.my_module:Modle")
    with pytest.raises(LoadError, match=r"my_package\.no_module"):
        load("my_package.no_module:Model")
    Path("my_exit.py").write_text("raise SystemExit(2)", encoding="utf-8")
    with pytest.raises(LoadError, match=r"SystemExit: 2 .*my_exit\.py:Model"):
        load("my_exit:Model")


def test_importing_the_loader_does_not_import_torch() -> None:
    script = "import sys, reference.conformance.loading.load; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)  # noqa: S603  our own script


# Files that cannot be loaded


def test_without_a_name_the_candidates_are_listed(write: Write) -> None:
    path = write("""
        import torch.nn as nn
        class Head(nn.Module):
            def forward(self, x): return x
        class Model(Head):
            def generate(self): pass
        class Plain:
            def forward(self): pass
        class Dataset: pass
        def f():
            class Hidden(nn.Module): pass
    """)
    for target in (f"{path}", f"{path}:"):
        with pytest.raises(LoadError) as caught:
            load(target)
        assert "Model (line 5), Head (line 3), Plain (line 7)." in str(caught.value)
        assert str(caught.value).endswith(f"bigram check {path}:Model")
    path = write("x = 1")
    with pytest.raises(LoadError, match="no class that looks like a model"):
        load(str(path))


def test_an_unknown_name_is_held_against_those_there(write: Write) -> None:
    path = write("class BigramLanguageModel:\n    def forward(self): pass\n")
    with pytest.raises(LoadError, match=r"Did you mean BigramLanguageModel\?"):
        load(f"{path}:BigramLangaugeModel")
    with pytest.raises(LoadError, match=r"'get_batch'.*BigramLanguageModel \(line 1\)"):
        load(f"{path}:BigramLanguageModel", also=["get_batch"])


@pytest.mark.parametrize(
    ("name", "content", "pattern"),
    [
        ("gone.py", None, r"there is no file .*gone\.py"),
        ("gone/deep:Model", None, "there is no file"),
        (".", None, "is a folder"),
        ("a" * 300 + ".py:Model", None, "cannot be read: File name too long"),
        ("a/" * 3000 + "a:Model", None, "cannot be read: File name too long"),
        ("a\0b.py:Model", None, "cannot be read: embedded null byte"),
        ("/dev/null/a.py:Model", None, "cannot be read: Not a directory"),
        ("/dev/null:Model", None, "is not a regular file"),
        ("latin.py", "naïve = 1".encode("latin-1"), "byte 2 is 0xef"),
        ("two.py", b"x = 1\nprint 'hello'\n", "line 2: Missing parentheses"),
        ("top.py", b"x = 1\n\nreturn x\n", "line 3: 'return' outside function"),
        ("null.py", b"x = 1\0", "null byte"),
        ("deep.py", b"x = " + b"-" * 100_000 + b"1", "line 1: .*Error"),
        ("no.ipynb", b"{", "not JSON"),
        ("list.ipynb", b"[1]", "no list of cells"),
        ("data.ipynb", b'{"a": 1}', "no list of cells"),
        ("cell.ipynb", b'{"cells": [{"cell_type": "code"}]}', "no list"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_the_reason(
    name: str, content: bytes | None, pattern: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadError, match=pattern):
        load(f"{tmp_path / name}:Model" if ":" not in name else f"{tmp_path / name}")


def test_a_file_that_cannot_be_read_says_why(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = write("x = 1")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(LoadError, match=r"script\.py cannot be read: Permission denied"):
        load(f"{path}:x")


def test_the_name_of_a_module_that_is_too_long_is_none() -> None:
    with pytest.raises(LoadError, match="cannot be imported"):
        load("a" * 300 + ":Model")


def test_statements_are_shown_by_their_first_line_and_shortened(write: Write) -> None:
    fits, longer = f"e = missing.{'y' * 48}", f"e = missing.{'z' * 49}"
    path = write(f"""
        a = é = c = e = 0
        a = 1; é = (missing,
            2); c = missing   +  1
        {fits}
        {longer}
        def make(n): return a, é, c, e
    """)
    loaded = load(f"{path}:make")
    assert call(loaded.value, 1) == (1, 0, 0, 0)
    skipped = "was skipped: NameError: name 'missing' is not defined."
    assert loaded.notes == (
        f"line 3 (`é = (missing,`) {skipped}",
        f"line 4 (`c = missing + 1`) {skipped}",
        f"line 5 (`{fits}`) {skipped}",
        f"line 6 (`{longer[:57]}...`) {skipped}",
    )


def test_marks_and_line_ends_of_other_editors_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "windows.py"
    source = "\ufeffs = 'é'; size = 8\r\ndef make(n):\r\n    return size\r\n"
    path.write_bytes(source.encode())
    assert call(load(f"{path}:make").value, 1) == 8


def test_a_script_exported_from_a_notebook_keeps_its_magics(write: Write) -> None:
    path = write("""
        !pip install \\
            torch
        size = 8
        %timeit size
        names = !ls
        note = '''
        !kept
        '''
        if size:
            !ls
        def make(n): return size, note
    """)
    loaded = load(f"{path}:make")
    assert call(loaded.value, 1) == (8, "\n!kept\n")
    one = load(f"{write('!ls')}:make", define={"make": 1})
    assert one.notes[0] == "1 line is for a notebook only (% ! ?), and left out: line 1."
    assert loaded.notes[0] == (
        "4 lines are for a notebook only (% ! ?), and left out: line 2; line 5; line 6; line 11."
    )


def test_a_notebooks_places_are_cells(tmp_path: Path) -> None:
    cells = [
        "x = 1",
        "!ls \\",
        "y = 2\nsize = missing",
        "def (",
        "def make(n): return size, helper",
    ]
    book = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
    path = tmp_path / "dev.ipynb"
    path.write_text(json.dumps(book), encoding="utf-8")
    with pytest.raises(LoadError) as caught:
        load(f"{path}:make")
    assert "size: cell 3, line 2 (`size = missing`)" in str(caught.value)
    assert "cell 4 was skipped: line 1" in str(caught.value)  # it might have bound the helper
    loaded = load(f"{path}:make", define={"helper": 1, "size": 2})
    assert call(loaded.value, 1) == (2, 1)


# Factories

METHOD = """
class make:
    def __new__(cls): return cls.size()
    @staticmethod
    def size(): return (lambda: vocab_size)()
"""
WRAPPED = """
import functools
def wrap(f):
    @functools.wraps(f)
    def g(*a): return f(*a)
    return g
@wrap
def make(): return vocab_size
"""


@pytest.mark.parametrize(
    "source",
    [
        "def make(vocab_size): return vocab_size",
        "def make(n): return n",
        "def make(n, /): return n",
        "def make(*, V): return V",
        "def make(depth=2, *, n_vocab=65): return n_vocab",
        "def make(vocab_size=65): return vocab_size",
        "def make(): return vocab_size",
        "def make(depth=3, **more): return vocab_size",
        "VOCAB_SIZE = len(open('input.txt').read())\ndef make(): return VOCAB_SIZE",
        "vocab_size = 65\ndef make(): return size()\ndef size(): return vocab_size",
        "make = lambda: vocab_size",
        "import functools\ndef full(n, depth): return n\nmake = functools.partial(full, depth=2)",
        "def make(n): return vocab_size if vocab_size == n else None",
        "class Base:\n    def __new__(cls): return vocab_size\nclass make(Base): pass",
        METHOD,
        WRAPPED,
    ],
)
def test_a_factory_makes_any_size(source: str, write: Write) -> None:
    factory = factory_of(load(f"{write(source)}:make"))
    assert [factory(5), factory(7)] == [5, 7]


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        ("def make(): return 65", "takes no argument, and reads no global named vocab_size"),
        ("class make:\n    def f(self): return self.vocab_size", "takes no argument"),
        ("def make(config): pass", r"(?s)settings, config.*make_make\(.*config = Config\("),
        ("def make(model_args): pass", "settings, model_args"),
        ("def make(vocab_size, n_embd): pass", r"make\(vocab_size=vocab_size, n_embd=\.\.\.\)"),
        ("def make(n_embd, vocab_size=65): pass", "must be given n_embd"),
        ("make = 3", "make is a int; it must be a class"),
        ("class M:\n    def forward(self): pass\n    def __call__(self): pass\nmake = M()", "py:M"),
    ],
)
def test_what_makes_no_model_from_a_size_says_how_to(
    source: str, pattern: str, write: Write
) -> None:
    with pytest.raises(FactoryError, match=pattern):
        factory_of(load(f"{write(source)}:make"))


def test_what_wants_more_than_an_int_says_so_when_it_is_made(write: Write) -> None:
    for body in ("s.size", "s['size']", "len(s)"):
        factory = factory_of(load(f"{write(f'def make(s): return {body}')}:make"))
        with pytest.raises(FactoryError, match=r"(?s)wants something else.*config = Config\("):
            factory(5)
    factory = factory_of(load(f"{write('def make(s): return (lambda: 1).x')}:make"))
    with pytest.raises(AttributeError, match="no attribute 'x'"):
        factory(5)


def test_the_advice_fits_where_the_code_stands(tmp_path: Path) -> None:
    book = {"cells": [{"cell_type": "code", "source": "def make(config): pass"}]}
    (tmp_path / "dev.ipynb").write_text(json.dumps(book), encoding="utf-8")
    with pytest.raises(FactoryError, match=r"as the last cell of .*dev\.ipynb"):
        factory_of(load(f"{tmp_path / 'dev.ipynb'}:make"))
    source = "class ModelConfig: pass\ndef build(config): pass\n"
    Path("my_settings.py").write_text(source, encoding="utf-8")
    with pytest.raises(FactoryError) as caught:
        factory_of(load("my_settings:build"))
    assert "config = ModelConfig(vocab_size=vocab_size)" in str(caught.value)
    assert str(caught.value).endswith("bigram check my_settings:make")


def test_the_advice_can_be_followed(write: Write) -> None:
    source = "size = len(open('input.txt').read())\nclass Model:\n    def f(self): return size\n"
    with pytest.raises(FactoryError) as caught:
        factory_of(load(f"{write(source)}:Model", define={"size": 8}))
    advice = str(caught.value).split("\n\n")[1]
    factory = factory_of(load(f"{write(source + dedent(advice))}:make"))
    assert factory(5).f() == 5  # type: ignore[attr-defined]


# Definitions


def test_definitions_are_literals_or_text() -> None:
    assert parse_definition("block_size=8") == ("block_size", 8)
    assert parse_definition("rate = 1e-3") == ("rate", 1e-3)
    assert parse_definition("device=cpu") == ("device", "cpu")
    assert parse_definition("query=a=b") == ("query", "a=b")
    assert parse_definition("stoi={'a': 0}") == ("stoi", {"a": 0})
    assert parse_definition("text=") == ("text", "")


@pytest.mark.parametrize("text", ["block_size", "=8", "block size=8", "class=8", "1x=8", ""])
def test_a_definition_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(LoadError, match="defines"):
        parse_definition(text)
