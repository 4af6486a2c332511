"""The rules again, written another way: as a mutable object that remembers whole calls, not as steps over a state.

It knows nothing of generations or tokens. A call's result counts if the call is in `live`, and each transition empties
that. It exists to disagree with `machine` if either is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from activities.circuit.state import Policy


@dataclass(eq=False)
class Call:
    """A permitted call, identified by being itself."""

    begun: float
    probe: bool
    lease_ends: float = 0.0


@dataclass
class Model:
    """One circuit."""

    policy: Policy
    mode: str = "closed"
    opens_again: float = 0.0
    pause_ends: float | None = None
    live: set[Call] = field(default_factory=set)
    probes: list[Call] = field(default_factory=list)
    admits: int = 0
    wins: int = 0
    row: list[float] = field(default_factory=list)
    results: list[tuple[float, bool]] = field(default_factory=list)

    def ask(self, now: float) -> Call | None:
        if self.mode == "open":
            if now < self.opens_again:
                return None
            self._recover()
        if self.pause_ends is not None:
            if now < self.pause_ends:
                return None
            self.pause_ends = None
            if self.mode == "closed":
                self._recover()
        if self.mode == "closed":
            call = Call(now, probe=False)
            self.live.add(call)
            return call
        while len(self.probes) >= self.policy.ramp[self.admits]:
            oldest = min(self.probes, key=lambda probe: probe.lease_ends)
            if oldest.lease_ends > now or self._expired(now) <= len(self.probes) - self.policy.ramp[self.admits]:
                return None
            self.probes.remove(oldest)
        call = Call(now, probe=True, lease_ends=now + self.policy.probe_lease)
        self.probes.append(call)
        return call

    def succeed(self, call: Call, now: float) -> None:
        if call in self.probes:
            self.probes.remove(call)
            self.wins += 1
            if self.wins == self.policy.ramp[self.admits]:
                self.wins = 0
                self.admits += 1
                if self.admits == len(self.policy.ramp):
                    self._begin("closed")
        elif call in self.live and self.mode == "closed":
            self._forget_old(now)
            if self.row or any(bad for _, bad in self.results):
                self.results.append((now, False))
            if self.row and call.begun >= self.row[0]:
                self.row = []

    def fail(self, call: Call, now: float, wait: float) -> None:
        if call in self.probes:
            self._trip(now, wait)
        elif call in self.live and self.mode == "closed":
            self._forget_old(now)
            self.row.append(now)
            self.results.append((now, True))
            last = self.results[-self.policy.window :]
            bad = sum(failed for _, failed in last)
            enough = len(last) >= self.policy.minimum_calls
            if len(self.row) >= self.policy.failure_threshold or (
                enough and bad >= self.policy.failure_rate * len(last)
            ):
                self._trip(now, wait)

    def throttle(self, call: Call, now: float, pause: float) -> None:
        if call in self.probes or (call in self.live and self.mode == "closed"):
            if call in self.probes:
                self.probes.remove(call)
            self.admits = self.wins = 0
            self.pause_ends = max(self.pause_ends or 0.0, now + pause)

    def leave(self, call: Call) -> None:
        if call in self.probes:
            self.probes.remove(call)

    def renew(self, call: Call, now: float) -> None:
        if call in self.probes:
            call.lease_ends = now + self.policy.probe_lease

    def reset(self) -> None:
        self._begin("closed")

    def _trip(self, now: float, wait: float) -> None:
        until = max(now + wait, self.pause_ends or 0.0)
        self._begin("open")
        self.opens_again = until

    def _recover(self) -> None:
        self._begin("half_open")

    def _begin(self, mode: str) -> None:
        self.mode = mode
        self.pause_ends = None
        self.live, self.probes, self.row, self.results = set(), [], [], []
        self.admits = self.wins = 0

    def _expired(self, now: float) -> int:
        return sum(probe.lease_ends <= now for probe in self.probes)

    def _forget_old(self, now: float) -> None:
        self.row = [at for at in self.row if now - at < self.policy.window_age]
        self.results = [
            entry for entry in self.results[-self.policy.window :] if now - entry[0] < self.policy.window_age
        ]
