"""The journal of decisions: what was decided about which voice, without the voice. It forgets after days."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

import sqlalchemy as sa

from gallery import ledger
from gallery.keys import new_id
from gallery.scope import Scope
from gallery.store import Transaction
from gallery.tables import decisions
from voxgraph.results import VoiceDecision


def write(
    transaction: Transaction,
    scope: Scope,
    kind: str,
    made: Sequence[tuple[VoiceDecision, str | None]],
    purpose: str | None,
    actor: str,
) -> list[str | None]:
    """Keep decisions and note in the ledger that voices were compared.

    Args:
        kind: ``verify`` or ``identify``.
        made: Decisions, and the id of the speaker each is about, if anybody.

    Returns:
        The id of each decision; None if the gallery keeps no journal.
    """
    ids = [new_id("dec") if scope.policy.journal_days else None for _ in made]
    rows = [
        {
            "id": decision_id, "tenant_id": scope.tenant, "gallery_id": scope.id, "kind": kind,
            "decision": str(decision.decision), "speaker_id": speaker_id, "at": transaction.now,
            "figures": {
                "llr": decision.llr, "margin": decision.margin, "probability": decision.probability,
                "threshold": decision.threshold, "operating_point": decision.operating_point,
                "purpose": purpose,
                "space": asdict(decision.space) if decision.space else None, "actor": actor,
                "evidence": asdict(decision.evidence) if decision.evidence else None,
            },
        }
        for decision_id, (decision, speaker_id) in zip(ids, made, strict=True)
        if decision_id
    ]  # fmt: skip
    if rows:
        transaction.connection.execute(decisions.insert(), rows)
    details = {
        "purpose": purpose, "decisions": [str(decision.decision) for decision, _ in made],
        "decision_ids": [each for each in ids if each],
    }  # fmt: skip
    ledger.append(transaction, scope.tenant, actor, f"voice.{kind}", scope.id, details)
    return ids


def of_speaker(transaction: Transaction, speaker_id: str) -> list[dict[str, object]]:
    """Return the kept decisions about a speaker as JSON, the oldest first."""
    query = sa.select(decisions).where(decisions.c.speaker_id == speaker_id).order_by(decisions.c.id)
    return [
        {
            "id": row.id, "kind": row.kind, "decision": row.decision, "at": row.at.isoformat(),
            "verdict": row.verdict, "reviewed_at": row.reviewed_at and row.reviewed_at.isoformat(),
            "reviewed_by": row.reviewed_by, **row.figures,
        }
        for row in transaction.execute(query)
    ]  # fmt: skip


def pass_on(transaction: Transaction, source_id: str, into_id: str) -> None:
    """Let decisions about a speaker count as those about the speaker who took over the references."""
    transaction.execute(
        decisions.update().where(decisions.c.speaker_id == source_id).values(speaker_id=into_id)
    )


def forget_old(transaction: Transaction, scope: Scope) -> int:
    """Remove the decisions that are older than the policy keeps them; return how many."""
    oldest = transaction.now - timedelta(days=scope.policy.journal_days)
    return transaction.execute(
        decisions.delete().where(decisions.c.gallery_id == scope.id, decisions.c.at <= oldest)
    ).rowcount
