"""What is run before a change lands, each in an environment of its own; `nox -l` lists it.

Everything is installed with pip under constraints.txt, which pins what was tested.
"""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["lint", "types", "tests", "walkthrough"]

SITE = "docs/_build/html"
PYPROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str, package: bool = True) -> None:
    """Install the package with all extras, and the named dependency groups."""
    wanted = [need for group in groups for need in nox.project.dependency_groups(PYPROJECT, group)]
    if package:
        wanted += ["-e", ".[plots,fast,zstd,tensorboard]"]
    # What is imported is compiled then, and kept; all of torch at once would take twice as long.
    session.env["PYTHONDONTWRITEBYTECODE"] = None
    session.install("--no-compile", "-c", "constraints.txt", *wanted)


def install_docs(session: nox.Session) -> None:
    """Install what builds the site, and what draws the mind map in it."""
    install(session, "docs")
    session.run("npm", "ci", "--prefix=docs", "--ignore-scripts", "--no-audit", "--no-fund")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, with every shape checked at run time and warnings as errors."""
    install(session, "test", "examples")
    # A file's tests follow on one another: some share a process that takes seconds to start.
    session.run("pytest", "-n", "auto", "--dist", "loadfile", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    install(session, "lint", package=False)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, the tests, the benchmarks and this file."""
    install(session, "types")
    session.run("mypy")


@nox.session
def walkthrough(session: nox.Session) -> None:
    """Hold every documented figure against the one computed now; arguments are passed on."""
    install(session)
    session.run("bigram", "walkthrough", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Hold every wrong and every right implementation against the clauses: the kill matrix."""
    install(session, "test")
    session.run("python", "tests/mutants/matrix.py", *session.posargs)
    if not session.posargs:
        session.run("python", "tests/mutants/vectors.py")


@nox.session
def alarms(session: nox.Session) -> None:
    """Run the statistical clauses on the reference with many seeds: none may raise an alarm."""
    install(session, "test")
    session.run("python", "tests/mutants/alarms.py", *(session.posargs or ["500"]))


@nox.session
def power(session: nox.Session) -> None:
    """Compute the weakest faults that the statistical clauses notice; --write records them."""
    install(session, "test")
    session.run("python", "tests/mutants/power.py", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the reference and the oracle line by line: a test must fail, or a list say why not."""
    install(session, "mutation")
    session.env["OMP_NUM_THREADS"] = "1"  # the tests of many changes run side by side
    shutil.rmtree("mutants", ignore_errors=True)
    session.run("mutmut", "run")
    session.run("python", "tests/mutation/survivors.py")


@nox.session
def faults(session: nox.Session) -> None:
    """Make each expression of right code wrong in each way: a clause must notice every one."""
    install(session, "test")
    session.run("python", "tests/faults/faults.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Give every reader files of all kinds, 20,000 or as many as is said: none may crash."""
    install(session, "fuzz")
    session.run("python", "tests/fuzz/run.py", *(session.posargs or ["20000"]))


@nox.session
def docs(session: nox.Session) -> None:
    """Run every sample of the docs, and build the site; a warning is an error."""
    install_docs(session)
    # First the build, which compiles for the samples what both need.
    session.run("sphinx-build", "-W", "--keep-going", "-j", "auto", "-q", "docs", SITE)
    by_page = ("-n", "auto", "--dist", "loadfile")  # a page's samples follow on one another
    session.run("pytest", "-c", "docs/pytest.ini", "--rootdir=.", *by_page, "docs")
    session.log(f"open {SITE}/index.html, or show it with nox -s docs-serve")


@nox.session
def readme(session: nox.Session) -> None:
    """Run every sample of the README, among them a walk through the real text: two minutes."""
    install_docs(session)
    session.run("pytest", "-c", "docs/pytest.ini", "--rootdir=.", "README.md")


@nox.session(name="docs-serve")
def docs_serve(session: nox.Session) -> None:
    """Show the site on this machine, and build it anew with each change."""
    install_docs(session)
    session.run("sphinx-autobuild", "--open-browser", "--port=0", "docs", SITE, *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """Break the docs, and look at every page in Chromium: the tests of the site itself."""
    install_docs(session)
    session.run("pytest", "tests/site", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Time the notes' lines, the reference, the engine and peers; write benchmarks/RESULTS.md."""
    install(session, "bench")
    found = str(Path(session.create_tmp()) / "benchmarks.json")
    session.run(
        "pytest", "benchmarks", "--benchmark-only", f"--benchmark-json={found}", *session.posargs
    )
    session.run("python", "-m", "benchmarks.report", found)


@nox.session
def growth(session: nox.Session) -> None:
    """Measure prepare, fit and train on 10 MB to 1 GB of text, or on the sizes that are given."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks.growth", *session.posargs)
    session.run("python", "-m", "benchmarks.report_growth")
