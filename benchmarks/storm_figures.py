"""What a storm shows: how often each contender called a service that was down, and when its last run was done."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator import Entry

SPREAD_OF_STARTS = 1.0
"""Seconds over which the runs are started."""
SERVICE_TIME = 0.2
"""Seconds of one call to the healthy API. A refusal comes at once unless --refusal says otherwise."""
RECOVERY_TIMEOUT = 5.0
"""Seconds an open breaker waits before it probes: Breakwater's (by default 60) and the article's alike."""
THRESHOLD = 5
WORKERS = 2


@dataclass(frozen=True)
class Scenario:
    """What is wrong with the API, and for how long. Seconds."""

    name: str
    title: str
    lasts: float
    status: int
    known_after: int
    """Answers of this kind after which a client could know."""
    retry_after: float | None = None

    def rules(self, scale: float, refusal: float) -> list[dict[str, object]]:
        """The stand-in's rules, from the moment they are loaded; a refusal takes so long."""
        fault: dict[str, object] = {"kind": "status", "status": self.status}
        if self.retry_after is not None:
            fault["retry_after"] = f"{self.retry_after * scale:g}"
        return [{"fault": fault, "until": self.lasts * scale, "latency": refusal * scale}]


OUTAGE = Scenario("outage", "529 for 70 s", 70, 529, THRESHOLD)
THROTTLE = Scenario("throttle", "429 with retry-after: 12 for 30 s", 30, 429, 1, retry_after=12)
SCENARIOS = {each.name: each for each in (OUTAGE, THROTTLE)}
NAMES = {
    "breakwater": "Breakwater",
    "article": "article's breaker",
    "waiting": "article's, denied wait",
    "temporal": "plain Temporal retries",
    "asyncio": "no breaker, exp. retries",
    "pydantic-ai": "pydantic-ai on Temporal",
    "openai-agents": "OpenAI Agents on Temporal",
}


@dataclass(frozen=True)
class Figures:
    """What was measured of one contender. Times are seconds."""

    scenario: str
    contender: str
    runs: int
    wasted: int
    """Requests answered 529 or 429."""
    in_flight: int
    """Of these, sent before the refusals that tell (five 529s, one 429) had come back: nobody could have known."""
    last_done: float
    """From the recovery of the API until the last run was done."""
    failed: int
    peak: int
    """Most requests in any one second."""
    probes: int
    """Most requests to the ailing API in one service time, once it could be known to be ailing."""
    requests: list[float]
    """When each request arrived, from the start."""


def figures(
    scenario: Scenario,
    scale: float,
    contender: str,
    entries: Sequence[Entry],
    started: float,
    done: Sequence[float | None],
) -> Figures:
    """What the stand-in's journal and the callers say. `started` is on the journal's clock."""
    refused = [entry for entry in entries if entry.status == scenario.status]
    ends = sorted(entry.finished_at for entry in refused if entry.finished_at is not None)
    known = ends[min(scenario.known_after, len(ends)) - 1]
    finished = [at for at in done if at is not None]
    # Half a second for those who are on their way when it becomes known.
    later = [entry.at for entry in refused if entry.at > known + SPREAD_OF_STARTS * scale / 2]
    arrivals = [entry.at - started for entry in entries]
    return Figures(
        scenario=scenario.name,
        contender=contender,
        runs=len(done),
        wasted=len(refused),
        in_flight=sum(entry.at <= known for entry in refused),
        last_done=max(finished, default=float("nan")) - scenario.lasts * scale,
        failed=len(done) - len(finished),
        peak=busiest(arrivals, scale),
        probes=busiest(later, SERVICE_TIME * scale),
        requests=[round(at, 3) for at in arrivals],
    )


def busiest(times: Sequence[float], span: float) -> int:
    """The most of `times` that lie in any one span."""
    ordered = sorted(times)
    return max((bisect_left(ordered, at + span) - number for number, at in enumerate(ordered)), default=0)


