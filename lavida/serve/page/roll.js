// When each token was written: a roll with one column a token and one row a step, and the same as a table.

import { $, el, percent, svg } from "./dom.js";
import { lastText, level, whole } from "./canvas.js";
import { t } from "./i18n.js";

const HEIGHT = 172;
const TAIL = 8; // columns of the end
const LABEL = 26; // room for the words below

/** Return, for each position, the pass at which it was written, counted from 1. */
export function bornAt(frames) {
  const born = new Map();
  for (const frame of frames) for (const i of frame.committed) born.set(i, frame.forwards);
  return born;
}

/** Draw the roll of every lane up to the frame that it shows; what comes later is pale. */
export function drawRolls(lanes, frames) {
  const root = $("roll");
  const shown = lanes.map((lane, k) => [lane, frames[k] ?? lane.frames[0]]).filter(([, frame]) => frame);
  const beside = shown.length > 1 && getComputedStyle(root).gridAutoFlow === "column" ? shown.length : 1;
  const width = Math.max(200, (root.clientWidth - 40 * (beside - 1)) / beside || 480);
  root.replaceChildren(...shown.map(([lane, frame]) => roll(lane, frame, width)));
}

function roll(lane, frame, width) {
  const last = lane.frames.at(-1);
  const born = bornAt(lane.frames);
  const pieces = whole(last.pieces, last.text);
  const [count, steps] = [Math.min(pieces.length, lastText(pieces) + 1 + TAIL), last.forwards];
  const [wide, high] = [width / count, (HEIGHT - LABEL) / steps];
  const y = (step) => (step - 1) * high;
  const cells = [...born].filter(([i]) => i < count).map(([i, step]) => {
    const kind = pieces[i] === "" ? " tail" : "";
    const [w, h] = [Math.max(1.5, Math.min(wide - 2, 46)), Math.max(2, Math.min(high - 1.5, 12))];
    const place = { x: i * wide + (wide - w) / 2, y: y(step) + (high - h) / 2, width: w, height: h, rx: Math.min(3, h / 2, w / 2) };
    const state = step > frame.forwards ? " later" : step === frame.forwards ? " now" : "";
    return svg("rect", { class: `cell${kind}${state}`, "data-level": level(last.confidence?.[i] ?? 1), ...place });
  });
  const rule = svg("line", { class: "rule", x1: 0, x2: width, y1: y(frame.forwards) + high / 2, y2: y(frame.forwards) + high / 2 });
  const names = wide < 17 ? [] : pieces.slice(0, count).map((piece, i) => label(piece, i, wide));
  const order = [...born].sort((a, b) => a[1] - b[1]).slice(0, 60);
  const list = order.map(([i, step]) => t("roll_item", { text: pieces[i]?.trim() || t("roll_end"), step })).join("; ");
  const picture = { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": t("roll_label", { list }) };
  return svg("svg", picture, rule, ...cells, ...names);
}

function label(piece, i, wide) {
  const text = (piece ?? "").trim();
  const most = Math.max(1, Math.floor(wide / 7));
  const short = text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text;
  return svg("text", { class: "name", x: (i + 0.5) * wide, y: HEIGHT - 6, "text-anchor": "middle" }, wide < 26 && text.length > 3 ? "" : short);
}

/** Draw the table of tokens: what stands where, since which step, how sure. */
export function drawTable(lane) {
  const last = lane?.frames.at(-1);
  if (!last) {
    $("token-table").replaceChildren();
    return;
  }
  const born = bornAt(lane.frames);
  const rows = whole(last.pieces, last.text).map((piece, i) =>
    el("tr", {}, el("td", { class: "figure" }, String(i + 1)),
      el("td", { class: piece ? "word-cell" : "faint" }, piece === null ? t("hidden_token") : piece || t("end_token")),
      el("td", { class: "figure" }, String(born.get(i) ?? "–")),
      el("td", { class: "figure" }, percent(last.confidence?.[i]))));
  const head = ["", t("token"), t("token_step"), t("token_confidence")];
  const heads = head.map((name, k) => (k ? el("th", { scope: "col", class: k > 1 ? "figure" : null }, name) : el("td", {})));
  $("token-table").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
}
