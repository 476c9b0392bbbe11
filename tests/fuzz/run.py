"""Fuzz every reader of the package, and say what came of the inputs: `nox -s fuzz -- 20000`.

`python tests/fuzz/run.py N TARGET...` gives each target, or those named, N inputs; the seed is
fixed. The exit code is 1 where a target crashed, hung or took too much memory; its input is then
kept in the working directory, and `python tests/fuzz/one.py TARGET FILE` shows it again.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

TARGETS = (
    "model", "model-header", "model-tensors", "checkpoint", "checkpoint-header",
    "checkpoint-tensors", "report", "manifest", "manifest-body", "vocabulary", "tokens", "nanogpt",
    "state", "state-body", "text", "gzip", "zstd",
)  # fmt: skip
LIMITS = (
    "-seed=1",
    "-len_control=0",
    "-timeout=20",
    "-rss_limit_mb=1536",
    "-verbosity=0",
    "-print_final_stats=0",
)
SHOWN = 6
"""How many kinds of refusal are shown of each target."""


def fuzz(target: str, inputs: int) -> bool:
    """Fuzz one target in a process of its own; say what came of it, and whether all went well."""
    shared = Path("/dev/shm")  # noqa: S108  in memory, where there is such a folder
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as temporary:
        told = Path(temporary, "told")
        code = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("one.py")),
                target,
                f"-runs={inputs}",
                f"-artifact_prefix=fuzz-{target}-",
                *LIMITS,
            ],
            env={**os.environ, "FUZZ_TOLD": str(told), "TMPDIR": temporary},
            check=False,
        ).returncode
        outcomes = Counter(told.read_text().splitlines() if told.exists() else ())
    total, refused = outcomes.total(), Counter(outcomes)
    accepted = refused.pop("accepted", 0)
    unusable = refused.pop("no input for this target", 0)
    end = "" if code == 0 else f"; FAILED with exit code {code}"
    print(
        f"{target}: {total:,} inputs, {accepted:,} accepted, {refused.total():,} refused, "
        f"{unusable:,} unusable{end}"
    )
    for words, count in refused.most_common(SHOWN):
        print(f"  {count:>9,} {words}")
    if len(refused) > SHOWN:
        print(f"  and {len(refused) - SHOWN} more kinds of refusal")
    sys.stdout.flush()
    return code == 0 and total >= inputs and accepted > 0


def main() -> int:
    """Fuzz all; 1 where one failed."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    went_well = [fuzz(target, inputs) for target in sys.argv[2:] or TARGETS]
    return 0 if all(went_well) else 1


if __name__ == "__main__":
    sys.exit(main())
