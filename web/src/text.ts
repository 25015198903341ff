/** Numbers as text. */

/** Seconds as 1:02:03.4, with as many decimals as asked for. */
export function clock(seconds: number, decimals = 0): string {
  const unit = 10 ** decimals;
  const all = Math.round(seconds * unit);
  const rest = (all % (60 * unit)) / unit;
  const minutes = Math.floor(all / (60 * unit));
  const two = (value: number) => String(value).padStart(2, "0");
  const tail = rest.toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
  return minutes < 60 ? `${minutes}:${tail}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${tail}`;
}

/** A probability as a percentage that never claims certainty. */
export function percent(probability: number): string {
  if (probability > 0.999) return "over 99.9 %";
  if (probability > 0 && probability < 0.001) return "under 0.1 %";
  return `${(probability * 100).toFixed(probability > 0.995 || probability < 0.005 ? 1 : 0)} %`;
}

/** A factor with two significant digits. */
export function times(factor: number): string {
  if (factor >= 1e6) return "over a million";
  return Number(factor.toPrecision(2)).toLocaleString("en");
}

/** A word for a shell. */
export function shell(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
