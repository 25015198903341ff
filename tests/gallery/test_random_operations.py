"""Random operations by two tenants: whatever they do, the store is what a dict would be."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from postgres import database
from voices import CONSENT, MASTER_KEY, START, Clock, heard

from gallery.galleries import Galleries
from voxgraph.errors import Conflict, ConsentMissing, NotFound, SpeakerOptedOut
from voxgraph.results import Consent, Decision, GalleryPolicy, Verdict, VoiceDecision

POLICY = GalleryPolicy(duplicates="allow", max_references=4, active_speech_s=20.0)
EACH_S = 12.0
TENANTS = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["anna", "bob", "cleo"])
VOICES = st.sampled_from([0, 1, 2])
VOICE = {"anna": 0, "bob": 1, "cleo": 2}
DAYS = st.sampled_from([None, 5, 50])
_numbers = itertools.count()


@dataclass
class Person:
    display_name: str | None
    expires_at: datetime | None
    has_consent: bool = True
    voices: dict[str, int] = field(default_factory=dict)
    """Voice of each reference, by its id."""
    contents: dict[str, str] = field(default_factory=dict)
    """Recording of each reference that is known again, by its id."""


@dataclass
class Decided:
    tenant: str
    id: str
    decision: Decision
    person: Person | None
    at: datetime
    verdict: Verdict | None = None


class GalleryMachine(RuleBasedStateMachine):
    """Two tenants with a gallery of the same name in one store."""

    state: str | Path

    def __init__(self) -> None:
        super().__init__()
        number = next(_numbers)
        self.tenants = {"a": f"a{number}", "b": f"b{number}"}
        self.clock = Clock()
        self.store = Galleries(self.state, clock=self.clock)
        self.people: dict[str, dict[str, Person]] = {"a": {}, "b": {}}
        self.opted_out: dict[str, set[str]] = {"a": set(), "b": set()}
        self.decided: list[Decided] = []
        for tenant in self.tenants.values():
            self.store.create(tenant, "g", POLICY, actor="key")

    def teardown(self) -> None:
        for name, tenant in self.tenants.items():
            assert self.store.show(tenant, "g").speakers["opted_out"] == len(self.opted_out[name])
            assert self.store.verify_ledger(tenant).problems == ()
        self.store.close()

    def ask(self, tenant: str, method: str, *arguments: Any, **options: Any) -> Any:
        return getattr(self.store, method)(self.tenants[tenant], "g", *arguments, actor="key", **options)

    def missing(self, tenant: str, name: str) -> type[Exception] | None:
        """What an operation on a speaker raises who is not there."""
        if name in self.people[tenant]:
            return None
        return SpeakerOptedOut if name in self.opted_out[tenant] else NotFound

    def is_expired(self, person: Person) -> bool:
        return person.expires_at is not None and person.expires_at <= self.clock.now

    def state_of(self, person: Person) -> str:
        if self.is_expired(person):
            return "expired"
        return "active" if len(person.voices) * EACH_S >= POLICY.active_speech_s else "enrolling"

    @rule(tenant=TENANTS, name=NAMES, days=DAYS, display_name=st.sampled_from([None, "Somebody"]))
    def put(self, tenant: str, name: str, days: int | None, display_name: str | None) -> None:
        expires_at = None if days is None else self.clock.now + timedelta(days=days)
        consent = Consent(CONSENT.purposes, START, expires_at)
        arguments: dict[str, Any] = {"display_name": display_name, "consent": consent}
        if self.missing(tenant, name) is SpeakerOptedOut:
            with pytest.raises(SpeakerOptedOut):
                self.ask(tenant, "put_speaker", name, **arguments)
            return
        _, is_new = self.ask(tenant, "put_speaker", name, **arguments)
        assert is_new == (name not in self.people[tenant])
        person = self.people[tenant].setdefault(name, Person(None, None))
        person.display_name, person.expires_at, person.has_consent = display_name, expires_at, True

    @rule(tenant=TENANTS, name=NAMES)
    def enrol(self, tenant: str, name: str) -> None:
        voice = heard(VOICE[name], EACH_S)
        person = self.people[tenant].get(name)
        if error := self.missing(tenant, name):
            with pytest.raises(error):
                self.ask(tenant, "enrol", name, voice)
        elif person is None or not person.has_consent or self.is_expired(person):
            with pytest.raises(ConsentMissing):
                self.ask(tenant, "enrol", name, voice)
        else:
            answer = self.ask(tenant, "enrol", name, voice)
            refused = set()
            if len(person.voices) >= POLICY.max_references:
                refused.add("too_many_references")
            if person.voices and VOICE[name] not in person.voices.values():
                refused.add("reference_disagrees")
            assert {reason.code for reason in answer.reasons} == refused
            if not refused:
                person.voices[answer.reference.id] = VOICE[name]

    @rule(tenant=TENANTS, name=NAMES, number=st.integers(0, 1))
    def enrol_a_known_recording(self, tenant: str, name: str, number: int) -> None:
        """Recording `number` of a name: whoever has it already has it once."""
        person, content = self.people[tenant].get(name), f"{name} {number}"
        if person is None or not person.has_consent or self.is_expired(person):
            with pytest.raises(self.missing(tenant, name) or ConsentMissing):
                self.ask(tenant, "enrol", name, heard(VOICE[name], EACH_S), content=content.encode())
            return
        answer = self.ask(tenant, "enrol", name, heard(VOICE[name], EACH_S), content=content.encode())
        before = {reference for reference, known in person.contents.items() if known == content}
        assert answer.repeated == bool(before & set(person.voices))
        if answer.repeated:
            assert answer.reference.id in before
        elif answer.accepted:
            person.voices[answer.reference.id] = VOICE[name]
            person.contents[answer.reference.id] = content
        else:
            is_full = len(person.voices) >= POLICY.max_references
            assert is_full or VOICE[name] not in person.voices.values()

    @rule(tenant=TENANTS, name=NAMES, pick=st.integers(0, 3))
    def remove_reference(self, tenant: str, name: str, pick: int) -> None:
        person = self.people[tenant].get(name)
        if person is None or not person.voices:
            with pytest.raises((NotFound, SpeakerOptedOut)):
                self.ask(tenant, "remove_reference", name, "ref_unknown")
            return
        reference = sorted(person.voices)[pick % len(person.voices)]
        receipt = self.ask(tenant, "remove_reference", name, reference)
        assert receipt.removed["references"] == 1
        del person.voices[reference]

    @rule(tenant=TENANTS, name=NAMES)
    def erase(self, tenant: str, name: str) -> None:
        if error := self.missing(tenant, name):
            with pytest.raises(error):
                self.ask(tenant, "erase", name)
            return
        person = self.people[tenant].pop(name)
        assert self.ask(tenant, "erase", name).removed["references"] == len(person.voices)

    @rule(tenant=TENANTS, name=NAMES)
    def opt_out(self, tenant: str, name: str) -> None:
        self.ask(tenant, "opt_out", name)
        self.people[tenant].pop(name, None)
        self.opted_out[tenant].add(name)

    @rule(tenant=TENANTS, name=NAMES)
    def opt_in(self, tenant: str, name: str) -> None:
        if name in self.opted_out[tenant]:
            self.ask(tenant, "opt_in", name)
            self.opted_out[tenant].remove(name)
        else:
            with pytest.raises(NotFound):
                self.ask(tenant, "opt_in", name)

    @rule(tenant=TENANTS, name=NAMES)
    def withdraw(self, tenant: str, name: str) -> None:
        if error := self.missing(tenant, name):
            with pytest.raises(error):
                self.ask(tenant, "withdraw_consent", name)
            return
        self.ask(tenant, "withdraw_consent", name)
        person = self.people[tenant][name]
        person.voices, person.has_consent, person.expires_at = {}, False, None

    @rule(tenant=TENANTS, into=NAMES, source=NAMES)
    def merge(self, tenant: str, into: str, source: str) -> None:
        kept, gone = self.people[tenant].get(into), self.people[tenant].get(source)
        options = {"into": into, "source": source}
        if into == source or kept is None or gone is None:
            with pytest.raises((Conflict, NotFound)):
                self.ask(tenant, "merge", **options)
        elif len(kept.voices) + len(gone.voices) > POLICY.max_references:
            with pytest.raises(Conflict):
                self.ask(tenant, "merge", **options)
        elif not (kept.has_consent and gone.has_consent) or self.is_expired(kept) or self.is_expired(gone):
            with pytest.raises(ConsentMissing):
                self.ask(tenant, "merge", **options)
        else:
            self.ask(tenant, "merge", **options)
            kept.voices |= gone.voices
            kept.contents |= gone.contents
            ends = [end for end in (kept.expires_at, gone.expires_at) if end is not None]
            kept.expires_at = min(ends, default=None)
            del self.people[tenant][source]
            for decided in self.decided:
                if decided.person is gone:
                    decided.person = kept

    @rule(tenant=TENANTS)
    def delete_and_create(self, tenant: str) -> None:
        self.ask(tenant, "delete")
        self.store.create(self.tenants[tenant], "g", POLICY, actor="key")
        self.people[tenant], self.opted_out[tenant] = {}, set()
        self.decided = [each for each in self.decided if each.tenant != tenant]

    @rule(days=st.sampled_from([1, 10]))
    def time_passes(self, days: int) -> None:
        self.clock.advance(days=days)

    @rule()
    def sweep(self) -> None:
        self.store.sweep()
        for person in (each for people in self.people.values() for each in people.values()):
            if self.is_expired(person):
                person.voices = {}

    @precondition(lambda self: any(self.people.values()))
    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Galleries(self.state, clock=self.clock)

    @rule(tenant=TENANTS, voice=VOICES)
    def identify(self, tenant: str, voice: int) -> None:
        active = {
            name: person
            for name, person in self.people[tenant].items()
            if self.state_of(person) == "active" and person.has_consent
        }
        owners = [name for name, person in active.items() if voice in person.voices.values()]
        (answer,) = self.ask(tenant, "identify", [heard(voice)])
        expected = [Decision.UNKNOWN, Decision.MATCH][len(owners)] if len(owners) < 2 else Decision.AMBIGUOUS
        assert answer.decision is expected
        assert answer.speaker == (owners[0] if len(owners) == 1 else None)
        self.note(tenant, answer)
        assert {candidate.external_id for candidate in answer.candidates} <= set(active)

    @rule(tenant=TENANTS, name=NAMES, voice=VOICES)
    def verify(self, tenant: str, name: str, voice: int) -> None:
        person = self.people[tenant].get(name)
        answer = self.ask(tenant, "verify", name, heard(voice))
        if person is None:
            opted_out = name in self.opted_out[tenant]
            assert answer.decision is (Decision.OPTED_OUT if opted_out else Decision.NOT_ENROLLED)
        elif self.state_of(person) != "active":
            assert answer.decision == self.state_of(person)
        else:
            is_owner = voice in person.voices.values()
            assert answer.decision is (Decision.MATCH if is_owner else Decision.NO_MATCH)
        self.note(tenant, answer, None if person is None else name)

    def note(self, tenant: str, answer: VoiceDecision, name: str | None = None) -> None:
        """Remember a decision that claims something, and about whom."""
        if answer.decision not in ("match", "no_match", "unknown"):
            return
        who = name or answer.speaker
        person = None if who is None else self.people[tenant].get(who)
        self.decided.append(Decided(tenant, str(answer.decision_id), answer.decision, person, self.clock.now))

    def is_kept(self, decided: Decided) -> bool:
        """Whether the journal still has a decision: it is young, and the person was not erased."""
        persons = self.people[decided.tenant].values()
        is_there = decided.person is None or any(each is decided.person for each in persons)
        return is_there and decided.at > self.clock.now - timedelta(days=POLICY.journal_days)

    @precondition(lambda self: self.decided)
    @rule(asking=TENANTS, pick=st.integers(0, 99), verdict=st.sampled_from(["confirmed", "rejected"]))
    def review(self, asking: str, pick: int, verdict: Verdict) -> None:
        decided = self.decided[pick % len(self.decided)]
        if asking != decided.tenant or not self.is_kept(decided):
            with pytest.raises(NotFound):
                self.ask(asking, "review", decided.id, verdict)
        else:
            assert self.ask(asking, "review", decided.id, verdict).verdict == verdict
            decided.verdict = verdict

    @invariant()
    def every_review_is_counted(self) -> None:
        for tenant in self.people:
            found: Counter[tuple[str, str]] = Counter()
            for summary in self.store.reviews(self.tenants[tenant], "g"):
                for verdict, counts in (("confirmed", summary.confirmed), ("rejected", summary.rejected)):
                    found.update({(verdict, name): count for name, count in counts.items()})
            kept = [each for each in self.decided if each.tenant == tenant and self.is_kept(each)]
            assert found == Counter((each.verdict, str(each.decision)) for each in kept if each.verdict)

    @invariant()
    def every_tenant_sees_its_own(self) -> None:
        for tenant, people in self.people.items():
            page = self.store.speakers(self.tenants[tenant], "g")
            assert {
                each.external_id: (each.display_name, each.state, each.references, each.consent is not None)
                for each in page.speakers
            } == {
                name: (person.display_name, self.state_of(person), len(person.voices), person.has_consent)
                for name, person in people.items()
            }


@pytest.fixture(scope="module")
def sqlite_state() -> Iterator[Path]:
    """A folder in memory where there is one, since every step waits for the disk otherwise."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def postgres_state(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, database(postgres_url, "random_operations") as url:
        patch.setenv("VOXGRAPH_GALLERY_KEY", MASTER_KEY)
        patch.setenv("VOXGRAPH_GALLERY_ERASURES", str(tmp_path_factory.mktemp("list") / "erasures.jsonl"))
        yield url


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 14), ("postgres", 8)])
def test_random_operations_leave_the_store_as_they_would_a_dict(
    kind: str, examples: int, request: pytest.FixtureRequest
) -> None:
    machine = type("Machine", (GalleryMachine,), {"state": request.getfixturevalue(f"{kind}_state")})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
