"""What is fuzzed: each function takes bytes, makes files of them, and holds what is read to them.

Each tells what came of it: that the file was accepted, or who refused it and with what words. Any
other end, such as an exception that is not of the package, a message that is not one printable
line, or a file accepted that is not what was written, is a crash.
"""

import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import zstandard
from fuzz_json import dumped
from rich.console import Console

from reference.conformance.reports.comparison import compare
from reference.conformance.reports.comparison_json import to_json as comparison_to_json
from reference.conformance.reports.comparison_page import to_html
from reference.conformance.reports.comparison_terminal import print_comparison
from reference.conformance.reports.report_json import (
    ReportError,
    read_report,
    to_json as report_to_json,
)
from reference.conformance.verdicts import Report, Result, Verdict
from reference.corpus import Corpus
from reference.errors import (
    BigramError,
    CheckpointError,
    EmptyError,
    ModelFileError,
    OutputError,
    TextFileError,
    TokenFileError,
    TooShortError,
)
from reference.files import text as text_input
from reference.files.sealed import seal, unseal
from reference.model import BigramLanguageModel
from reference.notes import train_length
from reference.runs.checkpoint import (
    Checkpoint,
    Run,
    fingerprint,
    load_checkpoint,
    restore_generator,
    save_checkpoint,
)
from reference.runs.saved_model import load_model, save_model
from reference.spec.clause import Level
from reference.tokens import (
    folder as token_files,
    format as manifests,
    prepare as preparing,
    writer,
)
from reference.tokens.format import DTYPES, Manifest, Source, read_manifest, smallest_dtype
from reference.tokens.load import load_corpus
from reference.tokens.prepare import prepare
from reference.training import TrainConfig

T = TypeVar("T")

ACCEPTED = "accepted"
UNUSABLE = "no input for this target"

TEXT = "hello w\u00f6rld"
CORPUS = Corpus.from_text(TEXT)
C = len(CORPUS.vocabulary)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What takes the inputs, what they begin from, and whether they are JSON."""

    run: Callable[[bytes], str]
    seeds: list[bytes]
    is_json: bool = False
    max_len: int = 4096


def attempt(
    call: Callable[[], T], kinds: tuple[type[BigramError], ...], *names: Path
) -> tuple[str, T | None]:
    """Give what a reader gives, or with what it refuses; all but its own kinds of error is raised.

    Raises: AssertionError where the message is not one printable line that has one of the names.
    """
    try:
        return ACCEPTED, call()
    except kinds as error:
        message = str(error)
        assert message.isprintable(), message
        assert any(str(name) in message for name in names), message
        for name in names:
            message = message.replace(str(name), name.name)
        words = re.sub(r"\d[\d,]*", "#", message)
        return f"{type(error).__name__}: {words[:48]}", None


def bits(tensor: torch.Tensor) -> tuple[torch.dtype, torch.Size, bytes]:
    """Give all that two tensors of the same bits have in common."""
    return tensor.dtype, tensor.shape, tensor.numpy().tobytes()


# Models and checkpoints


def parts(raw: bytes) -> tuple[dict[str, str], dict[str, Any], bytes]:
    """Take a safetensors file apart: its metadata, its tensors' places, their bytes."""
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    return header.pop("__metadata__"), header, raw[8 + size :]


def joined(name: str, text: str, places: Any, data: bytes) -> bytes:
    """Write a safetensors file, with the digest that the package would write of it."""
    digest = hashlib.sha256(text.encode("utf-8", "replace"))
    for _name, place in sorted(places.items()) if isinstance(places, dict) else ():
        with suppress(KeyError, TypeError, ValueError):
            begin, end = place["data_offsets"]
            digest.update(data[begin:end])
    metadata = {name: text, "sha256": digest.hexdigest()}
    is_dict = isinstance(places, dict)
    header = dumped({"__metadata__": metadata, **places} if is_dict else places).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


