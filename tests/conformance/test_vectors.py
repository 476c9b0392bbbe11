"""Vectors: every clause that can has some, they catch what they should, and no byte strays."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from reference.cli.main import main
from reference.conformance.pipe import messages
from reference.conformance.pipe.messages import RefusalError
from reference.conformance.vectors import errors, files
from reference.conformance.vectors.exact import Exact
from reference.conformance.vectors.machine import Machine
from reference.conformance.vectors.making import make
from reference.conformance.vectors.making.building import build, declared
from reference.conformance.vectors.oracle import ByOracle
from reference.conformance.vectors.playing import play
from reference.conformance.vectors.vector import Vector, compact, id_of
from reference.conformance.vectors.verifying import check_ours
from reference.files.sealed import seal, unseal
from reference.spec.catalogue import catalogue
from reference.spec.clause import Level

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/howto/vectors.md"
SHOWN = (
    "adds a billionth",
    "computes its probabilities at the first generate, and keeps them",
    "keeps the softmax of the table for the loss, with its graph",
)
"""Specimens whose mistake a check through the pipe sees."""
HIDDEN = "writes every answer into one buffer"
"""One whose mistake no message holds."""


@cache
def shipped() -> files.Folder:
    return files.read(files.SHIPPED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files.write(tmp_path / "vectors", files.shipped(), overwrite=False)
    return tmp_path / "vectors"


def find(clause: str, number: int = 0) -> Vector:
    return [one for one in shipped().vectors if one.clause == clause][number]


# What there is


def test_every_clause_has_vectors_or_one_reason_why_not() -> None:
    left_out = [name for group in shipped().manifest.left_out.values() for name in group["clauses"]]
    having = {vector.clause for vector in shipped().vectors}
    assert sorted([*having, *left_out]) == sorted(clause.id for clause in catalogue())


def test_no_choice_has_vectors_and_what_is_declared_is_what_is_left_out() -> None:
    for clause in catalogue():
        reason = declared(clause)
        assert (reason == "choice") == (clause.level is Level.CHOICE)
        if reason is not None:
            assert clause.id in shipped().manifest.left_out[reason]["clauses"]


def test_they_take_less_than_two_megabytes() -> None:
    assert sum(path.stat().st_size for path in files.SHIPPED.parent.rglob("*.json")) < 2e6


def test_making_them_again_gives_the_same_steps() -> None:
    some = [one for one in catalogue() if one.concept in {"softmax", "training"}]
    for built in build(some, make.kills()):
        assert built.vectors == tuple(
            one for one in shipped().vectors if one.clause == built.clause.id
        )


def test_each_fits_the_schema() -> None:
    schema = json.loads((files.SHIPPED / files.SCHEMA).read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for file in sorted(files.SHIPPED.glob("*.*.json")):
        if file.name != files.SCHEMA:
            validator.validate(json.loads(file.read_text()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda vector: vector.pop("why"),
        lambda vector: vector.update(id="loss.floor/xyz"),
        lambda vector: vector["steps"][0].pop("C"),
        lambda vector: vector["steps"][0].update(op="rest"),
        lambda vector: vector["steps"][2]["expect"].update(los={"value": 1}),
        lambda vector: vector["steps"][2]["expect"]["loss"].update(tolerance=-1),
        lambda vector: vector["steps"][2].update(repeat=1),
    ],
)
def test_the_schema_refuses_what_is_no_vector(spoil: Callable[[Any], object]) -> None:
    schema = json.loads((files.SHIPPED / files.SCHEMA).read_text())
    file = json.loads((files.SHIPPED / "loss.floor.json").read_text())
    spoil(file["vectors"][0])
    assert not Draft202012Validator(schema).is_valid(file)


def test_the_schema_has_the_questions_of_the_pipe() -> None:
    schema = json.loads((files.SHIPPED / files.SCHEMA).read_text())
    questions = messages.schema()["$defs"]["questions"]
    assert schema["$defs"]["steps"].keys() == questions.keys() - {"hello", "bye"}
    ours = {"repeat", "expect", "expect_with_uniforms"}
    for name, step in schema["$defs"]["steps"].items():
        asked = questions[name]["properties"].keys() - {"seq", "seed"}
        assert step["properties"].keys() - ours == asked


# What they catch


@pytest.mark.parametrize("which", [Exact, ByOracle])
def test_a_wrong_number_in_an_arithmetic_is_noticed(which: type) -> None:
    class Off(which):  # type: ignore[misc]  # one of two
        def loss(self, pairs: Any) -> float:
            return float(super().loss(pairs)) + 1e-4

    vector = find("loss.mean-cross-entropy", 2)
    assert play(vector, Machine(which())).kept
    assert not play(vector, Machine(Off())).kept


def test_a_vector_that_does_not_hold_is_refused() -> None:
    vector = find("loss.mean-cross-entropy", 2)
    steps = json.loads(compact(vector.steps))
    steps[2]["expect"]["loss"]["value"] += 0.01
    wrong = replace(vector, kills=(), steps=tuple(steps))
    with pytest.raises(errors.WrongVectorError, match=r"loss.mean-cross-entropy/\w+ .* step 2"):
        list(check_ours([wrong]))
    for step in steps:
        step.pop("expect", None)
    silent = replace(vector, kills=(), steps=tuple(steps))
    with pytest.raises(errors.WrongVectorError, match="says nothing of exact arithmetic"):
        list(check_ours([silent]))


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    sys.path.insert(0, str(HERE.parent / "mutants"))
    import vectors  # noqa: PLC0415  it is a script beside the specimens

    return vectors


@pytest.mark.filterwarnings("ignore")
def test_what_a_vector_cannot_catch_is_told_from_what_it_should(mutants: ModuleType) -> None:
    specimens = {one.name: one for one in mutants.specimens()}
    for name in SHOWN:
        assert mutants.seen_through_the_pipe(specimens[name])
    assert not mutants.seen_through_the_pipe(specimens[HIDDEN])
    assert not mutants.killed(specimens[HIDDEN], shipped().vectors)


def test_shipped_files_that_differ_from_those_made_are_reported(mutants: ModuleType) -> None:
    made = {name: (files.SHIPPED / name).read_bytes() for name in files.shipped()}
    assert not list(mutants.complaints(made))
    manifest = json.loads(made[files.MANIFEST])
    manifest["files"]["loss.floor.json"]["ids"].append("loss.floor/00000000")
    more = {**made, files.MANIFEST: json.dumps(manifest).encode()}
    (said,) = mutants.complaints(more)
    assert "loss.floor/00000000 is made and not shipped yet" in said
    manifest["files"]["loss.floor.json"]["ids"] = []
    (said, *_more) = mutants.complaints({**made, files.MANIFEST: json.dumps(manifest).encode()})
    assert re.search(r"loss\.floor/\w+ is shipped and no longer made", said)
    (said,) = mutants.complaints({**made, "loss.floor.json": b"{}"})
    assert said == "loss.floor.json: the same ids, other bytes; export again"


def test_what_they_are_said_to_catch_is_known() -> None:
    assert {vector.id: vector.kills for vector in shipped().vectors if vector.kills} == {
        name: tuple(kills) for name, kills in make.kills().items()
    }


# A verifier of one's own


def sample(name: str) -> str:
    """Take a file out of the page."""
    (text,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert isinstance(text, str)
    return text


def run(name: str) -> SimpleNamespace:
    names: dict[str, Any] = {}
    exec(sample(name), names)  # noqa: S102  our own page
    return SimpleNamespace(**names)


def test_the_verifier_of_the_page_is_short_and_needs_nothing() -> None:
    lines = sample("verifier.py").splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 50
    for text in (sample("verifier.py"), sample("my_bigram.py")):
        found = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
        assert found <= set(sys.stdlib_module_names)


class Their:
    """The page's model, asked by our verifier."""

    takes_uniforms = True

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def ask(self, operation: str, fields: Any) -> Any:
        try:
            return self._ask(operation, **fields)
        except Exception as error:
            raise RefusalError(str(error)) from error


