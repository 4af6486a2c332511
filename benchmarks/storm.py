"""Sixty runs of one call meet an API that is down: what each way of retrying sends to it, and when the runs are done.

    python -m benchmarks.storm                              # both scenarios and the gate's own cost, about 10 minutes
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

and, if `make peers` has installed them, frameworks in a process and an environment of their own, with their defaults,
which benchmarks/peers has beside the little that was set (waits that double up to 100 s instead of 60, for one):

    pydantic-ai     an agent with TemporalDurability
    openai-agents   an agent under Temporal's OpenAIAgentsPlugin, with LiteLLM for Claude

None of them gives up. Breakwater and each framework are measured alone; the others share the machine, which they leave
idle. Everything listens on loopback, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import click
from temporalio.client import WorkflowFailureError

from activities.claude import claude
from benchmarks.gate import GATE_CALLS, gate_costs
from benchmarks.peers import frameworks
from benchmarks.peers.usual import Call
from benchmarks.rig import temporal_server
from benchmarks.storm_contenders import CONTENDERS, TOGETHER, Bench, one_call
from benchmarks.storm_figures import (
    SCENARIOS,
    SERVICE_TIME,
    SPREAD_OF_STARTS,
    Figures,
    Scenario,
    figures,
    plot,
    table,
)
from benchmarks.storm_worker import SILENCE
from hosting.home import Home
from simulator import ServerOptions, Simulator


async def warm_up() -> None:
    """One call: what the SDK loads for its first would hold up every contender of this process."""
    async with Simulator() as simulator, claude(SILENCE, simulator.url) as model:
        await one_call(model)()


async def measure(bench: Bench, contender: str, all_ready: asyncio.Barrier) -> Figures:
    """One contender through one scenario, with a stand-in of its own, from when all beside it are ready."""
    async with AsyncExitStack() as stack:
        born = monotonic()
        simulator = await stack.enter_async_context(Simulator(ServerOptions(latency=SERVICE_TIME * bench.scale)))
        model = await stack.enter_async_context(claude(SILENCE, simulator.url))
        runs = await stack.enter_async_context(CONTENDERS[contender](bench, simulator.url, model))
        await all_ready.wait()
        simulator.rules(bench.scenario.rules(bench.scale, bench.refusal))
        warming = len(simulator.journal.entries())
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
        entries = simulator.journal.entries()[warming:]
        (bench.folder / f"{bench.scenario.name}-{contender}.jsonl").write_text(
            "".join(json.dumps(asdict(entry)) + "\n" for entry in entries)
        )
    return figures(bench.scenario, bench.scale, contender, entries, started - born, done)


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
    """Every contender through every scenario, a group of them at a time."""
    found: list[Figures] = []
    await warm_up()
    async with temporal_server(Home(folder)) as client:
        for scenario in scenarios:
            bench = Bench(client, scenario, runs, scale, refusal, store, folder)
            for group in TOGETHER:
                chosen = [name for name in group if name in contenders]
                if not chosen:
                    continue
                click.echo(f"{scenario.name}: {', '.join(chosen)} …", err=True)
                all_ready = asyncio.Barrier(len(chosen))
                found += await asyncio.gather(*(measure(bench, name, all_ready) for name in chosen))
    return found


def who(asked: Sequence[str]) -> list[str]:
    """Those that were asked for, or everyone who is installed; one line names who is not. Raises UsageError."""
    missing = [name for name in frameworks.missing() if not asked or name in asked]
    if missing and asked:
        raise click.UsageError(frameworks.left_out(missing))
    if missing:
        click.echo(frameworks.left_out(missing), err=True)
    return [name for name in CONTENDERS if name not in missing and (not asked or name in asked)]


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
    measured = who(contenders)
    chosen = list(SCENARIOS.values()) if scenario == "both" else [SCENARIOS[scenario]]
    with TemporaryDirectory() as temporary:
        folder = logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(
            storm(
                chosen,
                measured,
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
            "versions": {name: frameworks.versions(name) for name in measured if name in frameworks.FRAMEWORKS},
            "contenders": [asdict(each) for each in found],
        }
        file.write_text(json.dumps(figures, indent=1) + "\n")
        print(f"written to {file}", file=sys.stderr)
    if picture:
        plot(found, scale, picture)
        print(f"drawn to {picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
