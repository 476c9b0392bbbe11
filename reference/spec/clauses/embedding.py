"""token_embedding_table: a lookup table of C rows of C numbers, and the whole of the model."""

import torch
from torch import Tensor

from reference.notes import Figures
from reference.spec.cases import IndexCase, Nothing, SizeCase, table_of
from reference.spec.causes import embedding as causes
from reference.spec.causes.gradient import wrong_lookup
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import Broken, expect, expect_close, expect_equal
from reference.spec.measures import UNLIKE, expect_no_seed, logits_of, pulled, rounding
from reference.spec.randomness import seed_all, seed_torch
from reference.spec.subject import Model, Part, Subject

PARAMETERS, TABLE = (Part.PARAMETERS,), (Part.TABLE,)


@clause("embedding.single-parameter", PARAMETERS, needs=("forward.returns",))
def single_parameter(subject: Subject, case: SizeCase) -> None:
    """The model has one parameter, its table.

    Source: self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)
    """
    names = list(subject.model(case.C).parameters())
    expect(
        len(names) == 1,
        what="parameters",
        expected="one",
        seen=", ".join(names) or "none",
        cause="the model learns other things than the table of the notes: a bias, positions, "
        "a smaller embedding with a head"
        if names
        else "the table is no nn.Parameter of the model: no optimizer will find it",
    )


def _only_parameter(model: Model) -> tuple[str, Tensor]:
    """Return the parameter that embedding.single-parameter has seen, by its name.

    Raises: Broken if there is another number of them now.
    """
    parameters = model.parameters()
    if len(parameters) != 1:
        raise Broken(expected="parameters: one", seen=f"{len(parameters)}", cause=UNLIKE)
    return next(iter(parameters.items()))


@clause(
    "embedding.table-shape",
    PARAMETERS,
    needs=("embedding.single-parameter", "forward.logits.shape"),
)
def table_shape(subject: Subject, case: SizeCase) -> None:
    """The table has one row for each token, and in it one number for each token.

    Formula: table is (C, C), with C = vocab_size.
    Source: nn.Embedding(vocab_size, vocab_size) > vocab_size per embedding
    """
    name, table = _only_parameter(subject.model(case.C))
    expect_equal(
        tuple(table.shape),
        (case.C, case.C),
        what=f"shape of {name}",
        cause="the table has rows or columns that are no token"
        if table.ndim == 2  # noqa: PLR2004  rows and columns
        else "the parameter is not laid out in rows and columns",
    )


@clause("embedding.name", PARAMETERS, level=CHOICE, needs=("embedding.table-shape",))
def name(subject: Subject, case: Nothing) -> str:
    """The table may be called token_embedding_table, as in the notes, or anything else.

    Source: self > token_embedding_table
    """
    called, _table = _only_parameter(subject.model(3))
    return called


@clause("embedding.fresh", TABLE, needs=("forward.repeatable",))
def fresh(subject: Subject, case: SizeCase) -> None:
    """Every model has a table of its own: changing one leaves the others as they were.

    Source: __init__ (self, vocab_size) > super().__init__()
    """
    first, second = subject.model(case.C), subject.model(case.C)
    before = first.table()
    second.set_table(before + 1)
    what = "the first model's table after the second's was changed"
    cause = "models share one table, as with an attribute of the class"
    expect_equal(first.table(), before, what=what, cause=cause)


@clause(
    "embedding.reproducible",
    (Part.TENSORS, Part.SEED),
    PROFILES,
    needs=("forward.repeatable",),
)
def reproducible(subject: Subject, case: SizeCase) -> None:
    """After the same torch.manual_seed, a new model starts from the same numbers.

    Tolerance: none for the parameters; for the logits of each token by itself none if the table can
    be set, else 256 eps m for logits up to m.
    Power: NumPy's and Python's streams are seeded unlike each other, as the notes seed torch's.
    Source: torch.manual_seed(1337) > reproducibility
    """
    every = torch.arange(case.C)[:, None]  # (C, 1)
    models, logits = [], []
    for other in (1, 2):
        seed_all(other)
        seed_torch(1337)
        models.append(subject.model(case.C))
        logits.append(logits_of(models[-1], every))  # it may make its weights only now
    seen, want = models[1].parameters(), models[0].parameters()
    what, cause = "of a new model, after the same torch.manual_seed", causes.OTHER_SOURCE
    expect_equal(list(seen), list(want), what=f"parameters {what}", cause=cause)
    for name, value in want.items():
        expect_equal(seen[name], value, what=f"{name} {what}", cause=cause)
    near = rounding(subject, models[0], logits[0])
    expect_close(logits[1], logits[0], tolerance=near, what=f"logits {what}", cause=cause)


