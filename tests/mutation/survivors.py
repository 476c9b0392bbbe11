"""Hold the changes that survived `mutmut run` against those that are known to change nothing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

EQUIVALENT = Path(__file__).with_name("equivalent.toml")


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


if __name__ == "__main__":
    main()
