// Times in words.

/**
 * A length as 7:31, or as 1:02:40 from an hour on.
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.floor(seconds), hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60, rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/**
 * A title with the date and the time of day in this browser's time zone, such as “Recording 2026-11-24 14:50”.
 * @param {string} words with the place “{date}”
 * @param {number} moment in ms since 1970
 */
export function dated(words, moment) {
  return words.replace("{date}", new Date(moment).toLocaleString("sv").slice(0, 16)); // Sweden writes dates as ISO 8601 does
}
