/** Plays a recording from the file of the listener, and stops exactly where a turn ends. */
import { signal } from "@preact/signals";

export class Player {
  readonly audio = new Audio();
  readonly time = signal(0);
  readonly playing = signal(false);
  readonly playable = signal(true);
  private stopAt = Infinity;
  private frame = 0;

  constructor(url: string) {
    const { audio } = this;
    audio.preload = "metadata";
    audio.onplay = () => {
      this.playing.value = true;
      this.tick();
    };
    audio.onpause = () => {
      this.playing.value = false;
      cancelAnimationFrame(this.frame);
    };
    audio.onseeked = () => (this.time.value = audio.currentTime);
    audio.onerror = () => (this.playable.value = false);
    audio.onloadedmetadata = () => {
      // A recorder writes no duration: the browser finds it when it is sent to the end.
      if (audio.duration === Infinity) {
        audio.currentTime = 1e9;
        audio.addEventListener("durationchange", () => (audio.currentTime = 0), { once: true });
      }
    };
    audio.src = url;
  }

  private tick = (): void => {
    const { audio } = this;
    if (audio.currentTime >= this.stopAt) {
      audio.pause();
      audio.currentTime = this.stopAt;
      this.stopAt = Infinity;
    }
    this.time.value = audio.currentTime;
    if (!audio.paused) this.frame = requestAnimationFrame(this.tick);
  };

  toggle(): void {
    this.stopAt = Infinity;
    if (this.audio.paused) void this.audio.play().catch(() => undefined);
    else this.audio.pause();
  }

  /** Play a span and stop behind it. */
  playSpan(start: number, end: number): void {
    this.audio.currentTime = start;
    this.stopAt = end;
    void this.audio.play().catch(() => undefined);
  }

  /** Go to a second, and go on from there if it was playing. */
  seek(seconds: number): void {
    this.stopAt = Infinity;
    this.audio.currentTime = Math.max(0, seconds);
    this.time.value = this.audio.currentTime;
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }
}
