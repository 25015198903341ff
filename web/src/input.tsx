/** Ways to give the page a recording: drop it, choose it, record it. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "./strings";
import { clock } from "./text";

interface Props {
  title: string;
  hint?: string;
  many?: boolean;
  compact?: boolean;
  onFiles: (files: File[]) => void;
  children?: ComponentChildren;
}

export function Input({ title, hint, many, compact, onFiles, children }: Props) {
  const over = useSignal(false);
  const chooser = useRef<HTMLInputElement>(null);
  const take = (files: FileList | null | undefined) => {
    if (files?.length) onFiles(many ? [...files] : [files[0]!]);
  };
  return (
    <div
      class={`drop ${compact ? "compact" : ""} ${over.value ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      <p class="drop-title">{title}</p>
      {hint && <p class="quiet">{hint}</p>}
      <div class="row">
        <button class="button" onClick={() => chooser.current!.click()}>
          {many ? t.choose : t.chooseOne}
        </button>
        <Microphone onFile={(file) => onFiles([file])} />
      </div>
      {children}
      <input
        ref={chooser}
        type="file"
        hidden
        multiple={many}
        accept="audio/*,video/*,.amr,.awb,.caf,.nist,.sph,.spx,.w64,.wma"
        aria-label={title}
        onChange={(event) => {
          take(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}

function Microphone({ onFile }: { onFile: (file: File) => void }) {
  const seconds = useSignal<number | null>(null);
  const refused = useSignal(false);
  const recorder = useRef<MediaRecorder | null>(null);
  useEffect(() => () => recorder.current?.stream.getTracks().forEach((track) => track.stop()), []);

  const start = async () => {
    refused.value = false;
    let stream: MediaStream;
    try {
      // The models are to hear the voice as it is, not what a telephone would send of it.
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch {
      refused.value = true;
      return;
    }
    const parts: Blob[] = [];
    const made = new MediaRecorder(stream);
    const began = performance.now();
    const timer = setInterval(() => (seconds.value = (performance.now() - began) / 1000), 250);
    made.ondataavailable = ({ data }) => parts.push(data);
    made.onstop = () => {
      clearInterval(timer);
      seconds.value = null;
      stream.getTracks().forEach((track) => track.stop());
      const kind = made.mimeType.includes("mp4") ? "m4a" : made.mimeType.includes("ogg") ? "ogg" : "webm";
      const name = t.recordedName(new Date().toTimeString().slice(0, 8).replaceAll(":", "."));
      onFile(new File(parts, `${name}.${kind}`, { type: made.mimeType }));
    };
    made.start();
    recorder.current = made;
    seconds.value = 0;
  };

  return (
    <>
      {seconds.value === null ? (
        <button class="button" onClick={start}>
          <i class="dot" aria-hidden="true" /> {t.record}
        </button>
      ) : (
        <button class="button bad" onClick={() => recorder.current!.stop()}>
          {t.stopRecording}
          <span class="mono" aria-hidden="true">
            {clock(seconds.value)}
          </span>
        </button>
      )}
      {refused.value && (
        <p class="bad" role="alert">
          {t.noMicrophone}
        </p>
      )}
    </>
  );
}
