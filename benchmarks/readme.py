"""The README's table of the engine, made from RESULTS.md: python -m benchmarks.readme writes it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "benchmarks/RESULTS.md"

HEADER = "| | is | over the notes' lines |\n| --- | --- | --- |\n"

ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "get_batch": (
        "the reference's batches, for the same generator",
        {
            "get_batch, 32 x 8, over the notes' code": "at 32 x 8",
            "get_batch, 256 x 64, over the notes' code": "at 256 x 64",
        },
    ),
    "loss": (
        "loss and gradient from the batch's pair counts",
        {
            "loss and gradient, 512 x 256 (B·T = 131,072), C = 65, over the notes' code": (
                "at 512 x 256"
            ),
            "loss and gradient, 32 x 8, C = 65, over the notes' code": "at 32 x 8",
        },
    ),
    "train": (
        "the reference's table, within 5e-5 after 1,000 steps",
        {
            "a training step, 32 x 8, C = 65: 100,000 of the engine's over 2,000 of the notes'": (
                "a step"
            )
        },
    ),
    "fit": (
        "the exact optimum in one pass over the tokens, of any size",
        {"fit by counting, int64, over NLTK's `lm.MLE`": "over NLTK's counting"},
    ),
    "generate": (
        "the reference's tokens, for the same generator",
        {"`fast.generate`, B = 1, n = 10,000, over the notes' loop": "at 10,000 tokens"},
    ),
    "Sampler": (
        (
            "tokens of the same law (off by (C+1)/2^32 at most), the same for a seed however the "
            "work is split"
        ),
        {
            "Sampler, B = 1, n = 1,000,000, over the notes' loop at n = 1,000, per token": (
                "one row"
            ),
            "Sampler, B = 1,024, n = 500, over the notes' loop": "a thousand",
        },
    ),
}
"""What each name does, and its ratios: what RESULTS.md calls each, and the README's words for it.
"""


def table(results: str) -> str:
    """Return the README's table, with the ratios of RESULTS.md.

    Raises: KeyError if RESULTS.md lacks one.
    """
    measured = {}
    for line in results.splitlines():
        what, *cells = (cell.strip() for cell in line.replace("\\|", "\\").strip("|").split("|"))
        if len(cells) == 4 and cells[1].endswith("x"):  # a bound, a ratio, and what became of it
            measured[what] = cells[1]
    lines = []
    for name, (does, ratios) in ROWS.items():
        speed = ", ".join(f"{measured[what]} {words}" for what, words in ratios.items())
        lines.append(f"| `fast.{name}` | {does} | {speed} |\n")
    return HEADER + "".join(lines)


def renewed(readme: str, results: str) -> str:
    """Return the README with its table replaced by the one that RESULTS.md gives.

    Raises: ValueError if the README has no such table.
    """
    begin = readme.index(HEADER)
    end = readme.index("\n\n", begin) + 1
    return readme[:begin] + table(results) + readme[end:]


def main() -> None:
    """Write the table into the README."""
    old, results = (path.read_text(encoding="utf-8") for path in (README, RESULTS))
    README.write_text(renewed(old, results), encoding="utf-8")


if __name__ == "__main__":
    main()
