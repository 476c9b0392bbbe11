"""The `bigram` command, run in the process of the tests."""

import pytest

from reference.cli import main as cli

TEXT = "the cat sat on the mat and the rat ran at the hat. " * 20


def run(*arguments: str) -> int:
    """Run the command in this process, and return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    return int(stopped.value.code or 0)
