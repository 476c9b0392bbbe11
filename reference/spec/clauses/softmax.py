"""softmax: logits to probabilities, one law for each row."""

import torch
from torch import Tensor

from reference.notes import Figures
from reference.spec.cases import LogitsCase, Nothing
from reference.spec.causes import softmax as causes
from reference.spec.clause import PROFILES, SHOULD, clause
from reference.spec.expect import Cause, expect, expect_close, expect_equal
from reference.spec.measures import (
    EPS,
    exact_probabilities,
    expect_no_draws,
    probabilities,
    softmax_tolerance,
)
from reference.spec.subject import Part, Subject

SOFTMAX = (Part.SOFTMAX,)


def expect_exact(subject: Subject, logits: Tensor, *, what: str, cause: Cause) -> Tensor:
    """Return the probabilities of the logits, which must be the oracle's."""
    probs = probabilities(subject, logits)
    right, allowed = exact_probabilities(logits), softmax_tolerance(logits.shape[1])
    expect_close(probs, right, tolerance=allowed, what=what, cause=cause)
    return probs


@clause("softmax.range", SOFTMAX, PROFILES)
def in_range(subject: Subject, case: LogitsCase) -> None:
    """Every probability lies between 0 and 1, and there is one for each logit.

    Tolerance: 4 eps above 1, for rounding.
    Source: NORMALIZED SOFTMAX > all values between 0 and 1
    """
    probs = probabilities(subject, case.tensor())
    expect(
        bool(((probs >= 0) & (probs <= 1 + 4 * EPS)).all()),
        what="probabilities",
        expected="each from 0 to 1",
        seen=probs,
        cause=lambda: causes.out_of_range(probs),
    )


@clause("softmax.pure", SOFTMAX, PROFILES, level=SHOULD, needs=("softmax.range",))
def pure(subject: Subject, case: LogitsCase) -> None:
    """Taking the softmax leaves the logits as they were, and draws nothing.

    Source: F.softmax(logits, dim=1) > convert to probabilities via softmax
    """
    logits = case.tensor()
    expect_no_draws(lambda: subject.softmax(logits), what="taking the softmax")
    cause = "softmax works in place: it writes into the caller's logits"
    expect_equal(logits, case.tensor(), what="the logits afterwards", cause=cause)


@clause("softmax.axis", SOFTMAX, PROFILES, needs=("softmax.range",))
def axis(subject: Subject, case: LogitsCase) -> None:
    """Each row is normalised by itself, over the C scores: other rows have no part in it.

    Tolerance: 4 eps.
    Source: F.softmax(logits, dim=1) > becomes (B, C) > F.softmax(logits, dim=1) > (B, C)
    Audit: (B, C) @audit
    Erratum 9: dim=1 is right for (B, C) only; on (B, T, C) it would normalise over time.
    """
    logits = case.tensor()
    seen = probabilities(subject, logits)
    alone = torch.cat([probabilities(subject, row[None]) for row in logits]).double()
    what = "probabilities of the batch against those of its rows one by one"
    expect_close(
        seen, alone, tolerance=4 * EPS, what=what, cause=lambda: causes.wrong_axis(subject)
    )


@clause("softmax.sum", SOFTMAX, PROFILES, needs=("softmax.axis",))
def sums_to_one(subject: Subject, case: LogitsCase) -> None:
    """The probabilities of each row sum to 1.

    Tolerance: (C + 2) eps.
    Source: NORMALIZED SOFTMAX > all rows sum to 1.0
    """
    logits = case.tensor()
    total = probabilities(subject, logits).double().sum(dim=1)
    expect_close(
        total,
        torch.ones(len(logits)).double(),
        tolerance=(logits.shape[1] + 2) * EPS,
        what="sum of each row",
        cause=lambda: causes.wrong_sum(total),
    )


@clause("softmax.order", SOFTMAX, PROFILES, needs=("softmax.sum",))
def order(subject: Subject, case: LogitsCase) -> None:
    """A higher score never gets a lower probability.

    Source: logits > used to measure the model's prediction
    """
    logits = case.tensor()
    by_score = probabilities(subject, logits).gather(1, logits.argsort(dim=1))
    expect(
        bool((by_score.diff(dim=1) >= 0).all()),
        what="probabilities, from the lowest score to the highest",
        expected="never going down",
        seen=by_score,
        cause="higher scores do not get higher probabilities",
    )


@clause("softmax.shift", SOFTMAX, PROFILES, needs=("softmax.order",))
def shift(subject: Subject, case: LogitsCase) -> None:
    """Adding a number to all scores of a row changes nothing: only differences count.

    Formula: softmax(z + a) = softmax(z); here a is 2.
    Tolerance: 24 eps, the rounding of scores up to 5 twice.
    Source: RAW + UNBOUNDED > values have no min/max
    """
    logits = case.tensor()
    expect_close(
        probabilities(subject, logits + 2),
        probabilities(subject, logits).double(),
        tolerance=24 * EPS,
        what="probabilities after adding 2 to every score",
        cause="the probabilities depend on the scores themselves, not on their differences, as "
        "with clipped scores or another function than exp",
    )


@clause("softmax.large-logits", SOFTMAX, PROFILES, needs=("softmax.shift",))
def large_logits(subject: Subject, case: LogitsCase) -> None:
    """Scores of any size have probabilities: nothing overflows, and no row is lost beside another.

    Formula: softmax(z + a) = softmax(z), where a is 10,000 or -10,000, not the same for all rows.
    Tolerance: 2e-3, as scores of 10,000 are themselves rounded by up to 5e-4.
    Source: RAW + UNBOUNDED > values have no min/max > and can be positive or negative
    """
    logits = case.tensor()
    signs = torch.where(torch.arange(len(logits)) % 2 == 0, 1e4, -1e4)[:, None]
    for far in (signs, -signs):
        expect_close(
            probabilities(subject, logits + far),
            probabilities(subject, logits).double(),
            tolerance=2e-3,
            what=f"probabilities after adding {far.flatten().tolist()} to the rows",
            cause="the exponential of a great score overflows, or all of a row vanish: take away "
            "each row's greatest score first",
        )


@clause("softmax.ratio", SOFTMAX, PROFILES, needs=("softmax.large-logits",))
def ratio(subject: Subject, case: LogitsCase) -> None:
    """A score that is higher by d has a probability that is e^d times as great.

    Formula: softmax(z)[i] = exp(z[i]) / sum over j of exp(z[j]).
    Tolerance: (C + 8) eps.
    Source: F.softmax(logits, dim=1) > convert to probabilities via softmax
    """
    logits = case.tensor()
    expect_exact(subject, logits, what="probabilities", cause=lambda: causes.wrong_ratio(subject))


@clause("softmax.documented", SOFTMAX, PROFILES, needs=("softmax.ratio",))
def documented(subject: Subject, case: Nothing) -> str:
    """Of the notes' 3 x 5 logits, the probabilities differ from the printed ones by up to 0.1344.

    Tolerance: 13 eps, as for softmax.ratio.
    Source: tensor([[ 0.3134 > tensor([[0.2175
    Erratum 1: the printed rows sum to 1, but are not the softmax of the printed logits.
    """
    figures = Figures()
    logits = torch.tensor(figures.raw_logits)
    what = "probabilities of the notes' logits"
    probs = expect_exact(subject, logits, what=what, cause="the scores are rounded on their way")
    gap = float((probs - torch.tensor(figures.probabilities)).abs().max())
    return f"differ by up to {gap:.4f}"
