"""Compliance review: one reviewer for each domain, all at once, and a report made by code from what was asked for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from temporalio import workflow

from workflows.caps import Bound
from workflows.compliance.domains import DEFAULT, MOST_DOMAINS, Domain, Domains
from workflows.compliance.narratives import contradictions, to_narrate
from workflows.compliance.reviews import Overall, Row, advice, headline, lost, overall, row_of
from workflows.compliance.tables import as_markdown, as_text
from workflows.compliance.transactions import Format, fits, read
from workflows.contracts import Reply, RunReport
from workflows.delegate import delegate
from workflows.models import Model
from workflows.policies import Policy, Require
from workflows.run import Outcome, Run, RunInput, RunResult
from workflows.state import Slot, digest
from workflows.subagents.narrator import NARRATOR, Narrative
from workflows.subagents.reviewer import Review, ReviewRequest, reviewer_of

TRANSACTION = "transaction/submitted"
NARRATIVE = "narrative/text"


class Transaction(BaseModel):
    """What is reviewed, as it was submitted."""

    content: JsonValue


class Earlier(BaseModel):
    """The report that a rerun adds to. It is never changed."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    rows: list[Row]


class Input(RunInput):
    """What is to be reviewed, for which domains, and when that is good enough."""

    transaction: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="The transaction: a JSON object or text."
    )
    format: Format = Field(
        default="auto", description="What the transaction is; auto takes what begins with { for a JSON object."
    )
    domains: Domains = Field(
        default=list(DEFAULT),
        description="What to review for: names (AML,KYC,FATF) or JSON records {name, instructions, required, model}.",
        json_schema_extra={"names": True, "shown_default": "AML,KYC,FATF"},
    )
    add_domains: Domains = Field(
        default=[],
        description="Domains beside those of --domains, as JSON records; so @sanctions.json adds one.",
        json_schema_extra={"names": True},
    )
    require: Require = Field(default="all", description="What makes a PASS: all required, quorum:K, or best-effort.")
    early_stop: bool = Field(
        default=False, description="Stop the other reviewers as soon as it cannot be a PASS any more."
    )
    narrative: bool = Field(default=False, description="Have the finished table put into words; they are checked.")
    reviewer_model: Model | None = Field(default=None, description="Model of domains that name none.")
    narrator_model: Model | None = Field(default=None, description="Model that writes the narrative.")
    only: list[str] | None = Field(
        default=None, description="Of a rerun: the domains to review again.", json_schema_extra={"internal": True}
    )
    earlier: Earlier | None = Field(
        default=None, description="Of a rerun: what it adds to.", json_schema_extra={"internal": True}
    )

    @model_validator(mode="after")
    def _can_be_reviewed(self) -> Self:
        content = self.content()
        if not self.domains:
            raise ValueError("there is no domain to review for; name at least one, as --domains AML,KYC,FATF does")
        names = [domain.name.upper() for domain in self.all_domains]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the domain {twice} is named twice; a domain is reviewed once")
        if len(names) > MOST_DOMAINS:
            raise ValueError(f"{len(names)} domains are too many; a review takes at most {MOST_DOMAINS}")
        fits(content, len(names))
        if self.only == []:
            raise ValueError("name at least one domain to review again")
        if missing := [name for name in self.only or [] if name.upper() not in names]:
            raise ValueError(f"there is no domain {missing[0][:40]!r} in this review; there are {', '.join(names)}")
        policy = Policy.parse(self.require)
        if (policy.quorum or 0) > len(names):
            raise ValueError(f"require: {self.require} can never be met by {len(names)} domains")
        return self

    @property
    def all_domains(self) -> list[Domain]:
        """Everything that was asked for, in order: the rows of the report."""
        return [*self.domains, *self.add_domains]

    @property
    def paid_domains(self) -> list[Domain]:
        """The domains that are reviewed here: all of them, or those a rerun names."""
        only = None if self.only is None else {name.upper() for name in self.only}
        return [domain for domain in self.all_domains if only is None or domain.name.upper() in only]

    @property
    def models_used(self) -> list[str]:
        """Those of the roles, and those that domains name."""
        return [*super().models_used, *(domain.model for domain in self.paid_domains if domain.model)]

    def content(self) -> JsonValue:
        """The transaction as a JSON object, or as text. Raises ValueError if it is not what it promises to be."""
        return read(self.transaction, self.format)

    def again(self, report: RunReport[Result], only: list[str]) -> Input:
        """The input of a rerun: the same transaction, these domains paid for again, the other rows taken over."""
        if report.result is None:
            raise ValueError("the earlier run has no report to add to; start a new review")
        earlier = Earlier(run_id=report.run_id, rows=report.result.rows)
        # What the earlier report says must not stop what somebody asks for by name.
        return Input.model_validate({**dict(self), "only": only, "earlier": earlier, "early_stop": False})


