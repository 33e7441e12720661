// The place by the player for what is said about saving and about a word, with the sentences.
import { byId } from "./dom.js";

export const note = byId("saved");
