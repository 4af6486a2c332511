"""The pictures of BENCHMARKS.md, as small PNGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.storm_figures import Figures, plot

OURS = "#0b6e99"
OTHERS = "#8a8a8a"


def bars(file: Path, unit: str, rows: Sequence[tuple[str, float, bool]]) -> None:
    """One horizontal bar for each row (what, how much, whether it is ours), the first on top."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7.2, 0.7 + 0.42 * len(rows)), layout="constrained")
    drawn = axis.barh(
        [what for what, _, _ in rows],
        [much for _, much, _ in rows],
        color=[OURS if ours else OTHERS for _, _, ours in rows],
        height=0.62,
    )
    axis.bar_label(drawn, labels=[f"{much:.3g}" for _, much, _ in rows], padding=4, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlabel(unit, fontsize=9)
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9, length=2)
    # Without the time and the version of the library: the same figures are the same file.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


def storm(found: Mapping[str, Any], file: Path) -> None:
    """Requests per second of every contender."""
    plot([Figures(**each) for each in found["contenders"]], found["scale"], file)