def table(found: Sequence[Figures], scale: float, store: str, refusal: float = 0.0) -> str:
    """The figures as people read them."""
    lines = []
    for scenario in SCENARIOS.values():
        rows = [each for each in found if each.scenario == scenario.name]
        if not rows:
            continue
        lines += [
            "",
            f"{rows[0].runs} runs of one call, {scenario.title}"
            + (f", each after {refusal:g} s" if refusal else ", at once")
            + ("" if scale == 1 else f" (every duration × {scale:g}: not a measurement)")
            + f"; Breakwater: {WORKERS} processes, {store}, BREAKER_RECOVERY_TIMEOUT={RECOVERY_TIMEOUT:g};"
            + f" the article's the same {RECOVERY_TIMEOUT:g} s",
            f"{'':<26}{'wasted calls':>13}{'avoidable':>14}{'last run done':>15}{'failed':>8}{'busiest s':>11}"
            f"{'probes at once':>16}",
        ]
        for each in rows:
            lines.append(
                f"{NAMES[each.contender]:<26}{each.wasted:>13}{each.wasted - each.in_flight:>14}"
                f"{f'+{each.last_done:.1f} s':>15}{each.failed:>8}{each.peak:>11}{each.probes:>16}"
            )
    lines += [
        "",
        "avoidable: wasted calls sent after the answers that tell (five 529s, one 429) were given.",
        f"probes at once: most requests to the ailing API within {SERVICE_TIME:g} s, once it could be known.",
    ]
    return "\n".join(lines)


def plot(found: Sequence[Figures], scale: float, file: Path) -> None:
    """Requests per second over time: a column per scenario, a row per contender, one pair of axes for all."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    colours = {
        "breakwater": "#0b6e99",
        "article": "#c2571a",
        "waiting": "#a3862a",
        "temporal": "#7a4fa3",
        "asyncio": "#8a8a8a",
        "pydantic-ai": "#b03a6f",
        "openai-agents": "#2f8f6b",
    }
    names = [name for name in SCENARIOS if any(each.scenario == name for each in found)]
    rows = [name for name in NAMES if any(each.contender == name for each in found)]
    figure, axes = plt.subplots(
        len(rows), len(names), sharex="col", sharey=True, squeeze=False, layout="constrained",
        figsize=(6.6 * len(names), 1.1 + 1.55 * len(rows)),
    )  # fmt: skip
    for each in found:
        scenario = SCENARIOS[each.scenario]
        axis = axes[rows.index(each.contender)][names.index(each.scenario)]
        seconds = [int(at / scale) for at in each.requests]
        longest = max(int(max(other.requests) / scale) for other in found if other.scenario == each.scenario) + 3
        per_second = [seconds.count(second) for second in range(longest)]
        colour = colours[each.contender]
        axis.axvspan(0, scenario.lasts, color="#d6453d", alpha=0.10, linewidth=0)
        axis.plot(range(longest), per_second, color=colour, linewidth=1.4, drawstyle="steps-post")
        axis.fill_between(range(longest), per_second, step="post", color=colour, alpha=0.25, linewidth=0)
        axis.axvline(scenario.lasts + each.last_done / scale, color=colour, linewidth=1, linestyle=(0, (3, 2)))
        axis.set_title(NAMES[each.contender], loc="left", fontsize=10, fontweight="bold", color=colour, pad=3)
        axis.set_title(
            f"{each.wasted} wasted · last run {each.last_done / scale:+.0f} s"
            + (f" · {each.failed} failed" if each.failed else ""),
            loc="right", fontsize=9, pad=3,
        )  # fmt: skip
        axis.set_yscale("symlog", linthresh=1)
        axis.set_ylim(0, 110)
        axis.set_xlim(0, longest)
        axis.yaxis.set_major_locator(FixedLocator([0, 1, 10, 60]))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.grid(axis="y", color="#000000", alpha=0.10, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8, length=2)
    for column, name in enumerate(names):
        axis = axes[0][column]
        axis.annotate(
            f"{name}: {SCENARIOS[name].title}", (0, 1), xytext=(0, 24), xycoords="axes fraction",
            textcoords="offset points", fontsize=11,
        )  # fmt: skip
        axes[-1][column].set_xlabel("seconds since the first run started; dashed: the last run is done", fontsize=9)
    figure.supylabel("requests per second (log)", fontsize=9)
    figure.savefig(file, dpi=150)
    plt.close(figure)