class Result(RunResult):
    """The report. Made by code; a model contributed verdicts and, if asked, words."""

    outcome: Overall
    headline: str = Field(description="How many passed, failed and were not checked, of those asked for.")
    rows: list[Row] = Field(description="Exactly one for each domain that was asked for.")
    require: str
    transaction_sha256: str = Field(description="Of the transaction's canonical JSON.")
    narrative: str | None = None
    narrative_note: str | None = Field(default=None, description="Why there is no narrative although one was wanted.")
    earlier: str | None = Field(default=None, description="The run whose report this one adds to.")
    again: list[str] | None = Field(default=None, description="Of a rerun: the domains that were reviewed again.")

    def text(self) -> str:
        """The table, every issue, and what else there is to say."""
        return as_text(self.headline, self.rows, self._remarks())

    def markdown(self) -> str:
        """The same for a file."""
        return as_markdown(self.headline, self.rows, self._remarks())

    def _remarks(self) -> list[str]:
        remarks = [f"what makes a PASS: {self.require}", f"transaction sha256 {self.transaction_sha256}"]
        if self.earlier:
            taken = ", ".join(
                f"{row.domain} of {row.run_id}" for row in self.rows if row.domain not in (self.again or [])
            )
            remarks.append(
                f"an addendum to the report of {self.earlier}, which stands as it was; "
                f"reviewed again: {', '.join(self.again or [])}; taken over: {taken or 'nothing'}"
            )
        return [
            *([f"in a model's words, checked against the table: {self.narrative}"] if self.narrative else []),
            *([self.narrative_note] if self.narrative_note else []),
            *remarks,
        ]


