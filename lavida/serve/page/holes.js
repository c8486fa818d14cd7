// Holes in a text: found as one types, drawn as blocks, filled by /v1/infill.

import { $, el, percent } from "./dom.js";
import { t } from "./i18n.js";

const HOLE = /\[M(?::(\d+)(?:-(\d+))?)?\]/g;

/** Split a text into strings and holes `{ source, tokens }`. */
export function readHoles(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(HOLE)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    parts.push({ source: found[0], tokens: Number(found[2] ?? found[1] ?? 3) });
    at = found.index + found[0].length;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

/** Draw a text with its holes as blocks. */
export function drawHoles(text) {
  const root = el("div", { class: "tokens" });
  for (const part of readHoles(text)) {
    if (typeof part === "string") root.append(part);
    else {
      const blocks = Array.from({ length: Math.max(1, Math.min(part.tokens, 8)) }, () => el("span", { class: "token mask unknown" }));
      root.append(el("span", { class: "hole", role: "img", "aria-label": part.source }, blocks));
    }
  }
  return root;
}

/** Draw a filled text and, below it, what else could stand in each hole; a click puts it there. */
export function drawFilled(text, found) {
  const chosen = found.holes.map((hole) => hole.text);
  const root = el("div", { class: "tokens" });
  const draw = () => {
    let number = 0;
    const parts = readHoles(text).map((part) => {
      if (typeof part === "string") return part;
      const words = chosen[number++].trim();
      return el("mark", { class: "filled" }, words || t("hole_nothing"));
    });
    root.replaceChildren(...parts);
  };
  draw();
  $("extra").replaceChildren(el("ol", { class: "holes" }, found.holes.map((hole, k) => holeRow(hole, k, chosen, draw))),
    el("p", { class: "note" }, t("hole_note")));
  return root;
}

function holeRow(hole, k, chosen, draw) {
  const options = [hole, ...(hole.alternatives ?? [])];
  const buttons = options.map((option, i) => {
    const words = option.text.trim() || t("hole_nothing");
    const label = t("hole_try", { text: words, n: k + 1, probability: percent(option.probability) });
    const button = el("button", { type: "button", class: "chip option", "aria-pressed": String(i === 0), "aria-label": label },
      words, " ", el("span", { class: "figure" }, percent(option.probability)));
    button.addEventListener("click", () => {
      chosen[k] = option.text;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      draw();
    });
    return button;
  });
  return el("li", {}, el("span", { class: "hole-name" }, t("hole", { n: k + 1 })), el("div", { class: "chips" }, buttons));
}

/** Put a hole where the caret is. */
export function insertHole(area, hole) {
  const { selectionStart: from, selectionEnd: to, value } = area;
  const lead = from > 0 && !/\s$/.test(value.slice(0, from)) ? " " : "";
  area.setRangeText(lead + hole, from, to, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
}
