"""The runner of the pages' samples: it finds each one, and lets no wrong or stray one pass."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("sybil", reason="the samples are run where the site is built")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import pooch
from spec_site import samples
from spec_site.samples import Page

ROOT = Path(__file__).parents[2]
RIGHT = "right.md"


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A page that must fail; `tells` are to be read in what is said about it."""

    page: str
    tells: tuple[str, ...]


def fence(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", ""])


PRINTS = fence("python", "print('one')")
LINE_3 = "line 3"
WRONG = {
    "raises": Wrong(
        page="# A page\n\n" + fence("python", "x = 1", "x / 0"),
        tells=("ZeroDivisionError", "raises.md:5"),
    ),
    "names_of_another_page": Wrong(
        page=fence("python", "print(shared)"), tells=("NameError", "names_of_another_page.md:2")
    ),
    "prints_something_else": Wrong(
        page=PRINTS + fence("text", "two"), tells=("line 4", "Expected:\n    two\nGot:\n    one")
    ),
    "prints_more": Wrong(
        page=fence("python", "print('one')", "print('two')") + fence("text", "one"),
        tells=("line 5", "Got:\n    one\n    two"),
    ),
    "prints_true_for_1": Wrong(
        page=fence("python", "print(True)") + fence("text", "1"), tells=("line 4", "Got:\n    True")
    ),
    "prints_without_text": Wrong(
        page="\n\n" + PRINTS, tells=(LINE_3, "It printed, and no text fence follows it:\none")
    ),
    "prints_before_another_sample": Wrong(
        page="\n\n" + PRINTS + PRINTS + fence("text", "one"), tells=(LINE_3, "no text fence")
    ),
    "text_after_silence": Wrong(
        page=fence("python", "x = 1") + fence("text", "...", "one"),
        tells=("line 4", "printed nothing"),
    ),
    "text_after_an_error": Wrong(
        page=fence("python", "1 / 0") + fence("text", "one"), tells=("line 4", "come to its end")
    ),
    "text_alone": Wrong(page="\n\n" + fence("text", "one"), tells=(LINE_3, "no python sample")),
    "text_twice": Wrong(
        page=PRINTS + fence("text", "one") * 2, tells=("line 7", "no python sample")
    ),
    "text_that_anything_matches": Wrong(
        page=PRINTS + fence("text", "..."), tells=("line 4", "any output would match")
    ),
    "unknown_language": Wrong(
        page="\n\n" + fence("rust", "fn main() {}"), tells=(LINE_3, "```rust")
    ),
    "no_language": Wrong(page="\n\n" + fence("", "x = 1"), tells=(LINE_3, "stray")),
    "four_backticks": Wrong(page="\n\n````python\nx\n````\n", tells=(LINE_3, "````python")),
    "more_than_a_language": Wrong(page="\n\n```python x\nx\n```\n", tells=(LINE_3, "```python x")),
    "in_a_list_item": Wrong(page="\n\n- ```python\n  x\n  ```\n", tells=(LINE_3, "- ```python")),
    "never_closed": Wrong(page="\n\n```python\nx = 1\n", tells=(LINE_3, "never closed")),
    "tildes": Wrong(page="\n\n~~~python\nx = 1\n~~~\n", tells=(LINE_3, "~~~python")),
    "tildes_with_a_directive": Wrong(page="\n\n~~~{note}\nx\n~~~\n", tells=(LINE_3, "~~~{note}")),
    "colons": Wrong(page="\n\n:::python\nx = 1\n:::\n", tells=(LINE_3, ":::python")),
    "indented": Wrong(page="A.\n\n    x = 1\n", tells=(LINE_3, "indented")),
    "indented_in_a_directive": Wrong(
        page=fence("{note}", "A.", "", "    x = 1"), tells=("line 4", "indented")
    ),
    "code_block": Wrong(
        page="\n\n" + fence("{code-block} python", "x = 1"), tells=(LINE_3, "{code-block}")
    ),
    "doctest_by_colons": Wrong(
        page="\n\n:::{doctest}\n>>> 1\n1\n:::\n", tells=(LINE_3, "{doctest}")
    ),
    "code_block_in_a_directive": Wrong(
        page="````{note}\nA.\n\n" + fence("{code-block} python", "x = 1") + "````\n",
        tells=("line 4", "{code-block}"),
    ),
    "fence_that_closes_its_directive": Wrong(
        page="```{note}\nA.\n```python\nx = 1\n```\n", tells=(LINE_3, "do not agree")
    ),
    "code_in_restructuredtext": Wrong(
        page="\n\n" + fence("{eval-rst}", ".. code-block:: python", "", "   x = 1"),
        tells=(LINE_3, "reStructuredText"),
    ),
    "literal_block_in_restructuredtext": Wrong(
        page="\n\n" + fence("{eval-rst}", "So::", "", "   x = 1"),
        tells=(LINE_3, "reStructuredText"),
    ),
    "console_prints_something_else": Wrong(
        page=fence("console", "$ true", "$ echo one", "two"),
        tells=("line 3: $ echo one", "Expected:\n    two\nGot:\n    one"),
    ),
    "console_prints_more": Wrong(
        page=fence("console", "$ echo one; echo two >&2", "one"),
        tells=("line 2: ", "Got:\n    one\n    two"),
    ),
    "console_fails": Wrong(
        page=fence("console", "$ (exit 3)", "$ true"), tells=("line 2: $ (exit 3)", "Exit code 3")
    ),
    "console_fails_with_another_code": Wrong(
        page=fence("console", "$ (exit 3)", "$ echo $?", "4"),
        tells=("line 3: $ echo $?", "Expected:\n    4\nGot:\n    3"),
    ),
    "console_fails_and_shows_no_code": Wrong(
        page=fence("console", "$ (exit 3)", "$ echo $?"), tells=("line 2: ", "Exit code 3")
    ),
    "console_leaves": Wrong(
        page=fence("console", "$ exit 0", "$ echo one", "one"), tells=("line 2: ", "not run to its")
    ),
    "console_without_a_command": Wrong(
        page="\n\n" + fence("console", "bigram spec"), tells=(LINE_3, "begin with a command")
    ),
    "yaml_that_does_not_parse": Wrong(
        page="\n\n" + fence("yaml", "# a.yaml", "a: [1"), tells=(LINE_3, "a.yaml does not parse")
    ),
    "toml_that_does_not_parse": Wrong(
        page="\n\n" + fence("toml", "# a.toml", "a = "), tells=(LINE_3, "a.toml does not parse")
    ),
    "yaml_without_a_name": Wrong(
        page="\n\n" + fence("yaml", "a: 1"), tells=(LINE_3, "names no file")
    ),
    "yaml_named_outside_of_the_folder": Wrong(
        page="\n\n" + fence("yaml", "# ../a.yaml", "a: 1"), tells=(LINE_3, "names no file")
    ),
    "file_that_is_not_python": Wrong(
        page="\n\n" + fence("python", "# mine.py", "x =") + fence("console", "$ cat mine.py"),
        tells=(LINE_3, "mine.py does not parse"),
    ),
    "file_that_nobody_uses": Wrong(
        page="\n\n" + fence("python", "# mine.py", "x = 1") + PRINTS + fence("text", "one"),
        tells=(LINE_3, "mine.py is written, and no later sample uses it"),
    ),
    "javascript_without_a_name": Wrong(
        page="\n\n" + fence("javascript", "const x = 1;"), tells=(LINE_3, "names no file")
    ),
    "javascript_that_nobody_uses": Wrong(
        page="\n\n" + fence("javascript", "// mine.mjs", "const x = 1;"),
        tells=(LINE_3, "mine.mjs is written, and no later sample uses it"),
    ),
    "install_in_a_page": Wrong(
        page="\n\n" + fence("sh", "python3.11 -m venv .venv"), tells=(LINE_3, ".ci/run")
    ),
}

RIGHT_PAGE = (
    fence("python", "# mine.py", "def one():", "    return 'one'")
    + fence("python", "from mine import one", "shared = one()", "print(shared, '  ')", "print(2)")
    + fence("text", "one", "...")
    + fence("python", "# mine.py", "def one():", "    return 'another'")
    + fence("python", "from mine import one", "open('left.txt', 'w').close()", "print(one())")
    + fence("text", "an...er")
    + fence("yaml", "# .github/workflows/x.yml", "a: [1]")
    + fence("toml", "# x.toml", "a = 1")
    + fence("javascript", "// mine.mjs", "console.log('theirs');")
    + "- An item.\n\n"
    + "  ```console\n  $ word=two; ls -A\n  .github\n  ...\n  x.toml\n"
    + "  $ echo one \\\n      $word\n  one two\n  $ (exit 3)\n  $ echo $?\n  3\n"
    + "  $ python -c 'import mine, sys; print(sys.prefix)'\n"
    + f"  {sys.prefix}\n  $ cat mine.mjs\n  // mine.mjs\n  console.log('theirs');\n"
    + "  $ echo not compared >&2\n"
    + "  $ printf 'no end of line'; echo $NO_COLOR $COLUMNS $TERM\n"
    + "  no end of line1 80 dumb\n  ```\n\n"
    + "````{note}\n"
    + fence("python", "print('    as it stands')")
    + fence("text", "    as it stands")
    + "````\n"
    + fence("{literalinclude} ../x.py")
    + fence("{math}", "x", "", "    + y")
    + fence("{eval-rst}", ".. toctree::", "", "   x")
)
RIGHT_SAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What is said of each page that failed, and how many samples of each page passed."""

    failed: Mapping[str, str]
    passed: Mapping[str, int]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own runner
        [sys.executable, "-m", "pytest", "-c", ROOT / "docs/pytest.ini", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def run_pages(folder: Path, *arguments: str) -> Ran:
    """Run the pages of a folder; a page goes by its path in it."""
    report = folder / "report.xml"
    done = run(f"--rootdir={folder}", f"--junit-xml={report}", *arguments, folder)
    assert report.exists(), done.stdout + done.stderr
    failed: dict[str, str] = {}
    passed: dict[str, int] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  our own report
        told = "\n".join(part.text or "" for part in case)
        page = re.sub(r"\.", "/", case.get("classname") or case.get("name") or "")
        page = page.removesuffix("/md")
        if told:
            failed[page] = failed.get(page, "") + told
        else:
            passed[page] = passed.get(page, 0) + 1
    return Ran(failed=failed, passed=passed)


def listed(folder: Path) -> set[str]:
    """Every file below a folder that a run could leave there."""
    skipped = {".git", ".venv", "node_modules", "__pycache__"}
    return {
        str(path) for path in folder.rglob("*") if not skipped & set(path.parts) and path.is_file()
    }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("pages")
    for name, wrong in WRONG.items():
        (folder / f"{name}.md").write_text(wrong.page, encoding="utf-8")
    (folder / RIGHT).write_text(RIGHT_PAGE, encoding="utf-8")
    before = listed(folder)
    result = run_pages(folder, "--continue-on-collection-errors")
    assert listed(folder) - before == {str(folder / "report.xml")}
    return result


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_page_fails_and_says_where(ran: Ran, name: str) -> None:
    assert name in ran.failed
    for told in WRONG[name].tells:
        assert told in ran.failed[name]


def test_a_right_page_passes(ran: Ran) -> None:
    assert "right" not in ran.failed
    assert ran.passed["right"] == RIGHT_SAMPLES


def test_what_a_page_draws_moves_no_other(tmp_path: Path) -> None:
    page = fence(
        "python",
        "import torch",
        "from pathlib import Path",
        "start = torch.get_rng_state().numpy().tobytes()",
        "torch.rand(8)",
        f"(Path({str(tmp_path)!r}) / 'NAME').write_bytes(start)",
    )
    for name in ("first", "second"):
        (tmp_path / f"{name}.md").write_text(page.replace("NAME", name), encoding="utf-8")
    assert not run_pages(tmp_path).failed
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Page]:
    monkeypatch.setattr(samples, "REAL_TEXT", tmp_path / "tinyshakespeare.txt")
    new = Page()
    yield new
    new.ending.close()


def test_tiny_shakespeare_is_where_a_download_would_be_kept(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tinyshakespeare.txt").write_text("First Citizen", encoding="utf-8")
    assert page.environment("bigram walkthrough") == {}
    for name, value in page.environment("bigram walkthrough --data tinyshakespeare").items():
        monkeypatch.setenv(name, value)
    kept = Path(pooch.os_cache("bigram-reference")) / "tinyshakespeare.txt"
    assert kept.read_text(encoding="utf-8") == "First Citizen"
    assert not kept.is_relative_to(page.folder)


def test_without_tiny_shakespeare_a_sample_of_it_is_skipped(page: Page) -> None:
    assert page.environment("bigram walkthrough") == {}
    with pytest.raises(pytest.skip.Exception, match="is not at"):
        page.environment("bigram walkthrough --data tinyshakespeare")


COMMAND = "python3.11 -m venv .venv && .venv/bin/pip install . && .venv/bin/nox"
CI = "command=$(grep -E '^python3\\.11 -m venv' README.md)\n  bash -c \"$command\"\n"


@pytest.mark.parametrize(
    ("script", "commands", "told"),
    [
        (CI, COMMAND, None),
        (CI, f"{COMMAND}\n{COMMAND}", "one command"),
        (CI, "pip install .", "takes this from the page"),
        (CI.replace("3\\.11", "3\\.12"), COMMAND, "takes this from the page"),
        (CI.replace("README.md", "NOTES.md"), COMMAND, "takes this from the page"),
        (CI.replace("command=", "# command="), COMMAND, "takes this from the page"),
        (CI.replace("bash", "# bash"), COMMAND, "never runs it"),
    ],
)
def test_an_installing_command_is_one_that_ci_runs(
    tmp_path: Path, script: str, commands: str, told: str | None
) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text(script, encoding="utf-8")
    (tmp_path / "README.md").write_text(fence("sh", commands), encoding="utf-8")
    failed = run_pages(tmp_path).failed
    if told is None:
        assert not failed
    else:
        assert told in failed["README"]


def test_every_fence_of_the_site_and_the_readme_is_a_sample() -> None:
    left_out = {"notes", "node_modules", "_build", "_static"}
    pages = [ROOT / "README.md"]
    pages += [page for page in ROOT.glob("docs/**/*.md") if not left_out & set(page.parts)]
    fences: Counter[str] = Counter()
    for page in pages:
        found = re.findall(r"^\s*```\w", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        fences[str(page.relative_to(ROOT))] = len(found)
    done = run(f"--rootdir={ROOT}", "--collect-only", "-q", "docs", "README.md")
    assert done.returncode == 0, done.stdout
    collected = re.findall(r"^(.+)::line:", done.stdout, flags=re.MULTILINE)
    # For whoever asks what is covered.
    print(f"{fences.total()} fences on {len(pages)} pages, {len(collected)} samples")  # noqa: T201  both counts are to be read
    assert Counter(collected) == fences  # a page without any counts as 0
    assert fences["README.md"] > 0
