"""The fairness benchmark: its counting; that tenants take turns is tested in tests/pipelines/test_fairness.py."""

from __future__ import annotations

import pytest

from benchmarks.fairness import Figures, p95, table


def test_a_handful_has_its_longest_for_a_p95() -> None:
    """Twenty have a real one."""
    assert p95([1.0, 3.0, 2.0]) == 3.0
    assert p95([1.0] * 99 + [50.0]) == pytest.approx(1.0)


def test_the_table_has_ratios_first() -> None:
    """Times alone, and what was compared."""
    found = Figures(5, 500, 50, 2.0, alone_p95_s=2.0, one_line_p95_s=20.0, taking_turns_p95_s=3.0, many_done_s=25.0)
    assert found.ratio == 1.5
    lines = table(found).splitlines()
    assert "50 slots" in lines[0]
    assert [line.split("×")[0].split()[-1] for line in lines[1:4]] == ["1.00", "1.50", "10.00"]
