"""A measurement as a table."""

from collections.abc import Iterator, Mapping, Sequence

from mmseg.evaluation.report import render_table

COLUMNS = (
    *("measured", "side", "ms (p20 - p80)", "1/s", "peak MB", "growth", "waiting"),
    *("ours is faster (p20 - p80)", "our peak"),
)


def results_table(results: Sequence[Mapping], title: str) -> str:
    """Draw medians and percentiles of all sides, and of the others how they compare with ours."""
    return render_table(COLUMNS, [row for result in results for row in _rows(result)], title)


def _rows(result: Mapping) -> Iterator[list[str]]:
    against = {entry["side"]: entry for entry in result["against"]}
    for entry in result["sides"]:
        what = result["measured"] + (f", batch {result['batch']}" if result["batch"] > 1 else "")
        time = _spread({key: entry[key] * 1e3 for key in ("median", "p20", "p80")})
        rate = f"{result['batch'] / entry['median']:.1f}"
        share = entry.get("waiting_share")
        waiting = "" if share is None else f"{share:.1%}"
        row = [what, entry["side"], time, rate, *_memory(entry), waiting]
        yield [*row, *_comparison(against.get(entry["side"]))]


def _memory(entry: Mapping) -> list[str]:
    if "peak_cuda_mb" in entry:
        return [f"{entry['peak_cuda_mb']:.0f} (GPU)", ""]
    peak = entry["peak_rss_mb"]
    return [f"{peak:.0f}", f"{peak - entry['rss_before_mb']:.0f}"]


def _comparison(entry: Mapping | None) -> list[str]:
    if entry is None:
        return ["", ""]
    return [f"x{_spread(entry['times_as_fast'])}", f"{entry['peak_share']:.2f}"]


def _spread(values: Mapping[str, float]) -> str:
    return "{median:.2f} ({p20:.2f} - {p80:.2f})".format(**values)


def version_lines(results: Sequence[Mapping]) -> list[str]:
    """Return a line for each project: its python and packages."""
    used = {e["side"].split(",")[0]: e["versions"] for result in results for e in result["sides"]}
    return [f"{name}: {', '.join(map(' '.join, own.items()))}" for name, own in used.items()]


def check_notes(checked: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line for each side that was found to compute the same."""
    return [
        f"ours and {name} computed the same before; largest differences: "
        + ", ".join(f"{what} {gap:.1e}" for what, gap in gaps.items())
        for name, gaps in checked.items()
    ]
