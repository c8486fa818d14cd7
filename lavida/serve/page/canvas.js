// Draw one state of a canvas: written tokens with their confidence, hidden ones as soft blocks, the end as dots.

import { el, percent } from "./dom.js";
import { t } from "./i18n.js";

const LEVELS = [0.5, 0.8, 0.95, 0.99]; // bounds of the five classes of confidence
const TAIL = 12; // positions of the end that are drawn
const WIDE = 18; // characters of a word that may be broken
const HAN = /[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]/;

/** Return the last position that is not the end of the answer, -1 if there is none. */
export const lastText = (pieces) => pieces.findLastIndex((piece) => piece !== "");

/** Return the class of a confidence, 0 (under a half) to 4. */
export function level(confidence) {
  const found = LEVELS.findIndex((bound) => confidence < bound);
  return found < 0 ? LEVELS.length : found;
}

/**
 * Draw a frame.
 *
 * `known` are the pieces of a later frame, if there is one: blocks then have the width of what will stand there, so
 * that nothing moves while one goes back and forth. `born` tells at which step each position was written.
 */
export function drawFrame(root, frame, { known = null, born = new Map(), fresh = true } = {}) {
  const shown = whole(frame.pieces, frame.text);
  const later = known ? whole(known.pieces, known.text) : [];
  const new_ = new Set(fresh ? frame.committed : []);
  const groups = [];
  let before = null; // the text of the position before, null if it is not known
  const texts = shown.map((piece, i) => piece ?? later[i] ?? null);
  const room = lastText(texts) + 1 + TAIL;
  shown.slice(0, room).forEach((piece, i) => {
    const text = texts[i];
    if (text !== null && text.includes("\n")) groups.push("\n");
    const token = drawToken(piece, text, i, frame, born, new_.has(i));
    const spaced = text === null || before === null || text === "" || /^\s/.test(text);
    if (spaced || HAN.test(text) || !groups.length || typeof groups.at(-1) === "string") {
      if (spaced && groups.length) groups.push(" ");
      groups.push(el("span", { class: "word" }, token));
    } else {
      groups.at(-1).append(token);
    }
    before = text === "" ? null : text;
  });
  if (shown.length > room) groups.push(" ", el("span", { class: "rest" }, `+ ${shown.length - room}`));
  for (const group of groups) if (group.textContent?.length > WIDE) group.classList.add("wide");
  root.classList.toggle("long", shown.filter((piece) => piece !== "").length > 40);
  root.replaceChildren(...groups.map((group) => (group === "\n" ? el("br") : group)));
}

function drawToken(piece, text, i, frame, born, isNew) {
  const confidence = frame.confidence?.[i] ?? null;
  if (piece === null) {
    const tip = confidence === null ? null : t("token_open", { confidence: percent(confidence) });
    const width = text === null ? "unknown" : text === "" ? "tail" : "";
    const vars = confidence === null ? {} : { "--guess": confidence.toFixed(2) };
    return el("span", { class: `token mask ${width}`, vars, dataset: tip ? { tip } : {} }, text?.trim() ?? "");
  }
  const step = born.get(i);
  const tip = step === undefined ? "" : t("token_tip", { step, confidence: percent(confidence) });
  if (piece === "") {
    return el("span", { class: `token end${isNew ? " fresh" : ""}`, dataset: { tip: `${t("roll_end")}, ${tip}` } });
  }
  const dataset = { tip, level: confidence === null ? 4 : level(confidence) };
  return el("span", { class: `token${isNew ? " fresh" : ""}`, dataset }, piece.replace(/^\s+/, ""));
}

/** Return the pieces with the bytes of a character that several tokens spell put together in the first of them. */
export function whole(pieces, text) {
  if (!text || !pieces.some((piece) => piece?.includes("\ufffd"))) return pieces;
  const runs = [];
  let pattern = "";
  let open = false; // whether the position before is part of a run
  pieces.forEach((piece, i) => {
    if (piece === null || piece === "") return;
    const broken = piece.includes("\ufffd");
    if (broken && open) runs.at(-1).push(i);
    else if (broken) {
      runs.push([i]);
      pattern += "([\\s\\S]+?)";
    } else pattern += piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    open = broken;
  });
  const found = new RegExp(`^\\s*${pattern.trimStart()}\\s*$`).exec(text);
  if (!found) return pieces;
  const joined = [...pieces];
  runs.forEach((run, k) => run.forEach((i, at) => (joined[i] = at === 0 ? found[k + 1] : "\u200b")));
  return joined;
}

/** Return a frame as plain words, hidden tokens as an ellipsis each run. */
export function inWords(frame) {
  const end = frame.pieces.findIndex((piece, i) => piece === "" && frame.pieces.slice(i).every((rest) => rest === ""));
  const pieces = whole(frame.pieces, frame.text).slice(0, end < 0 ? undefined : end);
  return pieces.map((piece) => piece ?? ` ${t("hidden_token")}`).join("").replace(/( …)+/g, " …").trim();
}

/** Draw blocks for a canvas of which nothing is known yet. */
export function drawEmpty(root, count) {
  const words = Array.from({ length: count }, () => [el("span", { class: "token mask unknown" }), " "]);
  root.replaceChildren(...words.flat());
}
