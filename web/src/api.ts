/**
 * The server's answers and how to ask for them. The interfaces have the names of the OpenAPI document; a field
 * with a question mark is one that the page can do without. Fields that are null may be left out.
 */
import { signal } from "@preact/signals";
import { t } from "./strings";

export interface TurnAnswer {
  start: number;
  end: number;
  speaker: string;
  confidence?: number | null;
}
export interface TurnsAnswer {
  diarization_results: TurnAnswer[];
  speakers: string[];
  speakers_note?: string | null;
}
export interface LanguageAnswer {
  language: string;
  name: string;
  confidence: number;
  probabilities: Record<string, number>;
  calibrated: boolean;
  uncertain: boolean;
  warning: string | null;
}
export interface AccentAnswer {
  accent: string;
  probabilities: Record<string, number>;
  calibrated: boolean;
  uncertain?: boolean;
  warning?: string | null;
}
export type Finding = "ai_generated" | "inconclusive" | "no_sign_found";
export interface ChunkAnswer {
  start_time: number;
  end_time: number;
  class_probabilities: { ai_generated: number };
  verdict: Finding;
}
export interface DeepfakeAnswer {
  chunks: ChunkAnswer[];
  verdict: Finding;
  summary: { ai_generated_chunks: number; total_chunks: number };
  advice: string | null;
}
export interface PeaksAnswer {
  per_second: number;
  data: string;
}
export interface QualityAnswer {
  duration_s: number;
  speech_s: number | null;
  clipped_ratio: number;
  snr_db: number | null;
  bandwidth_hz: number | null;
  sample_rate: number;
  channels: number;
  channels_mixed: string | null;
  missing_s: number;
  damaged_s: number;
  warnings: string[];
}
export interface AnalysisAnswer {
  language?: LanguageAnswer;
  accent?: AccentAnswer;
  diarization?: TurnsAnswer;
  deepfake?: DeepfakeAnswer;
  peaks?: PeaksAnswer;
  quality?: QualityAnswer;
  audio_duration?: number;
}
export interface PairComparisonAnswer {
  quality1: QualityAnswer;
  quality2: QualityAnswer;
  similarity_score: number;
  same_speaker: boolean;
  threshold: number;
  llr: number | null;
  probability: number | null;
  prior: number;
}
export interface ModelAnswer {
  hub_id: string;
  source: string;
  device: string;
}
export interface HealthAnswer {
  version: string;
  checkpoints: string;
  notice: string | null;
  models: Record<string, ModelAnswer>;
  failed: Record<string, string>;
}
export interface ErrorAnswer {
  detail: string;
  code: string;
  request_id: string;
}
export type Task = "language" | "accent" | "diarization" | "deepfake";
/** One line of a streamed answer. */
export interface Line {
  event: string;
  data: unknown;
}

/** Where the server's endpoints begin: the built file lies in the folder `assets` below it. */
export const ROOT = new URL(/* @vite-ignore */ "..", import.meta.url).href;
const KEY = "voxgraph-key";

export const lost = signal(false);
/** Whether the first answer to the question which models answer is still awaited. */
export const asking = signal(true);
export const keyWanted = signal(false);
export const health = signal<HealthAnswer | null>(null);

/** What went wrong, in the server's words where it has any. */
export class Problem extends Error {
  constructor(detail: string, readonly requestId = "") {
    super(detail);
  }
}

export const apiKey = () => sessionStorage.getItem(KEY) ?? "";

/** Keep the key until the tab is closed. */
export function useKey(key: string): void {
  sessionStorage.setItem(KEY, key);
  keyWanted.value = false;
  void checkHealth();
}

/** Ask the server; raises a Problem for every answer that is none, and passes an abort on. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (apiKey()) headers.set("authorization", `Bearer ${apiKey()}`);
  const response = await orLost(fetch(ROOT + path, { ...init, headers }), init.signal);
  lost.value = false;
  if (response.status === 401) keyWanted.value = true;
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Wait for a part of an answer; a broken connection is a Problem. */
async function orLost<Value>(promise: Promise<Value>, signal?: AbortSignal | null): Promise<Value> {
  try {
    return await promise;
  } catch (error) {
    if (signal?.aborted) throw error;
    connectionLost();
    throw new Problem(t.lostProblem);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const requestId = response.headers.get("x-request-id") ?? "";
  try {
    const body = (await response.json()) as ErrorAnswer;
    return new Problem(body.detail, body.request_id);
  } catch {
    return new Problem(t.unexpected(response.status), requestId);
  }
}

/** The lines of a streamed answer as they come. */
export async function* lines(response: Response, signal: AbortSignal): AsyncGenerator<Line> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await orLost(reader.read(), signal);
    const parts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : parts.pop()!;
    for (const part of parts) if (part) yield JSON.parse(part) as Line;
    if (done) return;
  }
}

let retry = 0;

function connectionLost(): void {
  lost.value = true;
  clearTimeout(retry);
  let wait = 1000;
  const attempt = async () => {
    await checkHealth();
    if (!lost.value) return;
    wait = Math.min(wait * 2, 30_000);
    retry = window.setTimeout(attempt, wait);
  };
  retry = window.setTimeout(attempt, wait);
}

/** Look which models answer; 503 has an answer, too. */
export async function checkHealth(): Promise<void> {
  const headers: HeadersInit = apiKey() ? { authorization: `Bearer ${apiKey()}` } : {};
  let response: Response;
  try {
    response = await fetch(`${ROOT}health`, { headers });
  } catch {
    asking.value = false;
    if (!lost.value) connectionLost();
    return;
  }
  lost.value = false;
  if (response.status === 401) keyWanted.value = true;
  else if (response.ok || response.status === 503) health.value = await response.json().catch(() => null);
  asking.value = false;
}
