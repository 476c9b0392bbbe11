"""Files that are complete or not there, names from files, and what a user calls an output."""

import errno
import os
import resource
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reference.cli import main as cli
from reference.conformance.reports.report_json import read_report
from reference.errors import (
    BigramError,
    FileNameError,
    InUseError,
    NotWrittenError,
    OutputError,
    reason,
)
from reference.files.atomic import (
    PARTIAL,
    check_can_append,
    check_outputs,
    inside,
    make_writable,
    only_writer,
    open_to_append,
    read_regular,
    remove_made,
    replacing,
    write_all,
)
from reference.files.text import read_text
from reference.runs.saved_model import check_can_save
from reference.tokens.format import read_small

# Names that come from a file


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "loss.mean-cross-entropy.json",
        "a",
        "_",
        "-",
        "a" * 100,
        "A.b_C-1",
        "console",
    ],
)
def test_a_plain_file_name_is_joined(name: str) -> None:
    assert inside(Path("folder"), name) == Path("folder") / name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "...", "../thesis.txt", "a/b", "a/", "/", "/etc/passwd", "./a"),
        *("a\\b", "..\\a", "\\\\host\\a", "C:", "C:a", "C:\\a", "a:stream", "~", "~root"),
        *("a\0b", "a\nb", "a\x1b[1mb", "a\x7f", "a b", "a ", "a.", ".a", "\u202ea", "caf\u00e9"),
        *("\ud800", "a" * 101, "nul", "NUL.json", "Con", "com1.txt", "a*", "a?"),
        *(None, 1, True, 1.5, b"a", ["a"], {"a": 1}, Path("a")),
    ],
    ids=repr,
)
def test_any_other_file_name_is_rejected(name: object) -> None:
    with pytest.raises(FileNameError, match="is not a plain file name"):
        inside(Path("folder"), name)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert read_regular(tmp_path / "file") == b"content"
    for name in ("link", "pipe", "."):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(tmp_path / name)


# Replacing


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "file").symlink_to("mine")
    with replacing(tmp_path / "file") as out:
        out.write(b"new")
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_link_in_place_of_the_partial_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f"file.{os.getpid()}{PARTIAL}").symlink_to("mine")
    with replacing(tmp_path / "file") as out:
        out.write(b"new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "new"


def test_the_longest_name_that_a_system_allows_is_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "\U0001f600" * 63):
        with replacing(tmp_path / name) as out:
            out.write(b"new")
        assert (tmp_path / name).read_text() == "new"


# Outputs


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file become larger, as on a disk that is full; Python ignores the signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_each_file_is_written_completely_or_not_at_all_and_the_error_says_which(
    tmp_path: Path,
) -> None:
    (tmp_path / "old.html").write_text("old")
    contents = {
        tmp_path / "large.xml": b"x" * 5000,
        tmp_path / "old.html": b"x" * 5000,
        tmp_path / "small.xml": b"x" * 5,
    }
    with full_disk(1000), pytest.raises(NotWrittenError) as raised:
        write_all(contents)
    assert str(raised.value).splitlines() == [
        f"{tmp_path / 'large.xml'} cannot be written: File too large",
        f"{tmp_path / 'old.html'} cannot be written: File too large",
        f"{tmp_path / 'small.xml'} was written",
    ]
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "old.html": "old",
        "small.xml": "xxxxx",
    }


