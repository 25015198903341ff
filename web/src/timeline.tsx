/** The recording in time: waveform, a lane for each speaker, signs of generation, and the same as tables. */
import { type Signal, signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import WaveSurfer from "wavesurfer.js";
import type { Finding, TurnAnswer } from "./api";
import { Heat, Lane } from "./lanes";
import { Player } from "./player";
import { defaultName, type Recording } from "./recordings";
import { t } from "./strings";
import { SignTable, TurnTable } from "./tables";
import { clock } from "./text";
import { outline, spoken, type View } from "./tracks";

const STEP_S = 5;
const MAX_PX_PER_S = 400;
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

export function Timeline({ recording }: { recording: Recording }) {
  const player = useMemo(() => new Player(recording.url), [recording]);
  useEffect(() => () => player.close(), [player]);
  const { diarization, deepfake, peaks, audio_duration: duration } = recording.answer.value;
  const view = useSignal<View>({ start: 0, end: duration ?? 0 });
  const zoom = useMemo<Zoom>(() => ({ level: signal(0), scale: () => undefined }), [recording]);
  const frame = useRef<HTMLDivElement>(null);
  const turns = diarization?.diarization_results ?? [];
  useKeys(frame, player, turns);
  useSignalEffect(() => {
    const { start, end } = view.value;
    const at = (player.time.value - start) / (end - start);
    frame.current?.style.setProperty("--at", `${100 * at}%`);
    frame.current?.toggleAttribute("data-outside", !(at >= 0 && at <= 1));
  });
  if (!duration || !peaks) return null;

  const shares = spoken(turns);
  const total = [...shares.values()].reduce((sum, one) => sum + one, 0);
  return (
    <section class="timeline" aria-label={t.timeline} ref={frame}>
      <Controls player={player} duration={duration} zoom={zoom} />
      <div class="tracks">
        <span class="label" />
        <Wave player={player} recording={recording} view={view} zoom={zoom} />
        {diarization?.speakers.map((speaker, lane) => (
          <Lane
            key={speaker}
            lane={lane}
            label={defaultName(speaker)}
            name={recording.name(speaker)}
            given={recording.names.value[speaker] ?? ""}
            share={Math.round((100 * (shares.get(speaker) ?? 0)) / total)}
            onName={(name) => (recording.names.value = { ...recording.names.value, [speaker]: name })}
            turns={turns.filter((turn) => turn.speaker === speaker)}
            view={view.value}
            player={player}
          />
        ))}
        {deepfake && <Heat chunks={deepfake.chunks} view={view.value} player={player} />}
      </div>
      {deepfake && <Legend />}
      {diarization?.speakers_note && <p class="quiet">{diarization.speakers_note}</p>}
      {diarization && !turns.length && <p class="quiet">{t.noTurns}</p>}
      <p class="quiet hint">
        {turns.length > 0 && `${t.hint} `}
        <span class="keys">{t.keys}</span>
      </p>
      {turns.length > 0 && <TurnTable recording={recording} turns={turns} player={player} />}
      {deepfake && <SignTable chunks={deepfake.chunks} player={player} />}
    </section>
  );
}

function Legend() {
  return (
    <ul class="legend quiet">
      {(Object.keys(t.verdicts) as Finding[]).map((verdict) => (
        <li key={verdict}>
          <i class={`sign ${verdict}`} aria-hidden="true" /> {t.verdicts[verdict]}
        </li>
      ))}
    </ul>
  );
}

/** Keys that work wherever the timeline is shown, but not in fields and in what scrolls. */
function useKeys(frame: { current: HTMLElement | null }, player: Player, turns: TurnAnswer[]): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (!frame.current?.offsetParent || event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest("input, select, pre, .scroll") && !target.closest("button")) return;
      if (event.key === " " && target.closest("button, a, summary")) return;
      const time = player.audio.currentTime;
      const action = {
        " ": () => player.toggle(),
        ArrowLeft: () => player.seek(time - STEP_S),
        ArrowRight: () => player.seek(time + STEP_S),
        "[": () => play(turns.findLast(({ start }) => start < time - 0.5) ?? turns[0]),
        "]": () => play(turns.find(({ start }) => start > time + 0.01)),
      }[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    const play = (turn?: TurnAnswer) => turn && player.playSpan(turn.start, turn.end);
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [player, turns]);
}

