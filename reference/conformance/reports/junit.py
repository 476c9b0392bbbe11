"""A report as JUnit XML, for the services that show the tests of a build."""

from xml.etree.ElementTree import Element, SubElement, tostring

from reference.conformance.reports.wording import (
    concept,
    example,
    facts,
    is_choice,
    reason,
    selected,
    summary,
    uncounted,
)
from reference.conformance.verdicts import Report, Result, Verdict
from reference.errors import printable
from reference.spec.clause import Level

ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.XPASS: "failure",
    Verdict.CRASH: "error",
    Verdict.TIMEOUT: "error",
    Verdict.MALFORMED: "error",
    Verdict.KIT_ERROR: "error",
    Verdict.XFAIL: "skipped",
    Verdict.SKIP: "skipped",
    Verdict.BLOCKED: "skipped",
}


def to_junit(report: Report, *, level: Level = Level.SHOULD) -> str:
    """Write a suite with a test for each clause; what does not count at a level is skipped.

    A run that is not whole has one more test, an error, so that no service takes it for a pass.
    """
    text = summary(report, level=level)
    suite = Element("testsuite", name=f"conformance of {printable(report.subject)}")
    properties = SubElement(suite, "properties")
    for name in ("subject", "contract", "profile", "seed"):
        value = printable(str(getattr(report, name)))
        SubElement(properties, "property", name=name, value=value)
    if report.selection is not None:
        value = printable(selected(report))
        SubElement(properties, "property", name="selection", value=value)
    ignored = uncounted(report, level=level)
    for result in report.clauses:
        _add_test(suite, report, result, ignored=result.id in ignored)
    if report.ended or len(report.clauses) != report.planned or not report.ran:
        test = SubElement(suite, "testcase", classname="run", name="whole", time="0.000")
        SubElement(test, "error", message=printable(text.unfinished or text.meaning))
    suite.set("tests", str(len(suite.findall("testcase"))))
    for name in ("failure", "error", "skipped"):
        plural = name if name == "skipped" else f"{name}s"
        suite.set(plural, str(len(suite.findall(f"testcase/{name}"))))
    suite.set("time", f"{sum(result.seconds for result in report.clauses):.3f}")
    written: str = tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n'


def _add_test(suite: Element, report: Report, result: Result, *, ignored: bool) -> None:
    test = SubElement(
        suite,
        "testcase",
        classname=printable(concept(result)),
        name=printable(result.id),
        time=f"{result.seconds:.3f}",
    )
    if result.verdict is not Verdict.PASS:
        message = reason(report, result)
        if ignored:
            message = f"{result.verdict}, not counted as a {result.level}: {message}"
        kind = "skipped" if ignored else ELEMENTS[result.verdict]
        finding = SubElement(test, kind, type=result.verdict, message=printable(message))
        finding.text = _body(result)
    elif is_choice(result):
        SubElement(test, "system-out").text = printable(f"choice: {result.seen}", lines=True)


def _body(result: Result) -> str:
    known = (
        ("", result.sentence),
        *((f"{name}: ", text) for name, text in facts(result)),
        ("the smallest case:\n", example(result)),
        ("replay: ", printable(result.replay)),
    )
    return printable("\n".join(f"{name}{text}" for name, text in known if text), lines=True)