@clause("embedding.stream", profiles=PROFILES, level=SHOULD, needs=("forward.returns",))
def stream(subject: Subject, case: SizeCase) -> None:
    """Making a model seeds nothing: what is drawn afterwards follows from the user's own seed.

    Source: torch.manual_seed(1337) > set the seed for generating random numbers
    """
    expect_no_seed(lambda: subject.model(case.C), what="making a model")


@clause(
    "embedding.row-lookup",
    TABLE,
    needs=(
        "forward.memoryless",
        "forward.batch-independent",
        "forward.logits.dtype",
        "forward.call",
        "forward.pure.table",
    ),
)
def row_lookup(subject: Subject, case: IndexCase) -> None:
    """The logits of a token are its row of the table, bit for bit, however great its scores are.

    Formula: logits[b, t, :] = table[idx[b, t], :].
    Source: a lookup table for each vocab token
    """
    idx, model = case.tensor(), case.model(subject)
    table = model.table()
    logits = logits_of(model, idx)
    expect_equal(logits, table[idx], what="logits", cause=lambda: causes.wrong_rows(subject))
    model = subject.model(case.C)
    model.set_table(1024 * table)
    what = "logits of the table times 1024"
    cause = "great scores are cut off, or something of an earlier model is kept"
    expect_equal(logits_of(model, idx), 1024 * table[idx], what=what, cause=cause)


@clause("embedding.live", TABLE, needs=("embedding.row-lookup",))
def live(subject: Subject, case: IndexCase) -> None:
    """The logits follow the table as it is now: after a change of it, the lookup gives the new.

    Source: self.token_embedding_table = > logits = self.token_embedding_table( idx
    """
    idx, model = case.tensor(), case.model(subject)
    model(idx)
    model.set_table(table_of(case.C, case.table + 1))
    what = "logits after the table was changed"
    cause = "the model keeps a copy of the table from before: training would not show"
    expect_equal(logits_of(model, idx), model.table()[idx], what=what, cause=cause)


@clause(
    "embedding.one-hot",
    (Part.TABLE, Part.GRADIENT, Part.TENSORS),
    needs=("embedding.live", "embedding.fresh"),
)
def one_hot(subject: Subject, case: IndexCase) -> None:
    """The lookup is the product of one-hot rows with the table, in its derivative too.

    Formula: logits = one_hot(idx) table, so d sum(R * logits) / d table = one_hot(idx)^T R, for any
    numbers R of the logits' shape.
    Tolerance: an entry sums at most B*T numbers of R, each a multiple of 1/8: none at all.
    Source: creates embedding layer > a lookup table
    """
    seen, want = pulled(case.model(subject), case.tensor())
    what = "gradient of the table"
    expect_close(seen, want, tolerance=1e-30, what=what, cause=lambda: wrong_lookup(subject))


@clause("embedding.geometry", TABLE, level=CHOICE, needs=("forward.repeatable",))
def geometry(subject: Subject, case: Nothing) -> str:
    """With the notes' four words as rows, King - Man + Woman is nearest to Queen.

    Source: King 0 [1.0, 0.7] > word algebra > King - Man + Woman = Queen
    Erratum 2: it is (1.0, -0.3), 0.2 from Queen and not equal to it; and the prose puts King at (1,
    0.5), the table at (1.0, 0.7).
    """
    figures = Figures()
    C = len(figures.words)
    table = torch.zeros(C, C)
    table[:, :2] = torch.tensor(figures.word_vectors)
    model = subject.model(C)
    model.set_table(table)
    rows = [logits_of(model, torch.tensor([[word]]))[0, 0].detach() for word in range(C)]
    king, _queen, man, woman = rows
    distance = (torch.stack(rows) - (king - man + woman)).norm(dim=1)  # (C,)
    nearest = figures.words[int(distance.argmin())]
    return f"{nearest}, at a distance of {float(distance.min()):.1f}"
