"""What people say of decisions: that they were right or wrong. Nothing is learned from it but the rates.

A review belongs to its decision in the journal: it is forgotten with it, and erased with the person.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import sqlalchemy as sa

from gallery import ledger
from gallery.report import count_rate
from gallery.scope import Scope
from gallery.store import Transaction
from gallery.tables import decisions
from voxgraph.errors import Conflict, NotFound
from voxgraph.results import Decision, DecisionReview, OperatingPoint, ReviewSummary, Verdict

Kind = Literal["verify", "identify"]
ACCEPTING = (Decision.MATCH,)
REJECTING = (Decision.NO_MATCH, Decision.UNKNOWN)
"""Decisions that can be right or wrong; the others claim nothing."""


def review(
    transaction: Transaction, scope: Scope, decision_id: str, verdict: Verdict, actor: str
) -> DecisionReview:
    """Say of a decision that it was right or wrong; the last word counts, and the same word again is none.

    Raises:
        NotFound: The journal has no such decision, or no longer.
        Conflict: It says nothing that could be right or wrong.
    """
    row = (
        transaction.execute(
            sa.select(decisions).where(decisions.c.id == decision_id, _is_kept(transaction, scope))
        ).first()
        if decision_id.isprintable()
        else None
    )
    if row is None:
        raise NotFound("The journal of the gallery has no such decision.")
    if row.decision not in (*ACCEPTING, *REJECTING):
        raise Conflict(f"The decision {row.decision} names nobody and excludes nobody: it cannot be wrong.")
    if row.verdict != verdict:
        transaction.execute(
            decisions.update().where(decisions.c.id == decision_id).values(
                verdict=verdict, reviewed_at=transaction.now, reviewed_by=actor
            )
        )  # fmt: skip
        details = {"verdict": verdict, "decision": row.decision}
        ledger.append(transaction, scope.tenant, actor, "decision.review", decision_id, details)
        row = transaction.execute(sa.select(decisions).where(decisions.c.id == decision_id)).one()
    return DecisionReview(
        row.id, row.kind, Decision(row.decision), row.figures["operating_point"], row.at, row.verdict,
        row.reviewed_at, row.reviewed_by,
    )  # fmt: skip


def summaries(transaction: Transaction, scope: Scope) -> tuple[ReviewSummary, ...]:
    """Count the decisions of the journal and what was said of them, by kind and operating point."""
    point = decisions.c.figures["operating_point"].as_string()
    query = (
        sa.select(
            decisions.c.kind, point.label("point"), decisions.c.decision, decisions.c.verdict,
            sa.func.count().label("decisions"),
        )
        .where(_is_kept(transaction, scope)).group_by(sa.text("1, 2, 3, 4"))
    )  # fmt: skip
    found: dict[tuple[Kind, OperatingPoint], dict[str | None, Counter[str]]] = {}
    for row in transaction.execute(query):
        by_verdict = found.setdefault((row.kind, row.point), {})
        by_verdict.setdefault(row.verdict, Counter())[row.decision] += row.decisions
    return tuple(_summary(kind, name, counts) for (kind, name), counts in sorted(found.items()))


def _is_kept(transaction: Transaction, scope: Scope) -> sa.ColumnElement[bool]:
    """Whether a decision is of the gallery and not older than the policy keeps it."""
    oldest = transaction.now - timedelta(days=scope.policy.journal_days)
    return sa.and_(decisions.c.gallery_id == scope.id, decisions.c.at > oldest)


def _summary(kind: Kind, point: OperatingPoint, counts: Mapping[str | None, Counter[str]]) -> ReviewSummary:
    confirmed, rejected = counts.get("confirmed", Counter()), counts.get("rejected", Counter())
    false_accepts, false_rejects = (sum(rejected[name] for name in names) for names in (ACCEPTING, REJECTING))
    true_accepts, true_rejects = (sum(confirmed[name] for name in names) for names in (ACCEPTING, REJECTING))
    return ReviewSummary(
        kind, point,
        made=dict(sum(counts.values(), Counter())), confirmed=dict(confirmed), rejected=dict(rejected),
        wrong_matches=count_rate(false_accepts, false_accepts + true_accepts),
        false_accepts=count_rate(false_accepts, false_accepts + true_rejects),
        false_rejects=count_rate(false_rejects, false_rejects + true_accepts),
    )  # fmt: skip
