"""Hold the changes that survived `mutmut run` against those that are known to change nothing.

Where they are the same, the digest of all that this follows from is noted in `seen.sha256`. With
`--seen` nothing else is done than to tell, by the exit code, whether it is the same still.
"""

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
SEEN = Path(__file__).with_name("seen.sha256")
ROOT = Path(__file__).resolve().parents[2]
BELOW = ("checks", "corpus", "errors", "notes", "shapes", "splits")
"""Modules that the changed ones, and their tests, rest on."""


def digest() -> str:
    """Digest what is changed, what that rests on, the tests that judge it, and the pins."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "mutmut"
    ]
    paths = [path for pattern in settings["only_mutate"] for path in ROOT.glob(pattern)]
    paths += [ROOT / name for name in settings["pytest_add_cli_args_test_selection"]]
    paths += [ROOT / f"reference/{name}.py" for name in BELOW]
    paths += [ROOT / "tests/conftest.py", ROOT / "constraints.txt", EQUIVALENT.resolve()]
    whole = hashlib.sha256(repr(settings).encode())
    for path in sorted(path for path in paths if path.is_file()):
        whole.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


def mutmut(*arguments: str) -> str:
    """Ask mutmut, and give what it printed."""
    return subprocess.run(  # noqa: S603  a tool of this project
        [sys.executable, "-m", "mutmut", *arguments], capture_output=True, text=True, check=True
    ).stdout


def survivors() -> set[tuple[str, str]]:
    """Give each survivor's function and its changed lines."""
    found = set()
    for name, state in re.findall(r"(\S+): ([a-z ]+)", mutmut("results")):
        if state != "survived":
            raise SystemExit(f"{name} was not decided: {state}")
        lines = re.findall(r"^\+ (.*)$", mutmut("show", name), flags=re.MULTILINE)
        module, _, function = name[: name.index("__mutmut")].rpartition(".")
        function = function.removeprefix("x\u01c1").removeprefix("x_").replace("\u01c1", ".")
        found.add((f"{module}.{function}", " ".join(line.strip() for line in lines)))
    return found


def main() -> None:
    """Fail where the survivors and the list differ, and say how."""
    if "--seen" in sys.argv:
        same = SEEN.exists() and SEEN.read_text(encoding="utf-8").strip() == digest()
        print(f"the mutation has {'' if same else 'not '}been run on these files")  # noqa: T201  the result
        raise SystemExit(not same)
    listed = {
        (function, entry["change"])
        for function, entries in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).items()
        for entry in entries
        if entry["reason"]
    }
    found = survivors()
    for function, change in sorted(found - listed):
        print(f"survived, and is not listed: {function}: {change}")  # noqa: T201  the result
    for function, change in sorted(listed - found):
        print(f"listed, and did not survive: {function}: {change}")  # noqa: T201  the result
    print(f"{len(found)} survived, {len(listed)} are listed")  # noqa: T201  the result
    if found != listed:
        raise SystemExit(1)
    SEEN.write_text(f"{digest()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