/** The pixels of the waveform per second, 0 for the whole of it, and what changes them. */
interface Zoom {
  level: Signal<number>;
  /** Show a factor of two more or less around the playhead; 0 shows all. */
  scale: (factor: number) => void;
}

function Controls({ player, duration, zoom }: { player: Player; duration: number; zoom: Zoom }) {
  const whole = zoom.level.value === 0;
  return (
    <div class="row controls">
      {player.playable.value ? <Playing player={player} duration={duration} /> : <p class="quiet">{t.notPlayable}</p>}
      <div class="zoom">
        <button class="icon" aria-label={t.zoomOut} disabled={whole} onClick={() => zoom.scale(0.5)}>
          −
        </button>
        <button class="icon" aria-label={t.zoomAll} disabled={whole} onClick={() => zoom.scale(0)}>
          ↔
        </button>
        <button class="icon" aria-label={t.zoomIn} onClick={() => zoom.scale(2)}>
          +
        </button>
      </div>
    </div>
  );
}

function Playing({ player, duration }: { player: Player; duration: number }) {
  const playing = player.playing.value;
  return (
    <>
      <button class="button play" aria-label={playing ? t.pause : t.play} onClick={() => player.toggle()}>
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d={playing ? "M4 2h3v12H4zM9 2h3v12H9z" : "M4 2l10 6-10 6z"} />
        </svg>
      </button>
      <Time player={player} duration={duration} />
      <label class="quiet">
        {t.speed}
        <select onChange={(event) => (player.audio.playbackRate = Number(event.currentTarget.value))}>
          {SPEEDS.map((speed) => (
            <option value={speed} selected={speed === 1}>
              {speed} ×
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

function Time({ player, duration }: { player: Player; duration: number }) {
  const now = useComputed(() => clock(player.time.value, 1));
  return (
    <span class="mono">
      {now} <span class="quiet">/ {clock(duration, 1)}</span>
    </span>
  );
}

interface WaveProps {
  player: Player;
  recording: Recording;
  view: Signal<View>;
  zoom: Zoom;
}

function Wave({ player, recording, view, zoom }: WaveProps) {
  const container = useRef<HTMLDivElement>(null);
  const { peaks, audio_duration: duration } = recording.answer.value;

  useEffect(() => {
    const made = WaveSurfer.create({
      container: container.current!,
      media: player.audio,
      peaks: outline(peaks!.data),
      duration,
      height: 96,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      dragToSeek: true,
      cursorWidth: 0,
      cspNonce: document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce,
      ...colours(),
    });
    zoom.scale = (factor) => {
      const whole = made.getWidth() / duration!;
      const next = Math.min(MAX_PX_PER_S, (zoom.level.value || whole) * factor);
      zoom.level.value = next <= whole ? 0 : next;
      made.zoom(zoom.level.value);
      if (next > whole) made.setScrollTime(Math.max(0, player.time.value - made.getWidth() / next / 2));
    };
    made.on("scroll", (start, end) => (view.value = { start, end }));
    made.on("redraw", () => {
      if (made.getWrapper().clientWidth <= made.getWidth()) view.value = { start: 0, end: duration! };
    });
    made.on("interaction", (time) => player.seek(time));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => made.setOptions(colours());
    dark.addEventListener("change", repaint);
    view.value = { start: 0, end: duration! };
    return () => {
      dark.removeEventListener("change", repaint);
      made.destroy();
    };
  }, [peaks]);

  return (
    <div class="wave">
      <div ref={container} role="img" aria-label={t.waveform} />
    </div>
  );
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return {
    waveColor: style.getPropertyValue("--wave").trim(),
    progressColor: style.getPropertyValue("--accent").trim(),
  };
}