@workflow.defn(name="compliance-review")
class ComplianceReview:
    """Reviews a transaction for every domain at once and reports each of them, checked or not."""

    @workflow.init
    def __init__(self, input: Input) -> None:
        # Only what a row is made of here: a verdict on anything else would be written and read by nobody.
        slots = {TRANSACTION: Slot(Transaction), NARRATIVE: Slot(Narrative)}
        slots |= {f"review/{domain.name}": Slot(Review) for domain in input.paid_domains}
        self.bookkeeping = Run[Result](input, slots)
        self.input = input
        self.sha256 = digest(input.content())
        self.replies: dict[str, Reply[Review]] = {}
        self.reviewing: dict[str, asyncio.Task[None]] = {}
        self.stopped_early = False

    @workflow.run
    async def run(self, input: Input) -> RunReport[Result]:
        return await self.bookkeeping.conduct(self.story(input))

    async def story(self, input: Input) -> Outcome[Result]:
        run = self.bookkeeping
        run.state.write(TRANSACTION, Transaction(content=input.content()), writer="submitter")
        run.at("reviewing " + ", ".join(domain.name for domain in self.input.paid_domains))
        run.keep(self.result())
        self.reviewing = {domain.name: asyncio.create_task(self.review(domain)) for domain in self.input.paid_domains}
        try:
            await asyncio.gather(*self.reviewing.values(), return_exceptions=True)
        finally:
            run.keep(self.result())
        for task in self.reviewing.values():
            if not task.cancelled():
                task.result()  # a defect is one, and not a row
        result = await self.narrated() if input.narrative else self.result()
        todo = advice(result.rows, result.outcome, run.id, self.bounds_met())
        return Outcome(self.stop_reason(result), result.outcome == "PASS", result, todo)

    async def review(self, domain: Domain) -> None:
        """One domain, whose failure is a row and nobody else's concern."""
        self.replies[domain.name] = await delegate(
            self.bookkeeping,
            reviewer_of(domain, self.input.reviewer_model),
            ReviewRequest(domain=domain.name),
            reads=[TRANSACTION],
            writes=f"review/{domain.name}",
        )
        self.bookkeeping.keep(self.result())
        # What arrived together with this is counted first: cancelled between its answer and its record, it would be
        # paid for and lost.
        await asyncio.sleep(0)
        open_ = [name for name in self.reviewing if name not in self.replies]
        if self.input.early_stop and open_ and lost(self.rows(), open_, Policy.parse(self.input.require)):
            self.stopped_early = True
            for name in open_:
                self.reviewing[name].cancel()

    def rows(self) -> list[Row]:
        """One row for each domain asked for, in the order of the asking."""
        mine = {domain.name for domain in self.input.paid_domains}
        taken = {row.domain: row for row in self.input.earlier.rows} if self.input.earlier else {}
        return [
            taken[domain.name] if domain.name in taken and domain.name not in mine else self.row(domain)
            for domain in self.input.all_domains
        ]

    def row(self, domain: Domain) -> Row:
        """What the state holds of a domain; where it holds nothing, what became of the reviewer."""
        key = f"review/{domain.name}"
        entry = self.bookkeeping.state.entries.get(key)
        review = self.bookkeeping.state.value(key, Review) if entry else None
        role = reviewer_of(domain, None).role
        reply = self.replies.get(domain.name) or next((r for r in self.bookkeeping.replies if r.role == role), None)
        row = row_of(domain, self.bookkeeping.id, review, entry.writer if entry else None, reply)
        if row.status == "not_run" and self.stopped_early and reply and reply.error_kind == "cancelled":
            row = row.model_copy(update={"cause": "stopped early: it could not be a PASS any more"})
        return row

    def result(self) -> Result:
        """The report as things stand."""
        rows = self.rows()
        outcome = overall(rows, Policy.parse(self.input.require))
        return Result(
            outcome=outcome,
            headline=headline(rows, outcome),
            rows=rows,
            require=self.input.require,
            transaction_sha256=self.sha256,
            earlier=self.input.earlier.run_id if self.input.earlier else None,
            again=[domain.name for domain in self.input.paid_domains] if self.input.earlier else None,
        )

    async def narrated(self) -> Result:
        """The report with words, if the words say nothing that the table does not."""
        self.bookkeeping.at("putting it into words")
        told = self.result()
        reply = await delegate(self.bookkeeping, NARRATOR, to_narrate(told.rows, told.outcome), writes=NARRATIVE)
        result = self.result()  # a verdict may have been put into the state meanwhile
        if reply.answer is None:
            note = f"no narrative: {reply.error_kind}: {reply.error_message}"
        elif result.rows != told.rows:
            note = "the narrative is not printed: the table has changed since it was written"
        elif wrong := contradictions(reply.answer, result.rows, result.outcome):
            note = f"the narrative is not printed: {'; '.join(wrong)}"
        else:
            return result.model_copy(update={"narrative": reply.answer.narrative})
        return result.model_copy(update={"narrative_note": note})

    def bounds_met(self) -> set[Bound]:
        """The bounds that stopped reviewers."""
        late = any(reply.error_kind == "deadline" for reply in self.replies.values())
        return self.bookkeeping.bounds.met | ({"deadline"} if late else set())

    def stop_reason(self, result: Result) -> str:
        """`reviewed` if every domain has a verdict, else what kept one from it."""
        if self.stopped_early:
            return "early_stop"
        if all(row.status in ("pass", "fail", "inconclusive") for row in result.rows):
            return "reviewed"
        kinds = [reply.error_kind for reply in self.replies.values()]
        return next((kind for kind in ("budget_exceeded", "deadline") if kind in kinds), "incomplete")