def wrong_models(right: type) -> dict[str, type]:  # noqa: C901  nine small ones
    """Give models that are wrong in one way each."""

    class Summed(right):  # type: ignore[misc]  # from the page
        def loss(self, pairs: Any) -> Any:
            return super().loss(pairs) * len(pairs)

    class WrapsRound(right):  # type: ignore[misc]  # from the page
        def known(self, ids: Any) -> Any:
            return [token % self.C for token in ids["data"]]

    class Columns(right):  # type: ignore[misc]  # from the page
        def set_table(self, table: Any) -> Any:
            super().set_table(table)
            columns = zip(*self.table, strict=True)
            super().set_table({"data": [score for column in columns for score in column]})
            return {}

    class Greedy(right):  # type: ignore[misc]  # from the page
        def draw(self, token: int, u: float) -> Any:
            return super().draw(token, min(u, 0.5))

    class NotMoved(right):  # type: ignore[misc]  # from the page
        def get_batch(self, **fields: Any) -> Any:
            answer = super().get_batch(**fields)
            return {"x": answer["x"], "y": answer["x"]}

    class Shifted(right):  # type: ignore[misc]  # from the page
        def gradient(self, idx: Any, targets: Any) -> Any:
            answer = super().gradient(idx, targets)
            answer["gradient"]["data"] = [number + 1e-5 for number in answer["gradient"]["data"]]
            return answer

    class Nan(right):  # type: ignore[misc]  # from the page
        def softmax(self, logits: Any) -> Any:
            return {"probs": {"shape": logits["shape"], "data": [float("nan")] * 99}}

    class Nameless(right):  # type: ignore[misc]  # from the page
        def encode(self, corpus: str, text: str) -> Any:
            try:
                return super().encode(corpus, text)
            except ValueError:
                raise ValueError("no") from None

    class Silent(right):  # type: ignore[misc]  # from the page
        def forward(self, **fields: Any) -> Any:
            return {**super().forward(**fields), "loss": None}

    every = (Summed, WrapsRound, Columns, Greedy, NotMoved, Shifted, Nan, Nameless, Silent)
    return {one.__name__: one for one in every}


