"""What reports and comparisons are as JSON: reader, writer and JSON Schemas have it from here."""

import sys
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from reference.conformance.verdicts import Verdict
from reference.spec.clause import ID, Level

Count = Annotated[int, Meta(ge=0)]
Id = Annotated[
    str,
    Meta(
        pattern=f"^{ID.pattern}$(?!\\n)",  # in Python, $ stands before a last line end too
        description="concept.rule; never reused for a different promise.",
    ),
]


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """What reports and comparisons both say of a run."""

    subject: Annotated[str, Meta(description="What was judged, as it was named.")]
    contract: Annotated[str, Meta(description="Version of the clauses.")]
    profile: Annotated[str, Meta(description="The part of the clauses that was asked for.")]
    seed: Annotated[
        Count,
        Meta(description="What the cases were drawn from; the same seed gives the same cases."),
    ]
    planned: Annotated[Count, Meta(description="Number of clauses that were to be judged.")]
    ran: Annotated[Count, Meta(description="Number of clauses that were not skipped or blocked.")]
    complete: Annotated[
        bool,
        Meta(
            description="Whether every planned clause has a verdict, and none is a fault of the "
            "kit. A run that is not complete is not a pass."
        ),
    ]
    ended: Annotated[str, Meta(description="Why the run ended early; empty if it ran to the end.")]


class Judged(Struct, frozen=True, forbid_unknown_fields=True):
    """What reports and comparisons both say of one clause and one subject."""

    level: Annotated[
        Level, Meta(description="How much the clause binds. A choice is recorded and never fails.")
    ]
    verdict: Annotated[
        Verdict,
        Meta(
            description="XFAIL: not kept, and waived with a reason. XPASS: waived, and kept, which "
            "is an error. SKIP: the subject has no such part. BLOCKED: a clause that it needs is "
            "not kept. CRASH: the subject ended the process. TIMEOUT: it took too long. MALFORMED: "
            "its harness, at the other end of a pipe, gave an answer that cannot be read. "
            "KIT-ERROR: the kit itself is at fault."
        ),
    ]
    cause: Annotated[
        str,
        Meta(
            description="One sentence: what is likely wrong, or why there was nothing to judge; of "
            "a BLOCKED clause, the id of the one that it needs."
        ),
    ]
    expected: Annotated[str, Meta(description="What was asked, and the right answer to it.")]
    seen: Annotated[
        str,
        Meta(description="What was seen instead; of a choice that passes, what the subject does."),
    ]


class Clause(Judged, frozen=True, forbid_unknown_fields=True):
    """The verdict on one clause."""

    id: Id
    case: Annotated[
        dict[str, Any] | None,
        Meta(
            description="The smallest case found that fails, or null. Its fields are those of the "
            "clause's cases."
        ),
    ]
    replay: Annotated[
        str, Meta(description="Command that tries the case again; empty if there is none.")
    ]
    seconds: Annotated[
        float,
        Meta(ge=0, le=sys.float_info.max, description="How long the clause took."),
    ]


class Selection(Struct, frozen=True, forbid_unknown_fields=True):
    """The part of a profile's clauses that a run was limited to."""

    wanted: Annotated[
        tuple[str, ...],
        Meta(
            description="Ids of clauses, or concepts, as they were given; what these need was "
            "planned as well."
        ),
    ]
    of: Annotated[Count, Meta(description="Number of clauses in the profile.")]
    replayed: Annotated[
        bool, Meta(description="Whether one saved case was tried, and nothing else.")
    ]


class Report(Run, frozen=True, forbid_unknown_fields=True):
    """What one run of the clauses said about one subject.

    Not said here, and true of every report: no two clauses have the same id; ran is the number of
    clauses whose verdict is neither SKIP nor BLOCKED; complete is whether there are as many clauses
    as planned and none is KIT-ERROR.
    """

    notes: Annotated[
        tuple[str, ...],
        Meta(
            description="What else there is to know: statements of the subject's file that were "
            "skipped, how the subject is reached."
        ),
    ]
    clauses: Annotated[
        tuple[Clause, ...],
        Meta(description="One verdict for each clause, in the order in which they were judged."),
    ]
    selection: Annotated[
        Selection | None,
        Meta(
            description="What the run was limited to; null for a run of the whole profile, and "
            "missing in reports that were written before there were selections. If it is not null, "
            "a run in which nothing is broken does not show that the subject conforms."
        ),
    ] = None


class Subject(Run, frozen=True, forbid_unknown_fields=True):
    """What one of the compared reports comes to."""

    number: Annotated[
        int, Meta(ge=1, description="Its place, from 1; two subjects may have the same name.")
    ]
    source: Annotated[str, Meta(description="The file of the report, as it was given.")]
    selection: Annotated[
        str,
        Meta(
            description="What the run was limited to, in words; empty for a run of the whole "
            "profile."
        ),
    ]
    conforms: Annotated[
        bool,
        Meta(
            description="Whether the run is whole and of the whole profile, something ran, and no "
            "must and no should is broken."
        ),
    ]
    counts: Annotated[
        dict[Verdict, Count],
        Meta(
            description="How many clauses have each verdict.",
            extra_json_schema={"required": list(Verdict)},
        ),
    ]


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """What each report says of one clause."""

    id: Id
    passed: Annotated[bool, Meta(description="Whether the verdict of every subject is PASS.")]
    same: Annotated[
        bool,
        Meta(
            description="Whether all subjects have the same verdict and, of a choice that passes, "
            "do the same. If none passes, that is the same too."
        ),
    ]
    results: Annotated[
        tuple[Judged | None, ...],
        Meta(
            min_length=2,
            description="One for each subject, in their order; null if its report has no verdict "
            "on this clause.",
        ),
    ]


class Comparison(Struct, frozen=True, forbid_unknown_fields=True):
    """Two reports or more side by side.

    Not said here, and true of every comparison: subjects are numbered from 1 in their order; each
    clause has as many results as there are subjects, in the same order; no two clauses have the
    same id.
    """

    warnings: Annotated[
        tuple[str, ...],
        Meta(description="How the reports are not alike, or not whole: each a sentence or two."),
    ]
    subjects: Annotated[
        tuple[Subject, ...],
        Meta(min_length=2, description="One for each report, in the order they were given."),
    ]
    clauses: Annotated[
        tuple[Row, ...],
        Meta(
            description="Every clause on which at least one report has a verdict, concept by "
            "concept."
        ),
    ]


def fields(form: type[Struct], of: object) -> dict[str, object]:
    """Return the attributes of an object that a form has, by their names."""
    return {name: getattr(of, name) for name in form.__struct_fields__}


SCHEMAS: dict[str, type[Struct]] = {"report": Report, "comparison": Comparison}
"""Forms that are printed as JSON Schema, by name."""


def schema(name: str) -> dict[str, object]:
    """Return the JSON Schema of a report or a comparison."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:bigram-reference:{name}:1",
        **msgspec.json.schema(SCHEMAS[name]),
    }
