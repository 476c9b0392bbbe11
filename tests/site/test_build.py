"""The site tells the whole contract and the whole of the notes; where it does not, no site."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from building import Copy

pytest.importorskip("sphinx", reason="nox -s site installs it")
from bs4 import BeautifulSoup, Tag
from spec_site import notes

from reference.spec.catalogue import catalogue


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} holds no {old!r} to break"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_deleting_the_page_of_a_clause_fails_the_build(broken: Copy) -> None:
    (broken.docs / "spec/softmax.md").unlink()
    done = broken.build()
    assert done.returncode != 0
    assert "the clause softmax.sum has no page" in done.stderr
    assert "erratum 9 has no page" in done.stderr
    assert "no page quotes line 200 of the notes" in done.stderr


def test_renaming_a_clause_fails_the_build(broken: Copy) -> None:
    # One that no other clause needs, or the catalogue itself would be refused.
    edit(broken.root / "reference/spec/clauses/softmax.py", '"softmax.pure"', '"softmax.leaves"')
    done = broken.build()
    assert done.returncode != 0
    assert "there is no clause 'softmax.pure'" in done.stderr
    assert "the clause softmax.leaves has no page" in done.stderr


BREAKS = {
    "a page cites a clause that there is not": (
        ("docs/errata.md", "# The errata", "# The errata\n\n{clause}`loss.nothing`"),
        "reference target not found: loss.nothing",
    ),
    "a clause has two homes": (
        ("docs/clauses.md", "# The clauses", "# The clauses\n\n```{clauses}\nloss.floor\n```"),
        "clause loss.floor has two homes",
    ),
    "a clause has its home twice on a page": (
        ("docs/spec/logits.md", "```{clauses}", "```{clauses}\nforward.logits.shape"),
        "clause forward.logits.shape has two homes: spec/logits and spec/logits",
    ),
    "no page quotes a line of the notes": (
        ("docs/spec/imports.md", "{notes} 7-17", "{notes} 7-16"),
        "no page quotes line 17 of the notes",
    ),
    "a quotation names code that there is not": (
        ("docs/spec/loss.md", ":code:", ":code: reference.model.nothing"),
        "reference target not found: reference.model.nothing",
    ),
    "an answer's line is not what was printed": (
        ("docs/spec/generate.md", ":output: no targets", ":output: some targets"),
        "is no line of the answer's output",
    ),
    "a question has no answer": (
        ("docs/spec/targets.md", ":::{audit} 300", ":::{audit} 301"),
        "question 4, in line 300 of the notes, has no answer",
    ),
    "an erratum has no page": (
        ("docs/spec/seeding.md", "{errata} 13", "{errata} 12"),
        "erratum 13 has no page",
    ),
    "a page is out of step with the others": (
        ("docs/spec/class.md", "## Shapes", "## Sizes"),
        "spec/class has the sections",
    ),
    "a formula cannot be set": (
        ("docs/spec/index.md", "The letters", "$$ \\nosuchcommand{x} $$\n\nThe letters"),
        "nosuchcommand",
    ),
    "a picture is not there": (
        ("docs/questions.md", "# The ten", "```{picture} nothing\nA caption.\n```\n\n# The ten"),
        "nothing",
    ),
    "a link leads nowhere": (
        ("docs/mindmap.md", "# The mind map", "# The mind map\n\n[a link](nowhere.md)"),
        "nowhere.md",
    ),
    "a public name is undocumented": (
        ("reference/spec/randomness.py", "def seed_all", "def nameless(): ...\n\n\ndef seed_all"),
        "reference.spec.randomness.nameless",
    ),
}


@pytest.fixture(scope="module")
def complaints(copy: Copy) -> str:
    """Break one thing on each of many pages, and give what the build says of them all."""
    for (file, old, new), _message in BREAKS.values():
        edit(copy.root / file, old, new)
    (copy.root / "reference/newcomer.py").write_text('"""A module."""\n', encoding="utf-8")
    done = copy.build()
    (copy.root / "reference/newcomer.py").unlink()
    copy.restore()
    assert done.returncode != 0
    return done.stderr


def test_the_build_fails_where_a_module_is_neither_public_nor_internal(complaints: str) -> None:
    assert "reference.newcomer" in complaints


@pytest.mark.parametrize("what", BREAKS)
def test_the_build_fails_where(what: str, complaints: str) -> None:
    assert BREAKS[what][1] in complaints


@pytest.fixture(scope="module")
def pages(copy: Copy) -> dict[str, BeautifulSoup]:
    done = copy.build()
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {
        path.relative_to(copy.html).as_posix(): BeautifulSoup(
            path.read_text(encoding="utf-8"), "html.parser"
        )
        for path in sorted(copy.html.rglob("*.html"))
    }


def links(pages: dict[str, BeautifulSoup]) -> Iterator[tuple[str, str]]:
    for name, page in pages.items():
        for link in page.find_all("a", href=True):
            yield name, str(link["href"])
    for link in map_links(pages):
        yield "mindmap.html", str(link["href"])


def map_nodes(pages: dict[str, BeautifulSoup]) -> Iterator[Tag]:
    data = pages["mindmap.html"].find(id="mindmap-data")
    assert data is not None
    branches = [json.loads(data.text)["root"]]
    while branches:
        branch = branches.pop()
        branches += branch["children"]
        yield BeautifulSoup(branch["content"], "html.parser")


def map_links(pages: dict[str, BeautifulSoup]) -> list[Tag]:
    return [link for node in map_nodes(pages) for link in node.find_all("a")]


def test_every_link_leads_to_a_place_that_is_there(
    pages: dict[str, BeautifulSoup], copy: Copy
) -> None:
    ids = {name: {str(tag["id"]) for tag in page.find_all(id=True)} for name, page in pages.items()}
    dead = []
    checked = 0
    for name, href in links(pages):
        if urlsplit(href).scheme:
            continue
        target, place = urldefrag(urljoin(name, href) if not href.startswith("#") else name + href)
        checked += 1
        if target not in pages and not place and (copy.html / target).is_file():
            continue  # a file to be taken away, as an example's
        if target not in pages or (place and unquote(place) not in ids[target]):
            dead.append((name, href))
    assert checked > 1000
    assert not dead


def test_nothing_is_fetched_from_another_host(pages: dict[str, BeautifulSoup]) -> None:
    for name, page in pages.items():
        fetched = [str(tag["src"]) for tag in page.find_all(src=True)]
        fetched += [str(tag["href"]) for tag in page.find_all("link", href=True)]
        assert not [where for where in fetched if urlsplit(where).netloc], name


def test_every_picture_says_what_is_to_be_seen(pages: dict[str, BeautifulSoup]) -> None:
    pictures = [picture for page in pages.values() for picture in page.find_all("figure")]
    assert len(pictures) >= 9
    for picture in pictures:
        images = picture.find_all("img")
        assert [image["class"][-1] for image in images] == ["only-light", "only-dark"]
        assert all(len(str(image["alt"])) >= 60 for image in images)
        assert picture.find("figcaption") is not None


def rows(pages: dict[str, BeautifulSoup], section: str) -> list[list[str]]:
    found = pages["matrix.html"].find(id=section)
    assert found is not None
    body = found.find("tbody")
    assert isinstance(body, Tag)
    return [
        [cell.get_text(strip=True) for cell in row.find_all("td")] for row in body.find_all("tr")
    ]


def test_the_matrix_has_every_clause_and_no_empty_cell(pages: dict[str, BeautifulSoup]) -> None:
    table = rows(pages, "every-clause")
    assert [row[1] for row in table] == [clause.id for clause in catalogue(None)]
    assert all(all(row) and len(row) == 5 for row in table)
    assert not [row for row in table if row[3].startswith("0 ")]


def test_the_matrix_has_every_line_of_the_notes(pages: dict[str, BeautifulSoup]) -> None:
    table = rows(pages, "every-line-of-the-notes")
    assert [row[0] for row in table] == [f"line {node.line}" for node in notes.nodes()]
    assert all(all(row) and len(row) == 5 for row in table)


def test_every_node_of_the_map_leads_to_its_page_code_and_clauses(
    pages: dict[str, BeautifulSoup],
) -> None:
    leads = [[str(link["class"][0]) for link in node.find_all("a")] for node in map_nodes(pages)]
    assert len(leads) == len(notes.nodes())
    for kinds in leads:
        assert kinds[0] == "mm-text"
        assert {"mm-code", "mm-clause"} == set(kinds[1:])


def test_every_word_of_the_notes_is_quoted_once(pages: dict[str, BeautifulSoup]) -> None:
    quoted = [item for page in pages.values() for item in page.select("blockquote.notes li")]
    found = {int(str(item["id"]).removeprefix("notes-L")): item for item in quoted}
    assert len(found) == len(quoted)
    assert sorted(found) == [node.line for node in notes.nodes()]
    for node in notes.nodes():
        assert " ".join(found[node.line].get_text().split()).startswith(notes.plain(node))


def test_the_ten_questions_are_answered(pages: dict[str, BeautifulSoup]) -> None:
    table = pages["questions.html"].find("tbody")
    assert isinstance(table, Tag)
    found = [
        [cell.get_text(strip=True) for cell in row.find_all("td")] for row in table.find_all("tr")
    ]
    assert [row[0] for row in found] == [f"Question {number}" for number in range(1, 11)]
    assert all(all(row) for row in found)
