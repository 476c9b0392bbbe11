"""What the notes say of the library, of get_batch and of idx, against the text itself."""

from collections.abc import Callable, Iterator

import torch

from reference.data import get_batch
from reference.model import BigramLanguageModel
from reference.shapes import Ids
from reference.walkthrough.rows import Row, Section, Setting


def documented_batch(setting: Setting) -> tuple[Ids, Ids]:
    """Draw the notes' batch: xb (4, 8) and yb (4, 8), by the first draw after seeding."""
    torch.manual_seed(setting.seed)
    return setting.corpus.get_batch("train", setting.figures.block_size, len(setting.figures.batch))


def documented_model(setting: Setting) -> BigramLanguageModel:
    """Make m as the notes' loss has it: seeded again just before, which they leave out."""
    torch.manual_seed(setting.seed)
    return BigramLanguageModel(len(setting.corpus.vocabulary))


def library_rows(setting: Setting) -> Iterator[Row]:
    """Check what the notes say of the seed and of nn.Module."""
    here = Section("library")
    torch.manual_seed(setting.seed)
    once = torch.rand(3)
    torch.manual_seed(setting.seed)
    again = torch.rand(3)
    yield here.match("torch.manual_seed", setting.figures.seed, setting.seed)
    yield here.match(
        "seeded twice",
        "the same numbers",
        "the same numbers" if torch.equal(once, again) else "other numbers",
    )
    methods = [name for name in vars(BigramLanguageModel) if name == "__init__" or name[0] != "_"]
    yield here.match("methods", "__init__, forward, generate", ", ".join(methods))


def batch_rows(setting: Setting) -> Iterator[Row]:
    """Draw the notes' batch, and try what their get_batch does at its edges."""
    here = Section("TRAINING > [ Data ] > get_batch")
    corpus, figures = setting.corpus, setting.figures
    yield here.shown(
        "train_data, val_data", f"{len(corpus.train):,} and {len(corpus.val):,} tokens"
    )
    yield here.match("vocab_size", figures.vocab_size, len(corpus.vocabulary))
    xb, yb = documented_batch(setting)
    yield here.match(
        "xb, the inputs",
        grid(torch.tensor(figures.batch)),
        grid(xb),
        "\n".join(repr(corpus.vocabulary.decode(row)) for row in xb),
    )
    yield here.shown("yb, the targets", grid(yb), "Each is the token after its input.")
    tokens = figures.block_size + 1
    refused = raised(lambda: get_batch(torch.arange(tokens), figures.block_size, 1))
    yield here.erratum(
        "the offsets",
        "torch.randint(len(data) - block_size - 1, ...)",
        f"{tokens} tokens hold one window: {refused}",
        "The bound is one too low: the last window of the data is never drawn.",
        recorded=refused == "TooShortError",
    )
    refused = raised(lambda: corpus.get_batch("trian", figures.block_size, 1))
    yield here.erratum(
        "the split",
        'train_data if split == "train" else val_data',
        f'get_batch("trian", ...): {refused}',
        "The notes' else would train on the validation text, without a word.",
        recorded=refused == "UnknownSplitError",
    )


def index_rows(setting: Setting) -> Iterator[Row]:
    """Look at idx as the notes start it, and at T as it grows."""
    here = Section("globals > idx > -- forward --")
    figures = setting.figures
    idx = torch.zeros((1, 1), dtype=torch.long)
    yield here.match("idx.shape", figures.start_shape, tuple(idx.shape))
    m = documented_model(setting)
    yield here.match("idx.dtype", torch.long, m.generate(idx, max_new_tokens=1).dtype)
    lengths = [m.generate(idx, max_new_tokens=n).shape[1] for n in range(3)]
    yield here.erratum(
        "T",
        "block_size; not same as block_size",
        f"T = {', '.join(str(T) for T in lengths)} as idx grows; "
        f"block_size stays {figures.block_size}",
        "The notes say both. T is how many tokens idx has now, which is block_size only in "
        "training. Likewise B is how many rows it has: 8, 4 and 32 in three places. And a token "
        'is a character of the text, where the notes say "word".',
        recorded=lengths == [1, 2, 3],
    )


def grid(tokens: Ids) -> str:
    """Print tokens in columns, as the notes do."""
    return "\n".join(" ".join(f"{token:2}" for token in row) for row in tokens.tolist())


def raised(call: Callable[[], object]) -> str:
    """Name the error that a call raises, or say that it raised none."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  whichever it is, it is shown
        return type(error).__name__
    return "no error"