def test_a_new_file_has_the_permissions_that_the_user_wants(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_all({tmp_path / "r.html": b"new"})
    finally:
        os.umask(old)
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o600


def test_links_stay_and_what_they_lead_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/old.html").write_text("old")
    (tmp_path / "second").symlink_to("there/old.html")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    (tmp_path / "new").symlink_to("there/new.xml")
    (tmp_path / "folder").symlink_to("there")
    files = {tmp_path / one: one.encode() for one in ("first", "new", "folder/in.html")}
    check_outputs({str(one): one for one in files}, [])
    write_all(files)
    assert all((tmp_path / one).is_symlink() for one in ("first", "second", "new", "folder"))
    assert {one.name: one.read_text() for one in (tmp_path / "there").iterdir()} == {
        "old.html": "first",
        "new.xml": "new",
        "in.html": "folder/in.html",
    }


def test_a_named_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_outputs({"--html": pipe}, [])
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_all({pipe: b"new"})
    reader.join()
    assert received == [b"new"]
    assert pipe.is_fifo()


def test_a_descriptor_is_written_to_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/fd")
    with (tmp_path / "file").open("wb") as out:
        out.write(b"before ")
        out.flush()
        for file in (Path(f"/dev/fd/{out.fileno()}"), tmp_path / f"link/{out.fileno()}"):
            check_outputs({"--html": file}, [])
            write_all({file: b"new "})
        out.write(b"after")
    assert (tmp_path / "file").read_text() == "before new new after"


def test_a_descriptor_that_cannot_be_written_to_is_rejected_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (tmp_path / "file").open("rb") as opened, pytest.raises(OutputError, match="Bad file"):
        check_outputs({"--html": Path(f"/dev/fd/{opened.fileno()}")}, [])
    for name in ("999999", "9" * 30):
        with pytest.raises(OutputError, match=f"/dev/fd/{name} cannot be written"):
            check_outputs({"--html": Path("/dev/fd") / name}, [])


@pytest.mark.parametrize("one", ["r.html", "old.html"])
@pytest.mark.parametrize(
    "other", ["SAME", "./SAME", "sub/../SAME", "link-SAME", "link/SAME", "hard-SAME", "UPPER"]
)
def test_two_outputs_may_not_be_one_file(tmp_path: Path, one: str, other: str) -> None:
    (tmp_path / "old.html").write_text("old")
    (tmp_path / "hard-old.html").hardlink_to(tmp_path / "old.html")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(".")
    (tmp_path / f"link-{one}").symlink_to(one)
    second = one.upper() if other == "UPPER" else other.replace("SAME", one)
    if second == "hard-r.html":
        pytest.skip("what does not exist has no second name")
    outputs = {"--junit": tmp_path / one, "--html": tmp_path / second}
    with pytest.raises(OutputError, match="--junit and --html name the same file"):
        check_outputs(outputs, [])
    outputs["--html"] = tmp_path / "different.html"
    check_outputs(outputs, [])


def test_an_input_is_not_an_output(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("mine")
    (tmp_path / "link.html").symlink_to("model.py")
    for name in ("model.py", "link.html"):
        with pytest.raises(OutputError, match=rf"--html names .*{name}, which is an input"):
            check_outputs({"--html": tmp_path / name, "--junit": None}, [tmp_path / "model.py"])


def test_what_is_no_file_is_rejected_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for name, obstacle in {
        ".": "is a folder",
        "missing/r.html": "there is no folder",
        "file/r.html": "Not a directory",
        "a" * 256: "File name too long",
        "a/" * 3000: "File name too long",
        "a\0b": "null byte",
        "loop": "Too many levels of symbolic links",
        "loop/r.html": "Too many levels of symbolic links|ymlink loop",
    }.items():
        with pytest.raises(OutputError, match=f"cannot be written: .*({obstacle})"):
            check_outputs({"--html": tmp_path / name}, [])
    assert not (tmp_path / "missing").exists()


def test_the_file_that_standard_output_goes_to_is_no_output(tmp_path: Path) -> None:
    out = os.dup(1)
    with (tmp_path / "out").open("wb") as opened:
        os.dup2(opened.fileno(), 1)
        try:
            with pytest.raises(OutputError, match="standard output goes there"):
                check_outputs({"--html": tmp_path / "out"}, [])
            check_outputs({"--html": Path("/dev/stdout")}, [])
        finally:
            os.dup2(out, 1)
            os.close(out)


# Files that lines are added to


def appended(file: Path, line: str) -> None:
    check_can_append(file)
    with open_to_append(file) as log:
        log.write(line)


def test_a_line_is_added_after_a_last_line_that_is_ended_if_it_was_not(tmp_path: Path) -> None:
    file = tmp_path / "new" / "log"
    appended(file, "a\n")
    appended(file, "b")
    appended(file, "c\n")
    assert file.read_text() == "a\nb\nc\n"


def test_a_file_in_a_folder_that_cannot_be_written_is_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    file.touch()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pytest.fail("it was tried"))
    appended(file, "a\n")
    assert file.read_text() == "a\n"


def test_a_file_that_may_be_written_and_not_read_is_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "log", Path.open
    file.write_text("a\n")

    def refuse(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "rb":
            raise PermissionError(13, "Permission denied")
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", refuse)
    appended(file, "b\n")
    monkeypatch.undo()
    assert file.read_text() == "a\nb\n"


def test_a_pipe_without_a_reader_is_rejected_and_one_with_a_reader_gets_all(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_can_append(pipe)
    with pytest.raises(OutputError, match=r"pipe cannot be written: no process reads from it"):
        open_to_append(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_can_append(pipe)  # which must not end what the reader reads
        with open_to_append(pipe) as log:
            assert os.get_blocking(log.fileno())
            log.write("a\n")
        assert os.read(reader, 9) == b"a\n"
    finally:
        os.close(reader)


@pytest.mark.parametrize("make", [os.pipe, lambda: [one.detach() for one in socket.socketpair()]])
def test_a_descriptor_is_added_to_whatever_it_is(make: Callable[[], Sequence[int]]) -> None:
    read, write = make()
    try:
        appended(Path(f"/dev/fd/{write}"), "a\n")
        assert os.read(read, 9) == b"a\n"
        with pytest.raises(OutputError, match="cannot be written"):
            check_can_append(Path(f"/dev/fd/{10**6}"))
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("name", ["", "missing/\0", "a" * 300, "loop/log"])
def test_what_cannot_be_added_to_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for call in (check_can_append, open_to_append):
        with pytest.raises(OutputError, match="cannot be written"):
            call(tmp_path / name)


# Folders


def test_the_folders_that_were_made_are_removed_and_no_others(tmp_path: Path) -> None:
    made = make_writable(tmp_path / "a/b/c")
    assert made == (tmp_path / "a/b/c", tmp_path / "a/b", tmp_path / "a")
    (tmp_path / "a/theirs").touch()
    with only_writer(tmp_path / "a/b/c"):
        remove_made(made)
    assert [one.name for one in (tmp_path / "a").iterdir()] == ["theirs"]
    assert make_writable(tmp_path / "a") == ()


def test_a_folder_that_holds_something_is_left_with_its_lock(tmp_path: Path) -> None:
    made = make_writable(tmp_path / "a")
    with only_writer(tmp_path / "a"):
        (tmp_path / "a/theirs").touch()
        remove_made(made)
    assert {one.name for one in (tmp_path / "a").iterdir()} == {".lock", "theirs"}


def test_only_half_written_files_of_the_locks_holder_are_removed(tmp_path: Path) -> None:
    (tmp_path / "run/kept").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run/link").symlink_to("../elsewhere")
    ours = {f"run/model.1{PARTIAL}", f"run/kept/step-7.22{PARTIAL}"}
    others = {
        f"run/page.html.1{PARTIAL}",
        f"run/model.old.1{PARTIAL}",
        f"run/model{PARTIAL}",
        f"run/kept/model.1{PARTIAL}",
        f"run/kept/step-7.old.1{PARTIAL}",
        f"elsewhere/step-7.1{PARTIAL}",
    }
    for name in ours | others:
        (tmp_path / name).touch()
    with only_writer(tmp_path / "run", writes=("model", "kept/step-[0-9]", "link/step-[0-9]")):
        left = {name for name in ours | others if (tmp_path / name).exists()}
    assert left == others


def test_what_another_command_is_writing_in_the_same_folder_or_below_is_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "run/tokens").mkdir(parents=True)
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 9)
    pages = [tmp_path / "run/page.html", tmp_path / "run/tokens/page.html"]
    with replacing(pages[0]) as one, replacing(pages[1]) as other:
        one.write(b"1")
        other.write(b"1")
        options = ["--data", str(text), "--out", str(tmp_path / "run")]
        for command in (["fit"], ["train", "--steps", "2", "--overwrite"]):
            with pytest.raises(SystemExit, match="^0$"):
                cli.main([*command, *options])
    assert [page.read_bytes() for page in pages] == [b"1", b"1"]


def test_a_lock_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/.lock").symlink_to("../mine")
    with (
        pytest.raises(OutputError, match=r"\.lock in it is a link"),
        only_writer(tmp_path / "folder"),
    ):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_that_only_has_the_locks_name_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("mine")
    with pytest.raises(OutputError, match=r"\.lock in it is not empty"), only_writer(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "mine"


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(InUseError), only_writer(tmp_path):
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "the disk is full", "/a"), "the disk is full"),
        (OSError(errno.ENOSPC, None), os.strerror(errno.ENOSPC)),
        (OSError("no number"), "no number"),
        (ValueError("embedded null byte"), "embedded null byte"),
        (PermissionError(), "PermissionError"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_reason_is_never_empty(error: Exception, words: str) -> None:
    assert reason(error) == words


@pytest.mark.parametrize(
    "call", [read_text, read_small, read_report, check_can_save, check_can_append]
)
def test_an_error_without_words_is_named_by_its_type(
    call: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError

    for name in ("open", "read_bytes", "exists"):
        monkeypatch.setattr(Path, name, fail)
    with pytest.raises(BigramError, match=r"cannot be (read|written): OSError\b"):
        call(tmp_path / "a.txt")
