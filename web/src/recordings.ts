/** The recordings of this visit and their analysis. Nothing of them is kept when the tab is closed. */
import { effect, signal } from "@preact/signals";
import { type AnalysisAnswer, ask, type ErrorAnswer, lines, Problem, type Task } from "./api";
import { t } from "./strings";

export type Status = "waiting" | "running" | "done" | "stopped" | "failed";
export interface Progress {
  done_s: number;
  audio_s: number;
}

export const TASKS: Task[] = ["diarization", "language", "accent", "deepfake"];
export const tasks = signal<Task[]>(TASKS);
export const speakers = signal<number | null>(null);
export const recordings = signal<Recording[]>([]);
export const selected = signal<Recording | null>(null);
/** What a screen reader is told. */
export const announcement = signal("");

let count = 0;

/** A file, what the server says about it, and the names that its listener gives the speakers. */
export class Recording {
  readonly id = ++count;
  readonly url: string;
  readonly tasks = tasks.value;
  readonly speakers = speakers.value;
  readonly status = signal<Status>("waiting");
  readonly answer = signal<AnalysisAnswer>({});
  readonly problems = signal<Problem[]>([]);
  readonly progress = signal<Partial<Record<Task, Progress>>>({});
  readonly names = signal<Record<string, string>>({});
  private controller = new AbortController();

  constructor(readonly file: File) {
    this.url = URL.createObjectURL(file);
  }

  /** The query of the analysis, without what only the page needs. */
  get query(): URLSearchParams {
    const query = new URLSearchParams({ tasks: this.tasks.join(",") });
    if (this.speakers) query.set("num_speakers", String(this.speakers));
    return query;
  }

  /** The name to show for a speaker of the answer. */
  name(speaker: string): string {
    return this.names.value[speaker]?.trim() || defaultName(speaker);
  }

  /** The names that were given; the other speakers keep those of the answer. */
  get given(): Record<string, string> {
    const given = Object.entries(this.names.value).map(([speaker, name]) => [speaker, name.trim()]);
    return Object.fromEntries(given.filter(([, name]) => name));
  }

  /** Ask the server; the answer comes in parts if it streams. */
  async analyze(): Promise<void> {
    this.status.value = "running";
    try {
      await this.listen();
      this.status.value = "done";
      announcement.value = t.ready(this.file.name);
    } catch (error) {
      if (this.controller.signal.aborted) {
        this.status.value = "stopped";
        return;
      }
      this.problems.value = [...this.problems.value, error instanceof Problem ? error : new Problem(String(error))];
      this.status.value = "failed";
      announcement.value = t.failed(this.file.name);
    }
  }

  private async listen(): Promise<void> {
    const { signal } = this.controller;
    const query = this.query;
    query.set("peaks", String(await peaksPerSecond(this.url, this.file.size)));
    const response = await ask(`v1/analyze?${query}`, {
      method: "POST",
      body: this.file,
      headers: { accept: "application/x-ndjson, application/json;q=0.9", "content-type": "application/octet-stream" },
      signal,
    });
    if (!response.headers.get("content-type")?.includes("ndjson")) {
      this.answer.value = await response.json();
      return;
    }
    let finished = false;
    for await (const { event, data } of lines(response, signal)) {
      finished ||= event === "done";
      this.take(event, data);
    }
    if (!finished) throw new Problem(t.lostProblem);
  }

  private take(event: string, data: unknown): void {
    if (event === "progress") {
      const { task, ...progress } = data as Progress & { task: Task };
      this.progress.value = { ...this.progress.value, [task]: progress };
    } else if (event === "received" || event === "done") {
      this.answer.value = { ...this.answer.value, ...(data as AnalysisAnswer) };
    } else if (event === "task_error") {
      const { task, detail } = data as ErrorAnswer & { task: Task };
      this.problems.value = [...this.problems.value, new Problem(t.taskFailed(t.tasks[task], detail))];
    } else if (event === "error") {
      const { detail, request_id } = data as ErrorAnswer;
      throw new Problem(detail, request_id);
    } else {
      this.answer.value = { ...this.answer.value, [event]: data };
    }
  }

  /** Stop the analysis: the server stops, too, when the connection is cut. */
  stop(): void {
    this.controller.abort();
    if (this.status.value === "waiting") this.status.value = "stopped";
  }

  /** Ask once more. */
  again(): void {
    this.controller = new AbortController();
    this.answer.value = {};
    this.problems.value = [];
    this.progress.value = {};
    this.status.value = "waiting";
  }
}

// One analysis at a time, in the order of the list.
effect(() => {
  const all = recordings.value;
  if (all.some((one) => one.status.value === "running")) return;
  const next = all.find((one) => one.status.value === "waiting");
  if (next) queueMicrotask(() => next.status.peek() === "waiting" && void next.analyze());
});

/** Add files, and show the first of them. */
export function add(files: Iterable<File>): void {
  const added = [...files].map((file) => new Recording(file));
  if (!added.length) return;
  recordings.value = [...recordings.value, ...added];
  selected.value = added[0]!;
}

/** Forget a recording. */
export function remove(recording: Recording): void {
  recording.stop();
  recordings.value = recordings.value.filter((one) => one !== recording);
  if (selected.value === recording) selected.value = recordings.value.at(-1) ?? null;
  URL.revokeObjectURL(recording.url);
}

/** The name of a speaker that nobody has named. */
export function defaultName(speaker: string): string {
  const [, kind, number] = /^(SPEAKER|CHANNEL)_(\d+)$/.exec(speaker) ?? [];
  if (!kind) return speaker;
  return kind === "CHANNEL" ? t.channel(Number(number) + 1) : t.speaker(Number(number) + 1);
}

/** About 2,000 pairs for a short recording, and 20 a second for a long one: ten hours take 2 MB. */
async function peaksPerSecond(url: string, bytes: number): Promise<number> {
  const seconds = await durationOf(url);
  if (!seconds) return bytes < 4e6 ? 50 : 20;
  return Math.min(100, Math.max(20, Math.ceil(2000 / seconds)));
}

/** The seconds that the browser reads from the file's header; 0 if it cannot, or not at once. */
function durationOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    const audio = new Audio();
    const answer = (seconds: number) => {
      clearTimeout(timer);
      audio.removeAttribute("src");
      resolve(Number.isFinite(seconds) ? seconds : 0);
    };
    const timer = setTimeout(() => answer(0), 500);
    audio.onloadedmetadata = () => answer(audio.duration);
    audio.onerror = () => answer(0);
    audio.preload = "metadata";
    audio.src = url;
  });
}