def tensor_targets(
    what: str, file: Path, read: Callable[[bytes], str], *, is_whole: Callable[[], None]
) -> Iterator[tuple[str, Target]]:
    """Fuzz a file of tensors by its bytes; and with a right digest by its JSON and its tensors."""
    whole = file.read_bytes()
    metadata, places, data = parts(whole)
    (name,) = metadata.keys() - {"sha256"}

    def from_bytes(content: bytes) -> str:
        told = read(content)
        if told == ACCEPTED:
            is_whole()
        return told

    def from_header(content: bytes) -> str:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return UNUSABLE
        return read(joined(name, text, places, data))

    def from_tensors(content: bytes) -> str:
        try:
            found = json.loads(content)
            digits = re.sub("[^0-9a-f]", "", str(found["data"]))
            held = bytes.fromhex(digits[: len(digits) // 2 * 2])
            made = joined(name, metadata[name], found["places"], held)
        except (KeyError, TypeError, ValueError, RecursionError):
            return UNUSABLE
        return read(made)

    yield (
        what,
        Target(run=from_bytes, seeds=[whole, b"", b"\x08\0\0\0\0\0\0\0[[[[[[[["], max_len=9000),
    )
    deep = [b"[" * 5000, b'{"format":' * 900]
    header = Target(run=from_header, seeds=[metadata[name].encode(), *deep], is_json=True)
    yield f"{what}-header", header
    seeds = [json.dumps({"places": places, "data": data.hex()}).encode()]
    yield f"{what}-tensors", Target(run=from_tensors, seeds=seeds, is_json=True, max_len=30_000)


def model_targets(folder: Path) -> Iterator[tuple[str, Target]]:
    """Fuzz model.safetensors."""
    torch.manual_seed(1)
    made = BigramLanguageModel(C)
    file = save_model(made, CORPUS.vocabulary, folder, about={"loss": 2.5, "of": ["a", None]})

    was = loaded = load_model(folder)

    def load() -> None:
        nonlocal loaded
        loaded = load_model(folder)
        table = loaded.model.token_embedding_table.weight
        assert table.shape == (len(loaded.vocabulary),) * 2
        assert bool(table.isfinite().all())
        assert type(loaded.about) is dict

    def read(content: bytes) -> str:
        file.write_bytes(content)
        return attempt(load, (ModelFileError,), file)[0]

    def is_whole() -> None:
        assert (loaded.vocabulary, loaded.about) == (was.vocabulary, was.about)
        table, kept = (one.model.token_embedding_table.weight for one in (loaded, was))
        assert bits(table.detach()) == bits(kept.detach())

    yield from tensor_targets("model", file, read, is_whole=is_whole)


def checkpoint_targets(folder: Path) -> Iterator[tuple[str, Target]]:
    """Fuzz a checkpoint, and its generator's state."""
    generator = torch.Generator().manual_seed(2)
    table, mean, square = torch.randn((3, C, C), generator=generator)
    was = Checkpoint(
        run=Run.of(CORPUS, TrainConfig(), seed=3, engine="reference"),
        step=7,
        table=table,
        mean=mean,
        square=square.abs(),
        generators={"batches": generator.get_state()},
        notes={"curve": {"points": [[1, 2.5, 2.25]]}},
    )
    file = save_checkpoint(was, folder)
    loaded = was

    def load() -> None:
        nonlocal loaded
        loaded = load_checkpoint(file)
        run = loaded.run
        assert type(run.seed) is type(loaded.step) is int
        assert type(run.engine) is type(run.corpus) is type(run.fingerprint) is str
        assert type(loaded.notes) is dict
        for one in (loaded.table, loaded.mean, loaded.square):
            assert one.shape == (len(run.vocabulary),) * 2
            assert one.is_floating_point()
        for name, state in loaded.generators.items():
            assert (state.dtype, state.ndim) == (torch.uint8, 1)
            restore_generator(torch.Generator(), loaded, name, file)

    def read(content: bytes) -> str:
        file.write_bytes(content)
        return attempt(load, (CheckpointError,), file)[0]

    def is_whole() -> None:
        assert (loaded.run, loaded.step, loaded.notes) == (was.run, was.step, was.notes)
        for name in ("table", "mean", "square"):
            assert bits(getattr(loaded, name)) == bits(getattr(was, name)), name
        assert loaded.generators.keys() == was.generators.keys()
        for name, state in was.generators.items():
            assert bits(loaded.generators[name]) == bits(state), name

    yield from tensor_targets("checkpoint", file, read, is_whole=is_whole)


# Reports


def report_targets(folder: Path) -> Iterator[tuple[str, Target]]:
    """Fuzz a report of a check, and show those that are accepted in a comparison."""
    results = (
        Result(id="loss.x", level=Level.MUST, verdict=Verdict.FAIL, sentence="", case={"C": [2]}),
        Result(id="loss.y", level=Level.CHOICE, verdict=Verdict.PASS, sentence="", seen="refused"),
        Result(id="batch.x", level=Level.MUST, verdict=Verdict.SKIP, sentence="", cause="no part"),
    )
    whole = Report(
        subject="m.py:M",
        contract="1.0",
        profile="bigram",
        seed=0,
        planned=3,
        clauses=results,
        notes=("a note",),
    )
    file = folder / "report.json"

    def run(content: bytes) -> str:
        file.write_bytes(content)
        told, report = attempt(lambda: read_report(file), (ReportError,), file)
        if report is not None:
            comparison = compare([whole, report])
            json.dumps(comparison_to_json(comparison), allow_nan=False).encode()
            assert "<script" not in to_html(comparison, ())
            shown = io.StringIO()
            print_comparison(Console(file=shown, width=60), comparison, sentences={})
            assert shown.getvalue().replace("\n", "").isprintable()
        return told

    seeds = [json.dumps(report_to_json(whole)).encode(), b"[" * 3000, b'{"a": 1, "a": 2}']
    yield "report", Target(run=run, seeds=seeds, is_json=True)


# Folders of tokens


def write_folder(folder: Path, vocabulary: bytes, C: int, tokens: bytes) -> Manifest:
    """Write a folder as `prepare` does, with a manifest that goes with whatever it holds."""
    dtype, step = smallest_dtype(C), manifests.PIECE
    N = len(tokens) // DTYPES[dtype].itemsize
    digests = manifests.PieceDigests()
    digests.update(memoryview(tokens)[: N * DTYPES[dtype].itemsize])
    manifest = Manifest(
        version="0.1.0",
        tokens=N,
        train_tokens=train_length(N),
        dtype=dtype,
        vocab_size=C,
        vocabulary_sha256=hashlib.sha256(vocabulary).hexdigest(),
        pieces=digests.all(),
        sources=(Source(name="text.txt", bytes=9, characters=9),),
    )
    assert len(manifest.pieces) == -(-N * DTYPES[dtype].itemsize // step)
    (folder / "vocabulary.json").write_bytes(vocabulary)
    (folder / "tokens.bin").write_bytes(tokens)
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    return manifest


def open_folder(folder: Path) -> tuple[str, Corpus | None]:
    """Open a folder, first without its digests, then with them; where both work, use it."""
    with suppress(TokenFileError):
        _ = fingerprint(load_corpus(folder, verify=False))
    told, corpus = attempt(lambda: load_corpus(folder), (TokenFileError,), folder)
    if corpus is not None:
        _ = fingerprint(corpus)
        for tokens in (corpus.train, corpus.val):
            assert not len(tokens) or int(tokens.int().max()) < len(corpus.vocabulary)
            assert not len(tokens) or int(tokens.int().min()) >= 0
    return told, corpus


def text_of(corpus: Corpus) -> str:
    """Give the text back of which a corpus was made."""
    return corpus.vocabulary.decode(torch.cat([corpus.train.int(), corpus.val.int()]))


def folder_targets(folder: Path) -> Iterator[tuple[str, Target]]:  # noqa: PLR0915  four of them
    """Fuzz each of the files of a prepared folder."""
    vocabulary = json.dumps(CORPUS.vocabulary.characters).encode()
    tokens = bytes(CORPUS.train.tolist() + CORPUS.val.tolist())
    was = write_folder(folder, vocabulary, C, tokens)
    whole = was.to_bytes()

    def manifest_from_bytes(content: bytes) -> str:
        (folder / "manifest.json").write_bytes(content)
        told, _corpus = open_folder(folder)
        assert (told == ACCEPTED) == (content == whole)
        return told

    def manifest_from_body(content: bytes) -> str:
        try:
            fields = json.loads(content)
            raw = seal(fields)
        except (TypeError, ValueError, RecursionError):
            return UNUSABLE
        file = folder / "manifest.json"
        file.write_bytes(raw)
        told, found = attempt(lambda: read_manifest(file), (TokenFileError,), file)
        if found is not None:
            check_types(found)
            assert found.to_bytes() == raw
        opened, corpus = open_folder(folder)
        if corpus is not None:
            assert found is not None
            assert text_of(corpus) == TEXT
        return opened if told == ACCEPTED else told

    def vocabulary_from_bytes(content: bytes) -> str:
        wanted = characters_in(content)
        size = min(len(wanted), 2**16) if wanted else C
        count = np.zeros(9, DTYPES[smallest_dtype(size)])
        write_folder(folder, content, size, count.tobytes())
        told, corpus = open_folder(folder)
        assert (corpus.vocabulary.characters if corpus else None) == wanted
        return told

    big = {size: json.dumps("".join(map(chr, range(1, size + 1)))).encode() for size in (7, 300)}

    def tokens_from_bytes(content: bytes) -> str:
        mode, content = content[:1], content[1:]
        if not mode or mode[0] % 4 == 0:  # with the manifest of other tokens
            (folder / "vocabulary.json").write_bytes(vocabulary)
            (folder / "manifest.json").write_bytes(whole)
            (folder / "tokens.bin").write_bytes(content)
            told, _corpus = open_folder(folder)
            assert (told == ACCEPTED) == (content == tokens)
            return told
        size = 7 if mode[0] % 4 == 1 else 300
        dtype = DTYPES[smallest_dtype(size)]
        write_folder(folder, big[size], size, content)
        told, corpus = open_folder(folder)
        here = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
        is_good = not len(content) % dtype.itemsize and bool((here < size).all())
        assert (told == ACCEPTED) == is_good
        if corpus is not None:
            assert np.array_equal(torch.cat([corpus.train, corpus.val]).numpy(), here)
        return told

    yield (
        "manifest",
        Target(run=manifest_from_bytes, seeds=[whole, b"[" * 3000, b"{}", b"1" * 5000]),
    )
    bodies = [json.dumps(unseal(whole)).encode()]
    yield "manifest-body", Target(run=manifest_from_body, seeds=bodies, is_json=True)
    strings = [vocabulary, b'"abc"', b'"\\ud800"', b'"\\ud83d\\ude00"', b"[" * 3000, big[300]]
    yield "vocabulary", Target(run=vocabulary_from_bytes, seeds=strings)
    stored = [b"\0" + tokens, b"\1" + tokens, b"\2" + bytes(range(20)), b"\2\0\1"]
    yield "tokens", Target(run=tokens_from_bytes, seeds=stored, max_len=256)


def check_types(manifest: Manifest) -> None:
    """Hold each field to its annotation, which a dataclass does not."""
    fields = asdict(manifest)
    sizes = [fields.pop(name) for name in ("tokens", "train_tokens", "vocab_size")]
    texts = [fields.pop(name) for name in ("version", "dtype", "vocabulary_sha256")]
    texts += fields.pop("pieces")
    for source in fields.pop("sources"):
        texts.append(source["name"])
        sizes += [source["bytes"], source["characters"]]
    assert not fields
    assert all(type(size) is int and size >= 0 for size in sizes), sizes
    assert all(type(text) is str for text in texts), texts


def characters_in(content: bytes, *, is_json: bool = True) -> str | None:
    """Give the vocabulary that a file holds, or nothing where it holds none."""
    try:
        text = content.decode()
        found = json.loads(text) if is_json else text
        found.encode()
    except (AttributeError, ValueError, RecursionError):
        return None
    is_sorted = all(one < other for one, other in pairwise(found))
    return found if isinstance(found, str) and found and is_sorted else None


def nanogpt_targets(folder: Path) -> Iterator[tuple[str, Target]]:
    """Fuzz each of the files of nanoGPT's folder; the first byte says which."""
    good = {
        "train.bin": np.array([0, 1, 2] * 5, "<u2").tobytes(),
        "val.bin": np.array([2, 1], "<u2").tobytes(),
        "vocabulary.txt": "ab\u00fc".encode(),
    }
    names = [*good, "vocabulary.json"]

    def run(content: bytes) -> str:
        if not content:
            return UNUSABLE
        number, content = content[0] % 4, content[1:]
        (folder / "vocabulary.json").unlink(missing_ok=True)
        for name, kept in good.items():
            (folder / name).write_bytes(kept)
        (folder / names[number]).write_bytes(content)
        told, corpus = open_folder(folder)
        if number < 2:
            tokens = np.frombuffer(content[: len(content) // 2 * 2], "<u2")
            is_good = not len(content) % 2 and bool((tokens < 3).all())
            if corpus is not None:
                assert np.array_equal((corpus.train, corpus.val)[number].numpy(), tokens)
        else:
            wanted = characters_in(content, is_json=number == 3)
            is_good = wanted is not None and len(wanted) >= 3
            assert corpus is None or corpus.vocabulary.characters == wanted
        assert (told == ACCEPTED) == is_good
        return told

    seeds = [bytes([number]) + kept for number, kept in enumerate(good.values())]
    yield "nanogpt", Target(run=run, seeds=[*seeds, b'\3"abc"', b'\3"\\ud800"'], max_len=256)


# Preparing


class Stop(Exception):  # noqa: N818  no error, but what ends a run from outside
    """Ends a `prepare`, as a kill would."""


def small_steps() -> None:
    """Let a few bytes be as much as many megabytes are elsewhere."""
    for module in (manifests, token_files, writer):
        vars(module)["PIECE"] = 16
    vars(preparing)["SAVE_EVERY"] = 8
    vars(text_input)["CHUNK"] = 8
    vars(preparing)["CHUNK"] = 8
    vars(preparing)["BEGINNING"] = 1


def emptied(folder: Path) -> None:
    """Remove the files in a folder."""
    for file in folder.iterdir():
        file.unlink()


def state_targets(folder: Path) -> Iterator[tuple[str, Target]]:  # noqa: C901  two in one
    """Fuzz prepare.json between two runs, the first of which ends anywhere."""
    small_steps()
    texts = ["hello, w\u00f6rld, hello, ", "\u4e16\u754c and the rest of it"]
    inputs = [folder / "one.txt", folder / "two.txt"]
    for file, text in zip(inputs, texts, strict=True):
        file.write_text(text, encoding="utf-8")
        os.utime(file, (1, 1))
    wanted = Corpus.from_text("".join(texts))
    out = folder / "out"
    out.mkdir()
    stages = list(interrupted(inputs, out))
    assert len(stages) > 9

    def run(stage: int, content: bytes) -> str:
        emptied(out)
        for name, kept in stages[stage % len(stages)].items():
            (out / name).write_bytes(kept)
        (out / "prepare.json").write_bytes(content)
        kinds = (OutputError, TextFileError, EmptyError, TooShortError)
        told, _manifest = attempt(lambda: prepare(inputs, out), kinds, *inputs, out)
        if told != ACCEPTED:
            return told
        assert {file.name for file in out.iterdir()} <= {*RESULT, ".lock"}
        opened, corpus = open_folder(out)
        if corpus is not None:
            # Whoever makes the digest right can name other characters for tokens already written,
            # which shows only in the text. All else is found out.
            is_same = fingerprint(corpus) == fingerprint(wanted)
            assert is_same or corpus.vocabulary != wanted.vocabulary
        return opened

    def from_bytes(content: bytes) -> str:
        if not content:
            return UNUSABLE
        told = run(content[0], content[1:])
        if told == ACCEPTED:
            assert fingerprint(load_corpus(out)) == fingerprint(wanted)
        return told

    def from_body(content: bytes) -> str:
        try:
            fields = json.loads(content.replace(b"FOLDER", str(folder).encode()))
            stage = fields.pop("stage")
            raw = seal(fields)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            return UNUSABLE
        return run(stage if type(stage) is int else 0, raw)

    seeds, bodies = [], []
    for number, stage in enumerate(stages):
        raw = stage["prepare.json"]
        seeds.append(bytes([number]) + raw)
        body = json.dumps({"stage": number, **unseal(raw)})
        bodies.append(body.replace(str(folder), "FOLDER").encode())
    yield "state", Target(run=from_bytes, seeds=seeds)
    yield "state-body", Target(run=from_body, seeds=bodies, is_json=True)


RESULT = {"manifest.json", "tokens.bin", "vocabulary.json"}


def interrupted(inputs: list[Path], out: Path) -> Iterator[Mapping[str, bytes]]:
    """Give what is in the folder after each chunk of each step."""
    for last in range(1, 1000):
        told = 0

        def progress(*_: object, last: int = last) -> None:
            nonlocal told
            told += 1
            if told == last:
                raise Stop

        emptied(out)
        try:
            prepare(inputs, out, progress=progress)
        except Stop:
            kept = {file.name: file.read_bytes() for file in out.iterdir()}
            if "prepare.json" in kept:
                yield kept
        else:
            return


def decompressed(content: bytes) -> bytes | None:
    """Decompress all members of a file at once, or give nothing where it is damaged."""
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"\x28\xb5\x2f\xfd"):
            found = b""
            while content:
                frame = zstandard.ZstdDecompressor().decompressobj()
                found += frame.decompress(content)
                if not frame.eof:
                    return None
                content = frame.unused_data
            return found
    except (EOFError, OSError, zlib.error, zstandard.ZstdError):
        return None
    return content


def text_targets(folder: Path) -> Iterator[tuple[str, Target]]:  # noqa: C901  three in one
    """Fuzz what is to be prepared: text as it stands, and both kinds of compression."""
    small_steps()
    source, out = folder / "text", folder / "out"
    out.mkdir()
    packers: dict[str, Callable[[bytes], bytes]] = {
        "text": bytes,
        "gzip": lambda raw: gzip.compress(raw, 1, mtime=0),
        "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    }

    def run(content: bytes) -> str:
        source.write_bytes(content)
        emptied(out)
        kinds = (TextFileError, EmptyError, TooShortError)
        told, _manifest = attempt(lambda: prepare([source], out), kinds, source)
        wanted: str | None = None
        if (raw := decompressed(content)) is not None:
            with suppress(UnicodeDecodeError):
                wanted = raw.decode().removeprefix("\ufeff")
        if wanted is not None and ("\0" in wanted or train_length(len(wanted)) < 2):
            wanted = None
        assert (told == ACCEPTED) == (wanted is not None)
        names = {file.name for file in out.iterdir()} - {".lock"}
        assert names == (RESULT if wanted is not None else set())
        if wanted is not None:
            corpus, same = load_corpus(out), Corpus.from_text(wanted)
            assert corpus.vocabulary == same.vocabulary
            assert torch.equal(corpus.train.long(), same.train)
            assert torch.equal(corpus.val.long(), same.val)
            assert fingerprint(corpus) == fingerprint(same)
        return told

    def target(kind: str) -> Callable[[bytes], str]:
        pack = packers[kind]

        def one(content: bytes) -> str:
            mode, content = content[:1], content[1:]
            if not mode or mode[0] % 4 == 0 or kind == "text":
                return run(content)
            half = len(content) // 2
            match mode[0] % 4:
                case 1:
                    return run(pack(content))
                case 2:  # two members
                    return run(pack(content[:half]) + pack(content[half:]))
                case _:  # one that ends too early, or with something behind it
                    cut = mode[0] // 4
                    return run((pack(content) + b"\0\0a" + pack(b""))[: cut * 2 or None])

        return one

    plain = [
        "hello w\u00f6rld",
        "\ufeffabc\r\n",
        "\u4e16\u754c\U0001f600" * 4,
        "".join(map(chr, range(1, 300))),
        "ab\0c",
    ]
    for kind, pack in packers.items():
        seeds = [bytes([mode]) + text.encode() for mode in (1, 2, 3, 83) for text in plain]
        seeds += [b"\0" + pack(text.encode()) for text in plain]
        yield kind, Target(run=target(kind), seeds=seeds, max_len=1024)


MAKERS: dict[str, Callable[[Path], Iterator[tuple[str, Target]]]] = {
    "model": model_targets,
    "model-header": model_targets,
    "model-tensors": model_targets,
    "checkpoint": checkpoint_targets,
    "checkpoint-header": checkpoint_targets,
    "checkpoint-tensors": checkpoint_targets,
    "report": report_targets,
    "manifest": folder_targets,
    "manifest-body": folder_targets,
    "vocabulary": folder_targets,
    "tokens": folder_targets,
    "nanogpt": nanogpt_targets,
    "state": state_targets,
    "state-body": state_targets,
    "text": text_targets,
    "gzip": text_targets,
    "zstd": text_targets,
}
"""What makes each target, in a folder of its own."""
