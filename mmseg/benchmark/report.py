"""A measurement as a table."""

from collections.abc import Iterator, Mapping, Sequence

from mmseg.evaluation.report import render_table

COLUMNS = (
    *("measured", "batch", "side", "ms", "p20", "p80", "1/s", "peak MB", "growth", "waiting"),
    *("ours is faster", "p20", "p80", "our peak"),
)


def results_table(results: Sequence[Mapping], title: str) -> str:
    """Draw medians and percentiles of all sides, and of the others how they compare with ours."""
    return render_table(COLUMNS, [row for result in results for row in _rows(result)], title)


def _rows(result: Mapping) -> Iterator[list[str]]:
    against = {entry["side"]: entry for entry in result["against"]}
    for entry in result["sides"]:
        times = [f"{entry[key] * 1e3:.2f}" for key in ("median", "p20", "p80")]
        rate = f"{result['batch'] / entry['median']:.1f}"
        row = [result["measured"], result["batch"], entry["side"], *times, rate, *_memory(entry)]
        share = entry.get("waiting_share")
        row.append("" if share is None else f"{share:.1%}")
        yield [*map(str, row), *_comparison(against.get(entry["side"]))]


def _memory(entry: Mapping) -> list[str]:
    if "peak_cuda_mb" in entry:
        return [f"{entry['peak_cuda_mb']:.0f} (GPU)", ""]
    before = entry["rss_before_mb"]
    peak = entry["peak_rss_mb"]
    return [f"{peak:.0f}", "" if before is None else f"{peak - before:.0f}"]


def _comparison(entry: Mapping | None) -> list[str]:
    if entry is None:
        return [""] * 4
    times = [f"x{entry['times_as_fast'][key]:.2f}" for key in ("median", "p20", "p80")]
    return [*times, f"{entry['peak_share']:.2f}"]
