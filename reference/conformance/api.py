"""The kit as functions: hold a model against the clauses, from Python or from one's own tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Unpack

from reference.checks import check_count, check_text
from reference.conformance.corner_cases import needed
from reference.conformance.errors import ProfileError, ReplayError
from reference.conformance.reports.report_json import strict_json
from reference.conformance.reports.report_page import ShownReport
from reference.conformance.runner import (
    EXAMPLES,
    Plan,
    check_id,
    isolated_streams,
    notes_of,
    planned,
    run,
)
from reference.conformance.subjects.build import Factory, subject_of
from reference.conformance.subjects.parts import Parts
from reference.conformance.verdicts import Report, Selection
from reference.errors import brief, printable
from reference.spec.cases import from_json
from reference.spec.catalogue import VERSION, catalogue
from reference.spec.clause import BIGRAM, PROFILES, Clause
from reference.spec.measures import LONGEST

MOST_SEED = 2**63 - 1
"""Largest seed, which torch takes too."""

MOST_EXAMPLES = 10**6
"""Most cases to draw for a clause."""


def check(  # noqa: PLR0913  all but the factory by name
    factory: Factory,
    *,
    adapter: str | Callable[[object], object] = "pair",
    profile: str = BIGRAM,
    clauses: Sequence[str] | None = None,
    waive: Mapping[str, str] | None = None,
    seed: int = 0,
    examples: int = EXAMPLES,
    replay: str | None = None,
    **parts: Unpack[Parts],
) -> Report:
    """Hold a model against the clauses, in this process.

    `factory(vocab_size)` returns a fresh model; there is nothing to inherit from. Every other part
    is optional, and its clauses are skipped where it is not given:

    - `get_batch(data, block_size, batch_size)`, or the notes' own `get_batch(split)` over the
      globals train_data, val_data, block_size and batch_size;
    - `vocabulary(text)`, which gives an object with `encode`, `decode` and a length;
    - `train_step(model)`, which gives a function that takes one step on `(xb, yb)`;
    - `softmax(logits)`, of (B, C);
    - `generate(model, idx, max_new_tokens)`, where the model has no such method;
    - `plain_generate`, likewise, for generate.cached: one that takes no shortcut, to hold a fast
      one against. A generate that takes `use_cache` is both, and needs none.

    The table is set through the model's only (C, C) parameter, or by `get_table(model)` and
    `set_table(model, table)`. `adapter` says what forward returns: "pair" for (logits, loss),
    "logits" for the logits alone, "output" for an object with .logits and .loss, "nanogpt" for
    logits of the last position where there are no targets, "arrays" for a model over NumPy's or
    JAX's arrays, "transformers" for one of that library, which shifts its labels inside, or a
    function from what it returns to a pair.

    With "arrays", everything is handed arrays and gives them. `forward(state, idx, targets)` and
    `gradient(state, idx, targets)`, of the loss by the table, may be functions by themselves, where
    `state` is what the factory gives: an object, or the table itself. A function that draws takes
    an argument named rng, key or seed.

    `profile` is "bigram", or "causal-lm" for any model that predicts each token from those before
    it, as a GPT: it must take sequences of 64 tokens.

    `clauses` are ids, or concepts such as "loss"; what they need is run as well. `waive` maps ids
    that are expected to fail to the reason. The same seed gives the same verdicts. `replay` is a
    case that failed, as JSON {"id": ..., "case": ...}, to be tried again by itself.

    Raises: PartError, UnknownClauseError, WaiverError, ProfileError, AdapterError, GetBatchError,
        ReplayError, CaseError; NotAnIntegerError, OutOfRangeError for the seed and the examples;
        NotTextError.
    """
    plan = plan_of(profile, clauses, waive, seed, examples)
    subject = subject_of(factory, adapter=adapter, **parts)
    if replay is not None:
        plan = replaying(plan, replay)
    with isolated_streams():
        results = tuple(run(subject, plan))
    return ShownReport(
        subject=name_of(factory),
        contract=VERSION,
        profile=profile,
        seed=plan.seed,
        planned=len(plan.clauses),
        selection=selection_of(plan, clauses),
        clauses=results,
        notes=notes_of(subject, subject.notes, profile),
    )


def plan_of(
    profile: str,
    clauses: Sequence[str] | None,
    waive: Mapping[str, str] | None,
    seed: int,
    examples: int = EXAMPLES,
) -> Plan:
    """Return what to run.

    Raises: ProfileError, UnknownClauseError, WaiverError; NotAnIntegerError, OutOfRangeError for
        the seed and the examples.
    """
    check_profile(profile)
    check_count("seed", seed, minimum=0, maximum=MOST_SEED)
    check_count("examples", examples, minimum=1, maximum=MOST_EXAMPLES)
    return Plan(
        clauses=planned(clauses, waive, profile),
        profile=profile,
        seed=int(seed),
        examples=int(examples),
        waive=waive,
    )


def check_profile(profile: str) -> None:
    """Raise if there is no such profile.

    Raises: ProfileError.
    """
    if profile not in PROFILES:
        raise ProfileError(f"profile is {profile!r}; it must be one of {', '.join(PROFILES)}")


def selection_of(plan: Plan, wanted: Sequence[str] | None) -> Selection | None:
    """Return what a plan is limited to, or None if it has every clause of its profile."""
    every = catalogue(plan.profile)
    if plan.replay is not None:
        names: tuple[str, ...] = tuple(clause.id for clause in plan.clauses)
        return Selection(wanted=names, of=len(every), replayed=True)
    if len(plan.clauses) == len(every):
        return None
    return Selection(wanted=tuple(wanted or ()), of=len(every))


def name_of(factory: object) -> str:
    """Return what a factory is called."""
    try:
        names = [getattr(factory, name, None) for name in ("__module__", "__qualname__")]
    except Exception:  # noqa: BLE001  whatever its own class raises
        names = []
    if names and all(isinstance(name, str) and name for name in names):
        return ":".join(map(str, names))
    return brief(factory)


def read_saved(text: str) -> tuple[Clause, dict[str, object]]:
    """Read a saved case: {"id": ..., "case": {...}}, as a report's clauses hold it.

    Raises: ReplayError if it is not a saved case; UnknownClauseError; NotTextError.
    """
    check_text("replay", text)
    try:
        saved = strict_json(text)
    except ValueError as error:
        raise ReplayError(f"the case cannot be read as JSON: {printable(error)}") from error
    kinds = {"id": str, "case": dict}
    if not isinstance(saved, dict) or not all(
        isinstance(saved.get(name), kind) for name, kind in kinds.items()
    ):
        raise ReplayError(
            'the case must be an object such as {"id": "loss.scalar", "case": {...}}, one of the '
            "clauses of a JSON report that failed"
        )
    every = catalogue(None)
    check_id(saved["id"], every)
    (clause,) = (clause for clause in every if clause.id == saved["id"])
    return clause, saved["case"]


def replaying(plan: Plan, saved: str) -> Plan:
    """Return the plan in which one saved case is tried again, and nothing else.

    Raises: ReplayError, CaseError if it is not a saved case of its clause; UnknownClauseError;
        NotTextError.
    """
    clause, values = read_saved(saved)
    length = needed(from_json(clause.case, values))
    if plan.profile != BIGRAM and length > LONGEST:
        raise ReplayError(
            f"the case needs a sequence of {length} tokens; with the profile {plan.profile} it "
            f"must be {LONGEST} or fewer, which any model of that kind takes"
        )
    return replace(plan, clauses=(clause,), replay=values)
