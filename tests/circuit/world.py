"""Several processes around one store, in one event loop, with one clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping

from activities.circuit.gate import CircuitOpen, Gate
from activities.circuit.passage import OnStoreLoss
from activities.circuit.state import Policy
from activities.circuit.ticket import Ticket
from tests.circuit.memory import MemoryStore

KEY = "api.test model"
EVEN = Policy(jitter=0.0)


class World:
    """Each gate is a process: its own monotonic clock, far from the store's and from the others'."""

    def __init__(self, policy: Policy = EVEN, processes: int = 1, on_store_loss: OnStoreLoss = "local") -> None:
        self.store = MemoryStore()
        self.elapsed = 0.0
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self._policy = policy
        self._on_store_loss = on_store_loss
        self.gates: list[Gate] = []
        for _ in range(processes):
            self.join()

    def join(self) -> Gate:
        """One more process."""
        number = len(self.gates)
        gate = Gate(
            self.store,
            self._policy,
            worker=f"w{number}",
            on_store_loss=self._on_store_loss,
            report=lambda name, fields: self.told.append((name, fields)),
            clock=lambda: 500.0 + 100.0 * number + self.elapsed,
        )
        self.gates.append(gate)
        return gate

    def wait(self, seconds: float) -> None:
        self.elapsed += seconds
        self.store.now += seconds

    def events(self, scope: str | None = None) -> list[str]:
        return [name for name, fields in self.told if fields.get("scope") == scope]


async def fail(gate: Gate, times: int, *, unreachable: bool = False) -> None:
    for _ in range(times):
        ticket = await gate.enter(KEY)
        await ticket.failed(unreachable=unreachable)


async def succeed(gate: Gate, times: int) -> None:
    for _ in range(times):
        ticket = await gate.enter(KEY)
        await ticket.succeeded()


async def tries(gate: Gate) -> Ticket | CircuitOpen:
    """The ticket, or the refusal as a value."""
    try:
        return await gate.enter(KEY)
    except CircuitOpen as refusal:
        return refusal


async def refused(gate: Gate) -> CircuitOpen:
    """The refusal that is expected."""
    answer = await tries(gate)
    assert isinstance(answer, CircuitOpen), "it was let through"
    return answer
