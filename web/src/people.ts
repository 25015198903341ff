/** The galleries of the server and the people in them. */
import { signal } from "@preact/signals";
import { ask, Problem } from "./api";
import { announcement } from "./recordings";
import { t } from "./strings";

export type State = "enrolling" | "active" | "stale" | "expired" | "opted_out";
export interface SpeakerAnswer {
  external_id: string;
  display_name: string | null;
  state: State;
  references: number;
  speech_s: number;
  remaining_speech_s: number;
}
interface ReasonAnswer {
  message: string;
}
export interface EnrolmentAnswer {
  speaker: SpeakerAnswer;
  warnings: ReasonAnswer[];
  repeated: boolean;
}
export interface DecisionAnswer {
  decision: string;
  speaker: string | null;
  display_name: string | null;
  candidates: { external_id: string; display_name: string | null }[];
  probability: number | null;
  evidence: { speech_s: number } | null;
  /** null: the gallery keeps no journal, so nothing can be said of the decision. */
  decision_id: string | null;
}
/** What a person who looked at a decision says of it. */
export type Verdict = "confirmed" | "rejected";
/** What an erasure leaves: a signed statement that is worth keeping. */
export interface Receipt {
  name: string;
  content: unknown;
}

const ROOT = "v1/galleries";
const PAGE = 200;
/** Decisions that can be right or wrong; the others claim nothing. */
const CLAIMS = ["match", "unknown"];
const VERBS = { confirmed: "confirm", rejected: "reject" } as const;

/** Names of the galleries; null until the server has answered. */
export const galleries = signal<string[] | null>(null);
export const gallery = signal("");
export const people = signal<SpeakerAnswer[]>([]);
export const problem = signal<Problem | null>(null);
export const busy = signal("");
export const decision = signal<DecisionAnswer | null>(null);
/** The recording that the decision is about; the server has not kept it. */
export const heard = signal<File | null>(null);
/** What was said of the decision. */
export const verdict = signal<Verdict | null>(null);
export const receipt = signal<Receipt | null>(null);
/** What to know about the last enrolment. */
export const notes = signal<string[]>([]);

export const nameOf = (person: { external_id?: string; speaker?: string | null; display_name: string | null }) =>
  person.display_name ?? person.external_id ?? person.speaker ?? "";

let last: Promise<boolean> = Promise.resolve(true);

/** Do things one after the other; what comes meanwhile waits, so that nothing is lost. */
function attempt(what: string, work: () => Promise<void>): Promise<boolean> {
  last = last.then(() => doNow(what, work));
  return last;
}

/** Do something while the page says so, and keep what goes wrong. */
async function doNow(what: string, work: () => Promise<void>): Promise<boolean> {
  busy.value = what;
  problem.value = null;
  try {
    await work();
    return true;
  } catch (error) {
    problem.value = error as Problem;
    return false;
  } finally {
    busy.value = "";
  }
}

const json = (method: string, body: unknown): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});
const at = (...parts: string[]) => [ROOT, ...parts.map(encodeURIComponent)].join("/");
const upload = (file: File): RequestInit => {
  const body = new FormData();
  body.set("file", file);
  return { method: "POST", body };
};

/** Read which galleries there are, and who is in the chosen one. */
export const load = () =>
  attempt(t.people.reading, async () => {
    const found = await readAll<{ name: string }>(ROOT, "galleries");
    galleries.value = found.map(({ name }) => name);
    if (!galleries.value.includes(gallery.value)) gallery.value = galleries.value[0] ?? "";
    await readPeople();
  });

async function readPeople(): Promise<void> {
  people.value = gallery.value ? await readAll<SpeakerAnswer>(at(gallery.value, "speakers"), "speakers") : [];
}

/** Read a list page by page. */
async function readAll<T>(path: string, field: string): Promise<T[]> {
  const found: T[] = [];
  let after: string | null = "";
  while (after !== null) {
    const query = new URLSearchParams({ limit: `${PAGE}`, ...(after && { after }) });
    const page = await (await ask(`${path}?${query}`)).json();
    found.push(...page[field]);
    after = page.after;
  }
  return found;
}