def test_the_verifier_of_the_page_agrees_with_ours_vector_by_vector() -> None:
    right, verifier = run("my_bigram.py").Bigram, run("verifier.py")
    for name, model in {"right": right, **wrong_models(right)}.items():
        theirs = set(verifier.failures(files.SHIPPED, lambda model=model: model().ask))
        ours = {
            vector.id
            for vector in shipped().vectors
            if play(vector, Their(model().ask)).mismatch is not None
        }
        assert theirs == ours, name
        assert bool(ours) == (name != "right")


# Damage


def spoil_flip(folder: Path) -> None:
    file = folder / "loss.floor.json"
    raw = bytearray(file.read_bytes())
    raw[700] ^= 1
    file.write_bytes(raw)


def spoil_manifest(folder: Path) -> None:
    file = folder / files.MANIFEST
    file.write_text(file.read_text().replace('"clauses": 68', '"clauses": 66'))


def spoil_version(folder: Path) -> None:
    file = folder / files.MANIFEST
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (spoil_flip, "loss.floor.json is damaged"),
        (
            lambda folder: (folder / "loss.floor.json").write_bytes(b"{"),
            "loss.floor.json has 1 bytes",
        ),
        (
            lambda folder: (folder / "loss.floor.json").unlink(),
            "loss.floor.json is missing",
        ),
        (
            lambda folder: (folder / "loss.flor.json").write_text("{}"),
            "loss.flor.json is not in manifest.json",
        ),
        (spoil_version, "has format 2; this version of bigram-reference reads 1"),
        (spoil_manifest, "its own digest differs"),
        (
            lambda folder: (folder / files.MANIFEST).write_text("["),
            "manifest.json is damaged",
        ),
        (
            lambda folder: (folder / files.MANIFEST).unlink(),
            "manifest.json cannot be read",
        ),
        (shutil.rmtree, "manifest.json cannot be read"),
    ],
)
def test_damage_is_refused_by_name(
    folder: Path, spoil: Callable[[Path], object], names: str
) -> None:
    assert files.read(folder).vectors == shipped().vectors
    spoil(folder)
    with pytest.raises(errors.VectorsError, match=re.escape(names)):
        files.read(folder)


