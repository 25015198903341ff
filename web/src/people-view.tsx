/** The people whose voices the server keeps: who they are, whose voice it is, and how to erase them. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Input } from "./input";
import * as kept from "./people";
import { Problems } from "./problems";
import { t } from "./strings";
import { percent } from "./text";

export function People({ shown }: { shown: boolean }) {
  useEffect(() => {
    if (shown) void kept.load();
  }, [shown]);
  return (
    <>
      <h1>{t.people.title}</h1>
      <p class="lead">{t.people.lead}</p>
      <Problems problems={kept.problem.value ? [kept.problem.value] : []} />
      {kept.galleries.value && <Choice names={kept.galleries.value} />}
      {kept.busy.value && <p class="quiet">{kept.busy}</p>}
      {kept.gallery.value && (
        <>
          <div class="pair">
            <Question />
            <Newcomer />
          </div>
          <Receipt />
          <List />
        </>
      )}
    </>
  );
}

function Choice({ names }: { names: string[] }) {
  const create = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    if (await kept.create(String(new FormData(form).get("gallery")))) form.reset();
  };
  return (
    <div class="row">
      {names.length > 0 && (
        <label>
          {t.people.gallery}{" "}
          <select value={kept.gallery.value} onChange={(event) => void kept.choose(event.currentTarget.value)}>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
      <form class="row" onSubmit={create}>
        <input name="gallery" required maxLength={64} pattern="[A-Za-z0-9._\-]+" aria-label={t.people.newGallery} placeholder={t.people.newGallery} />
        <button class="button">{t.people.create}</button>
      </form>
    </div>
  );
}

/** Whose voice is it? */
function Question() {
  const found = kept.decision.value;
  return (
    <section class="card" aria-label={t.people.whose}>
      <h2>{t.people.whose}</h2>
      <Input title={t.people.clip} compact onFiles={([file]) => void kept.identify(file!)} />
      {found && (
        <div class="identified">
          <p>
            <strong>{kept.sentence(found)}</strong>
          </p>
          <p class="quiet">
            {found.decision === "match" && found.probability !== null && `${t.people.sure(percent(found.probability))} `}
            {found.evidence && t.people.heard(found.evidence.speech_s.toFixed(1))}
          </p>
          {kept.canBeReviewed(found) && <Review found={found} />}
        </div>
      )}
    </section>
  );
}

/** Was it right? Who was recognised rightly may be given the recording, which is never done by itself. */
function Review({ found }: { found: kept.DecisionAnswer }) {
  const said = kept.verdict.value;
  const file = kept.heard.value;
  return (
    <>
      <div class="row" role="group" aria-label={t.people.isRight}>
        {t.people.isRight}
        {(["confirmed", "rejected"] as const).map((each) => (
          <button key={each} class="button" aria-pressed={said === each} onClick={() => void kept.review(found, each)}>
            {t.people.verdicts[each]}
          </button>
        ))}
      </div>
      {said && <p class="quiet">{t.people.noted[said]}</p>}
      {file && said === "confirmed" && found.decision === "match" && (
        <button class="button" onClick={() => void kept.keepHeard(found, file)}>
          {t.people.addHeard(kept.nameOf(found))}
        </button>
      )}
    </>
  );
}

/** Somebody new, who has to agree first. */
function Newcomer() {
  const name = useSignal("");
  const purpose = useSignal(t.people.usualPurpose);
  const agreed = useSignal(false);
  const ready = name.value.trim() !== "" && purpose.value.trim() !== "" && agreed.value;
  const add = async (file: File) => {
    if (await kept.add(name.value.trim(), purpose.value.trim(), file)) {
      name.value = "";
      agreed.value = false;
    }
  };
  return (
    <section class="card" aria-label={t.people.add}>
      <h2>{t.people.add}</h2>
      <label class="field">
        {t.people.name}
        <input value={name.value} maxLength={256} autocomplete="off" onInput={(event) => (name.value = event.currentTarget.value)} />
      </label>
      <label class="field">
        {t.people.purpose}
        <input value={purpose.value} maxLength={200} onInput={(event) => (purpose.value = event.currentTarget.value)} />
      </label>
      <label class="agreed">
        <input type="checkbox" checked={agreed.value} onChange={(event) => (agreed.value = event.currentTarget.checked)} />{" "}
        {t.people.agreed}
      </label>
      {ready ? (
        <Input title={t.people.first} compact onFiles={([file]) => void add(file!)} />
      ) : (
        <p class="quiet">{t.people.beforeFirst}</p>
      )}
    </section>
  );
}

/** What is left of somebody who was erased. */
function Receipt() {
  const found = kept.receipt.value;
  if (!found) return null;
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(found.content, null, 2)], { type: "application/json" }));
    link.download = "erasure-receipt.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  return (
    <div class="banner">
      <p>{t.people.erased(found.name)}</p>
      <button class="button" onClick={save}>
        {t.people.receipt}
      </button>
    </div>
  );
}

function List() {
  const all = kept.people.value;
  return (
    <section aria-label={t.people.all}>
      <h2>{t.people.all}</h2>
      {kept.notes.value.map((note) => (
        <p class="note">{note}</p>
      ))}
      {all.length === 0 && <p class="quiet">{t.people.nobody}</p>}
      <ul class="people">
        {all.map((person) => (
          <Person key={person.external_id} person={person} />
        ))}
      </ul>
    </section>
  );
}

function Person({ person }: { person: kept.SpeakerAnswer }) {
  const asking = useSignal(false);
  const name = kept.nameOf(person);
  const total = person.speech_s + person.remaining_speech_s;
  return (
    <li class="card">
      <input
        class="name"
        value={name}
        maxLength={256}
        aria-label={t.nameOf(name)}
        onChange={(event) => void kept.rename(person, event.currentTarget.value)}
      />
      <p>
        <span class="badge">{t.people.states[person.state]}</span> {t.people.references(person.references)}
      </p>
      {person.state === "enrolling" && (
        <p>
          <progress value={person.speech_s} max={total || 1} aria-label={t.people.speechOf(name)} />{" "}
          {t.people.missing(person.remaining_speech_s.toFixed(1))}
        </p>
      )}
      <details>
        <summary>{t.people.more}</summary>
        <Input title={t.people.anotherOf(name)} compact onFiles={([file]) => void kept.enrol(person, file!)} />
      </details>
      {asking.value ? (
        <span class="row">
          <button class="button bad" onClick={() => void kept.erase(person)}>
            {t.people.eraseForGood(name)}
          </button>
          <button class="button" onClick={() => (asking.value = false)}>
            {t.people.keep}
          </button>
        </span>
      ) : (
        <button class="button" aria-label={t.people.eraseOne(name)} onClick={() => (asking.value = true)}>
          {t.people.erase}
        </button>
      )}
    </li>
  );
}
