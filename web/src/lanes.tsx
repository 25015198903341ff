/** The strips below the waveform: a lane for each speaker, and the signs of generation. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ChunkAnswer, TurnAnswer } from "./api";
import type { Player } from "./player";
import { t } from "./strings";
import { clock, percent } from "./text";
import { findingCells, turnCells, type View } from "./tracks";

interface LaneProps {
  lane: number;
  label: string;
  name: string;
  given: string;
  share: number;
  turns: TurnAnswer[];
  view: View;
  player: Player;
  onName: (name: string) => void;
}

export function Lane({ lane, label, name, given, share, turns, view, player, onName }: LaneProps) {
  const play = (time: number) => {
    const turn = turns.find(({ start, end }) => start <= time && time <= end) ?? nearest(turns, time);
    if (turn) player.playSpan(turn.start, turn.end);
  };
  return (
    <>
      <span class="label">
        <i class={`swatch lane-${lane % 8}`} aria-hidden="true" />
        <input
          class="speaker"
          value={given}
          placeholder={label}
          aria-label={t.nameOf(label)}
          onInput={(event) => onName(event.currentTarget.value)}
        />
        <span class="quiet mono">{t.share(share)}</span>
      </span>
      <Track view={view} onTime={play}>
        {(gap) =>
          turnCells(turns, view, gap).map((cell) => (
            <i
              key={cell.start}
              class={`turn lane-${lane % 8}`}
              style={{ ...place(cell, view), opacity: cell.confidence === null ? 1 : 0.3 + 0.7 * cell.confidence }}
              title={`${name}, ${clock(cell.start, 1)} – ${clock(cell.end, 1)}`}
            />
          ))
        }
      </Track>
    </>
  );
}

export function Heat({ chunks, view, player }: { chunks: ChunkAnswer[]; view: View; player: Player }) {
  const play = (time: number) => {
    const chunk = chunks.findLast(({ start_time }) => start_time <= time);
    if (chunk) player.playSpan(chunk.start_time, chunk.end_time);
  };
  return (
    <>
      <span class="label">{t.generated}</span>
      <Track view={view} onTime={play} heat>
        {(gap) =>
          findingCells(chunks, view, gap).map((cell) => (
            <i
              key={cell.start}
              class={`sign ${cell.verdict}`}
              style={{ ...place(cell, view), opacity: cell.verdict === "ai_generated" ? cell.probability : 1 }}
              title={`${t.verdicts[cell.verdict]}, ${percent(cell.probability)}`}
            />
          ))
        }
      </Track>
    </>
  );
}

interface TrackProps {
  view: View;
  heat?: boolean;
  onTime: (time: number) => void;
  children: (gap: number) => ComponentChildren;
}

/** A strip in time. It is for the eye and the pointer: the tables below say and do the same. */
function Track({ view, heat, onTime, children }: TrackProps) {
  const strip = useRef<HTMLDivElement>(null);
  const width = useSignal(1000);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => (width.value = entry!.contentRect.width || 1000));
    observer.observe(strip.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <div
      ref={strip}
      class={heat ? "track heat" : "track"}
      aria-hidden="true"
      onClick={(event) => {
        const box = strip.current!.getBoundingClientRect();
        onTime(view.start + ((event.clientX - box.left) / box.width) * (view.end - view.start));
      }}
    >
      {children((2 * (view.end - view.start)) / width.value)}
    </div>
  );
}

function place({ start, end }: View, view: View) {
  const length = view.end - view.start;
  const from = Math.max(start, view.start);
  return {
    left: `${(100 * (from - view.start)) / length}%`,
    width: `${(100 * (Math.min(end, view.end) - from)) / length}%`,
  };
}

function nearest(turns: TurnAnswer[], time: number): TurnAnswer | undefined {
  const distance = ({ start, end }: TurnAnswer) => Math.max(start - time, time - end);
  return turns.reduce<TurnAnswer | undefined>(
    (best, turn) => (!best || distance(turn) < distance(best) ? turn : best),
    undefined,
  );
}