def resealed(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the vectors of a file, and write a manifest in which it is sound."""
    file = folder / "loss.floor.json"
    written = json.loads(file.read_text())
    change(written["vectors"])
    raw = json.dumps(written).encode()
    file.write_bytes(raw)
    manifest = unseal((folder / files.MANIFEST).read_bytes())
    said = manifest["files"][file.name]
    said |= {"bytes": len(raw), "sha256": sha256(raw).hexdigest()}
    (folder / files.MANIFEST).write_bytes(seal(manifest))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda vectors: vectors[0].pop("why"), "holds no vectors as"),
        (lambda vectors: vectors[0].update(more=1), "holds no vectors as"),
        (lambda vectors: vectors[0].update(steps={}), "holds no vectors as"),
        (lambda vectors: vectors[0]["steps"][0].update(C=4), "not those of the id"),
        (lambda vectors: vectors.pop(), "other vectors than manifest.json says"),
    ],
)
def test_a_sound_folder_of_other_vectors_is_refused(
    folder: Path, change: Callable[[Any], object], names: str
) -> None:
    resealed(folder, lambda _vectors: None)
    files.read(folder)
    resealed(folder, change)
    with pytest.raises(errors.VectorsError, match=re.escape(names)):
        files.read(folder)


def sealed(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the manifest, and seal it again, as anyone can."""
    file = folder / files.MANIFEST
    manifest = unseal(file.read_bytes())
    change(manifest)
    file.write_bytes(seal(manifest))


OTHER = {"bytes": 4, "sha256": sha256(b"mine").hexdigest(), "ids": []}


@pytest.mark.parametrize(
    "name", ["../thesis.txt", "ABSOLUTE", "sub/thesis.txt", "sub\\thesis.txt", "..", "", "a\0b"]
)
def test_a_manifest_that_names_what_is_no_file_of_the_folder_is_rejected(
    folder: Path, name: str
) -> None:
    (folder / "sub").mkdir()
    theirs = [folder.parent / "thesis.txt", folder / "sub/thesis.txt"]
    for file in theirs:
        file.write_text("mine")
    name = str(theirs[0]) if name == "ABSOLUTE" else name
    sealed(folder, lambda manifest: manifest["files"].update({name: OTHER}))
    with pytest.raises(errors.VectorsError, match="not a plain file name"):
        files.read(folder)
    with pytest.raises(OSError, match="is not empty"):
        files.write(folder, files.shipped(), overwrite=False)
    files.write(folder, files.shipped(), overwrite=True)
    assert all(file.read_text() == "mine" for file in theirs)
    assert files.read(folder).vectors == shipped().vectors


def test_a_file_that_an_old_manifest_names_is_not_removed(folder: Path) -> None:
    (folder / "thesis.txt").write_text("mine")
    sealed(folder, lambda manifest: manifest["files"].update({"thesis.txt": OTHER}))
    for overwrite in (False, True):
        files.write(folder, files.shipped(), overwrite=overwrite)
        assert (folder / "thesis.txt").read_text() == "mine"


def test_a_link_in_a_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    names = ("loss.floor.json", files.SCHEMA, files.MANIFEST)
    for name in names:
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
        with pytest.raises(errors.VectorsError, match="not a regular file"):
            files.read(folder)
    mine = {name: (tmp_path / name).read_bytes() for name in names}
    files.write(folder, files.shipped(), overwrite=True)
    assert files.read(folder).vectors == shipped().vectors
    (tmp_path / "loss.floor.json").write_text("mine")
    assert files.read(folder).vectors == shipped().vectors
    assert not any((folder / name).is_symlink() for name in names)
    assert all((tmp_path / name).read_bytes() == mine[name] for name in names[1:])


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("files"),
        lambda manifest: manifest.update(files=[]),
        lambda manifest: manifest["files"].update({"a.json": 1}),
        lambda manifest: manifest["files"].update({"a.json": {**OTHER, "bytes": "4"}}),
        lambda manifest: manifest["files"].update({"a.json": {**OTHER, "sha256": None}}),
        lambda manifest: manifest["files"].update({"a.json": {**OTHER, "ids": "x"}}),
        lambda manifest: manifest["files"].update({"a.json": {**OTHER, "ids": [1]}}),
        lambda manifest: manifest.update(contract=1),
        lambda manifest: manifest.update(left_out=[]),
        lambda manifest: manifest.update(left_out={"choice": 1}),
    ],
)
def test_a_sealed_manifest_of_a_different_form_is_rejected(
    folder: Path, change: Callable[[Any], object]
) -> None:
    sealed(folder, change)
    with pytest.raises(errors.VectorsError, match="not written by `bigram vectors export`"):
        files.read(folder)
    files.write(folder, files.shipped(), overwrite=True)
    assert files.read(folder).vectors == shipped().vectors


# Writing


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OSError, match="thesis.txt"):
        files.write(tmp_path, files.shipped(), overwrite=False)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == ["thesis.txt"]
    files.write(tmp_path, files.shipped(), overwrite=True)
    assert files.read(tmp_path).vectors
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_vector_is_never_lost(folder: Path) -> None:
    fewer = {**files.shipped()}
    manifest = unseal(fewer[files.MANIFEST])
    del fewer["loss.floor.json"], manifest["files"]["loss.floor.json"]
    fewer[files.MANIFEST] = seal(manifest)
    with pytest.raises(errors.LostVectorsError, match=r"loss.floor/\w+.*raise VERSION"):
        files.write(folder, fewer, overwrite=True)
    assert files.read(folder).vectors == shipped().vectors


def test_what_a_vector_is_called_follows_from_its_steps() -> None:
    vector = find("loss.floor")
    assert vector.id == id_of(vector.clause, vector.steps)
    changed = json.loads(compact(vector.steps))
    changed[2]["expect"]["loss"]["tolerance"] *= 2
    assert vector.id != id_of(vector.clause, tuple(changed))


# The command


def test_the_command_says_what_is_wrong_and_its_exit_code_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "reference", "vectors", "verify", str(folder), "--json"]
    # It checks each by exact arithmetic, the oracle and the reference, without shape checks.
    ended = subprocess.run(command, check=True, capture_output=True)  # noqa: S603  our own command
    said = json.loads(ended.stdout)
    assert said == {"ok": True, "vectors": 650, "contract": shipped().manifest.contract}
    spoil_flip(folder)
    with pytest.raises(SystemExit) as stopped:
        main(["vectors", "verify", str(folder)])
    assert stopped.value.code == 2
    assert "loss.floor.json is damaged" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("option", ["--subject", "--command", "--engine", "--timeout"])
def test_a_model_is_not_judged_by_verify(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["vectors", "verify", option, "1"])
    assert ended.value.code == 2
    assert "Check a model with `bigram check`" in capsys.readouterr().err.replace("\n", " ")
