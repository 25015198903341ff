/** What a track shows of a recording: as many cells as it has pixels, however long the recording is. */
import type { ChunkAnswer, Finding, TurnAnswer } from "./api";

export interface View {
  start: number;
  end: number;
}
export interface TurnCell extends View {
  confidence: number | null;
}
export interface FindingCell extends View {
  verdict: Finding;
  probability: number;
}

const SEVERITY: Finding[] = ["no_sign_found", "inconclusive", "ai_generated"];

/** The turns of one speaker in view; those that are closer than `gap` seconds are drawn as one. */
export function turnCells(turns: TurnAnswer[], view: View, gap: number): TurnCell[] {
  const cells: TurnCell[] = [];
  for (const { start, end, confidence = null } of turns) {
    if (end < view.start || start > view.end) continue;
    const last = cells.at(-1);
    if (last && start - last.end < gap && end - last.start < 2 * gap) {
      last.end = Math.max(last.end, end);
    } else {
      cells.push({ start, end, confidence });
    }
  }
  return cells;
}

/**
 * The findings in view, one for each step from a chunk to the next. Neighbours of one verdict are joined below
 * `gap` seconds; of different ones the gravest is shown.
 */
export function findingCells(chunks: ChunkAnswer[], view: View, gap: number): FindingCell[] {
  const cells: FindingCell[] = [];
  chunks.forEach(({ start_time: start, end_time, verdict, class_probabilities }, index) => {
    const end = chunks[index + 1]?.start_time ?? end_time;
    if (end < view.start || start > view.end) return;
    const probability = class_probabilities.ai_generated;
    const last = cells.at(-1);
    if (last && end - last.start < gap) {
      last.end = end;
      last.probability = Math.max(last.probability, probability);
      if (SEVERITY.indexOf(verdict) > SEVERITY.indexOf(last.verdict)) last.verdict = verdict;
    } else {
      cells.push({ start, end, verdict, probability });
    }
  });
  return cells;
}

/** The findings as spans: successive chunks of one verdict are one span. */
export function findingSpans(chunks: ChunkAnswer[]): FindingCell[] {
  const spans: FindingCell[] = [];
  for (const cell of findingCells(chunks, { start: 0, end: Infinity }, 0)) {
    const last = spans.at(-1);
    if (last?.verdict === cell.verdict) {
      last.end = cell.end;
      last.probability = Math.max(last.probability, cell.probability);
    } else {
      spans.push({ ...cell });
    }
  }
  return spans;
}

/** Seconds of speech by speaker; overlaps count for each who speaks. */
export function spoken(turns: TurnAnswer[]): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const { speaker, start, end } of turns) seconds.set(speaker, (seconds.get(speaker) ?? 0) + end - start);
  return seconds;
}

/** The pairs of the server's peaks as the two halves of a drawing, each from 0 to 1. */
export function outline(data: string): [Float32Array, Float32Array] {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const values = new Int8Array(bytes.buffer);
  const above = new Float32Array(values.length / 2);
  const below = new Float32Array(values.length / 2);
  for (let index = 0; index < above.length; index++) {
    above[index] = Math.max(0, values[2 * index + 1]!) / 127;
    below[index] = Math.max(0, -values[2 * index]!) / 127;
  }
  return [above, below];
}
