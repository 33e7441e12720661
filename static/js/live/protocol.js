// The messages of `stile.live.1`, as docs/live.md describes them.

export const PROTOCOL = "stile.live.1";

/**
 * @typedef {{ type: "ready", session: string, next_seq: number }} Ready
 * @typedef {{ type: "ack", seq: number }} Ack
 *
 * @typedef {object} Caption
 * @property {"caption"} type
 * @property {number} index
 * @property {number} start seconds
 * @property {number} end seconds
 * @property {string} text "" where what was heard turned out to be nothing
 * @property {"tentative" | "final"} state
 * @property {number} [stable] characters at the start of a tentative text that will not change
 *
 * @typedef {{ type: "status", state: "live" | "catching_up" | "waiting", behind_seconds: number }} Status
 * @typedef {{ type: "speaker", state: "here" | "paused" | "away" }} Speaker away: no sound comes though some should
 * @typedef {{ type: "viewers", count: number }} Viewers
 * @typedef {{ type: "error", code: string, message: string }} Failure
 * @typedef {{ type: "done", recording: number | null }} Done the recording's id; null where there was no sound
 *
 * @typedef {Ready | Ack | Caption | Status | Viewers | Failure | Done} ToSpeaker
 * @typedef {Caption | Status | Speaker | Failure | Done} ToViewer
 */
