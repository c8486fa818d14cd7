// What the model's frozen parts found, drawn on the photo and listed below it; nothing where a model has none.

import { $, el, percent } from "./dom.js";
import { t } from "./i18n.js";

let last = [];

/** Show the evidence about the photo (`Answer.evidence`). */
export function drawEvidence(found) {
  last = found;
  const first = found?.[0];
  const [names, boxes, texts] = [first?.names ?? [], first?.boxes ?? [], first?.texts ?? []];
  $("evidence").hidden = !names.length && !boxes.length && !texts.length;
  $("overlay").replaceChildren(
    ...boxes.map((one) => frame(one.box, [one.colour, one.name].filter(Boolean).join(" "), "thing", percent(one.score))),
    ...texts.map((one) => frame(one.box, one.text, "text", "")),
  );
  const chips = [
    ...names.map((one) => [one.name, percent(one.probability), "whole"]),
    ...boxes.map((one) => [[one.colour, one.name].filter(Boolean).join(" "), percent(one.score), "thing"]),
    ...texts.map((one) => [`“${one.text}”`, t("evidence_text"), "text"]),
  ];
  const items = chips.map(([name, more, kind]) => el("li", { class: `chip ${kind}` }, name, " ", el("span", { class: "figure" }, more)));
  $("evidence-list").replaceChildren(...items);
  toggle();
}

function frame([left, top, right, bottom], name, kind, more) {
  const part = (value) => `${(100 * value).toFixed(2)}%`;
  const vars = { "--left": part(left), "--top": part(top), "--width": part(right - left), "--height": part(bottom - top) };
  return el("div", { class: `box ${kind}${top < 0.09 ? " under" : ""}${left > 0.5 ? " right" : ""}`, vars }, el("span", {}, name, more ? ` ${more}` : ""));
}

function toggle() {
  $("overlay").hidden = !$("evidence-show").checked;
}

/** Let the toggle hide and show the drawing. */
export function watchEvidence() {
  $("evidence-show").addEventListener("change", toggle);
  document.addEventListener("language", () => drawEvidence(last));
}
