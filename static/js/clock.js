/** 7:31, or 1:02:40. */
export function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60, rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** “Recording {date}” with the date and the time of a moment, as the clock beside the browser shows them. */
export function dated(words, moment) {
  return words.replace("{date}", new Date(moment).toLocaleString("sv").slice(0, 16)); // 2026-11-24 14:50
}
