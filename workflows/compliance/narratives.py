"""Words about a finished review: what the narrator is shown, and what its words may not say.

A narrative may add words, never findings: each domain keeps the status the table gives it, nothing is counted, and no
figure appears that the table does not quote. It is read strictly, sentence by sentence; in doubt it is not printed, for
the table stands without it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from workflows.compliance.reviews import Overall, Row, RowStatus
from workflows.subagents.narrator import NarrateRequest, NarrateRow, Narrative


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNCHECKED: Final = frozenset[RowStatus]({"error", "timeout", "not_run"})
_SENTENCE = re.compile(r"[.!?;\n]+(?=\s|$)|\n")
_WORD = re.compile(r"[\w'’-]+")
_FIGURE = re.compile(r"\w*\d[\w.,%/-]*")
_COUNTS = _words(
    "all both every everybody everyone everything none half majority most neither dozen hundred thousand million zero"
    " one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
)
_MEANINGS: Mapping[RowStatus, frozenset[str]] = {
    "pass": _words(
        "pass passes passed passing clear clears cleared clean compliant acceptable approve approves approved"
    ),
    "fail": _words("fail fails failed failing reject rejects rejected non-compliant noncompliant"),
    "inconclusive": _words("inconclusive undecided"),
    "error": _words("error errors"),
    "timeout": _words("timeout timed"),
}
_CHECKED = _words("run checked reviewed examined")
"""After a negation: the domain has no verdict."""
_NEGATIONS = _words("not never no nor cannot without")
_REACH = 3
"""Words between a negation and what it negates, at most."""
_ALL: Final = frozenset[RowStatus]({"pass", "fail", "inconclusive", "error", "timeout", "not_run"})
_OVERALL: Mapping[Overall, frozenset[RowStatus]] = {
    "PASS": frozenset({"pass"}),
    "FAIL": frozenset({"fail"}),
    "INCOMPLETE": UNCHECKED | {"inconclusive"},
}
"""What a sentence that names no domain may say: it speaks of the whole."""


def to_narrate(rows: Sequence[Row], outcome: Overall) -> NarrateRequest:
    """The table as the narrator sees it."""
    return NarrateRequest(
        outcome=outcome,
        rows=[
            NarrateRow(
                domain=row.domain,
                status=row.status,
                cause=row.cause,
                issues=[f"{issue.code} ({issue.severity}): {issue.evidence}" for issue in row.issues],
            )
            for row in rows
        ],
    )


def contradictions(narrative: Narrative, rows: Sequence[Row], outcome: Overall) -> list[str]:
    """What a narrative says that the table does not; a narrative with any is not printed."""
    statuses = {row.domain.upper(): row.status for row in rows}
    found = []
    for claim in narrative.claims:
        known = statuses.get(claim.domain.upper())
        if known is None:
            found.append(f"it speaks of {claim.domain[:40]!r}, which was not asked for")
        elif known != claim.status.lower():
            found.append(f"it says {claim.domain} is {claim.status[:40]!r}, the table says {known!r}")
    claimed = {claim.domain.upper() for claim in narrative.claims}
    for sentence in _SENTENCE.split(narrative.narrative):
        words = _WORD.findall(sentence.lower().replace("’", "'"))
        named = [name for name in statuses if name.lower() in words]
        found += [f"it mentions {name} and claims nothing of it" for name in named if name not in claimed]
        possible = [{statuses[name]} for name in named] or [set(_OVERALL[outcome])]
        for word, meant in _said(words):
            if not all(each & meant for each in possible):
                found.append(f"it says {word!r} of {', '.join(named) or 'the whole'}, the table does not")
        found += [f"it counts: {word!r}" for word in words if word in _COUNTS]
    shown = " ".join(
        [*statuses, *(row.cause or "" for row in rows)]
        + [f"{issue.code} {issue.evidence} {issue.where}" for row in rows for issue in row.issues]
    )
    quoted = set(_figures(shown))
    found += [f"it gives the figure {figure!r}" for figure in _figures(narrative.narrative) if figure not in quoted]
    found += [
        f"it gives the figure {each!r}" for each in narrative.narrative if each.isnumeric() and not each.isdecimal()
    ]
    return list(dict.fromkeys(found))


def _said(words: Sequence[str]) -> Iterator[tuple[str, frozenset[RowStatus]]]:
    """Each word that gives a status, and the statuses it allows; a negation before it turns it round."""
    for place, word in enumerate(words):
        negated = any(each in _NEGATIONS or each.endswith("n't") for each in words[max(place - _REACH, 0) : place])
        if meant := frozenset(status for status, known in _MEANINGS.items() if word in known):
            yield (f"not {word}", _ALL - meant) if negated else (word, meant)
        elif word in _CHECKED and negated:
            yield f"not {word}", UNCHECKED
        elif word == "unchecked":
            yield word, UNCHECKED


def _figures(text: str) -> list[str]:
    return [figure.rstrip(".,-/").upper() for figure in _FIGURE.findall(text)]