export function choose(name: string): Promise<boolean> {
  gallery.value = name;
  forgetDecision();
  return attempt(t.people.reading, readPeople);
}

export const create = (name: string) =>
  attempt(t.people.saving, async () => {
    await ask(at(name), json("PUT", {}));
    galleries.value = [...new Set([...(galleries.value ?? []), name])].sort();
    gallery.value = name;
    await readPeople();
  });

/** Keep somebody who has agreed, with a first recording. */
export const add = (name: string, purpose: string, file: File) =>
  attempt(t.people.hearing, async () => {
    // The id is in addresses and in the ledger; it says nothing about the person.
    const id = [...crypto.getRandomValues(new Uint8Array(8))].map((one) => one.toString(16).padStart(2, "0"));
    const consent = { purposes: [purpose], given_at: new Date().toISOString() };
    const path = at(gallery.value, "speakers", id.join(""));
    await ask(path, json("PUT", { display_name: name, consent }));
    try {
      await enrolInto(path, file);
    } finally {
      await readPeople();
    }
  });

export const enrol = (person: SpeakerAnswer, file: File) =>
  attempt(t.people.hearing, async () => {
    await enrolInto(at(gallery.value, "speakers", person.external_id), file);
    await readPeople();
  });

async function enrolInto(path: string, file: File): Promise<void> {
  notes.value = [];
  const found = (await (await ask(`${path}/references`, upload(file))).json()) as EnrolmentAnswer;
  const name = nameOf(found.speaker);
  const repeated = found.repeated ? [t.people.repeated(name)] : [];
  notes.value = [...repeated, ...found.warnings.map(({ message }) => message)];
  announcement.value = repeated[0] ?? t.people.enrolled(name);
}

export const rename = (person: SpeakerAnswer, name: string) =>
  attempt(t.people.saving, async () => {
    await ask(at(gallery.value, "speakers", person.external_id), json("PATCH", { display_name: name }));
    await readPeople();
  });

export const erase = (person: SpeakerAnswer) =>
  attempt(t.people.erasing, async () => {
    const response = await ask(at(gallery.value, "speakers", person.external_id), { method: "DELETE" });
    receipt.value = { name: nameOf(person), content: await response.json() };
    announcement.value = t.people.erased(nameOf(person));
    forgetDecision();
    await readPeople();
  });

function forgetDecision(): void {
  decision.value = heard.value = verdict.value = null;
}

export const identify = (file: File) =>
  attempt(t.people.hearing, async () => {
    forgetDecision();
    decision.value = await (await ask(at(gallery.value, "identify"), upload(file))).json();
    heard.value = file;
    announcement.value = sentence(decision.value!);
  });

export const canBeReviewed = (found: DecisionAnswer) =>
  found.decision_id !== null && CLAIMS.includes(found.decision);

/** Say that the decision was right or wrong. The server learns nothing from it. */
export const review = (found: DecisionAnswer, said: Verdict) =>
  attempt(t.people.saving, async () => {
    await ask(at(gallery.value, "decisions", found.decision_id!, VERBS[said]), { method: "POST" });
    if (decision.value === found) verdict.value = said;
    announcement.value = t.people.noted[said];
  });

/** Enrol the recording that was identified, as any other one. */
export const keepHeard = (found: DecisionAnswer, file: File) =>
  attempt(t.people.hearing, async () => {
    await enrolInto(at(gallery.value, "speakers", found.speaker!), file);
    await readPeople();
  });

/** A decision in words. */
export function sentence(found: DecisionAnswer): string {
  if (found.decision === "match") return t.people.match(nameOf(found));
  if (found.decision === "ambiguous") return t.people.ambiguous(found.candidates.map(nameOf).join(", "));
  return t.people.decisions[found.decision] ?? found.decision;
}
