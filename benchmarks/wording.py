"""How figures, and the machine that they are from, are put into words."""

from collections.abc import Iterable, Mapping
from typing import Any


def times(value: float) -> str:
    return f"{value:,.2f}x" if value < 10 else f"{value:,.0f}x"


def percent(value: float) -> str:
    return f"{value:.1%}"


def in_seconds(value: float) -> str:
    return f"{value:.2f} s"


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:,.3g} {unit}"
    return f"{seconds / 1e-9:,.3g} ns"


def rate(per_second: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= scale:
            return f"{per_second / scale:,.3g} {unit}"
    return f"{per_second:,.3g}"


def share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.001 else "< 0.1%"


def in_bytes(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            digits = 3 if size < 1000 * scale else 4
            return f"{float(f'{size / scale:.{digits}g}'):,g} {unit}"
    return f"{size:,.0f} B"


def machine_list(machine: Mapping[str, Any]) -> Iterable[str]:
    """Tell of a machine what decides speed."""
    cpu, versions = machine["cpu"], machine["packages"]
    yield f"- processor: {cpu.get('brand_raw', 'unknown')}, {cpu.get('count', '?')} cores"
    yield f"- torch's threads: {machine['threads']}"
    yield f"- system: {machine['system']}, {machine['machine']}"
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"- {machine['python_implementation']} {machine['python_version']}, {packages}"
    for kind, device in machine["devices"].items():
        name = "" if device["name"] == kind else f" ({device['name']})"
        copying = device["copy_bandwidth"] / 1e9
        yield f"- {kind}{name}: copying moves {copying:,.1f} GB/s, read and written together"
    if "cuda" not in machine["devices"]:
        yield "- no CUDA device: what runs on one was left out"
