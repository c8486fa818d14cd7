// Pictures while they are drawn: every code a cell, hidden or written, and the picture so far below them.

import { follow } from "./api.js";
import { $, el, seconds } from "./dom.js";
import { t } from "./i18n.js";
import { newRun } from "./stage.js";

const SO_FAR = 8; // pictures before the last that are asked for; the server leaves some out where they are slow

/** How the stage shows the frames of a picture (see `TOKENS` in stage.js). */
export const PICTURE = { start, draw, words, rolls: false };

/** Draw the picture of a request on the stage, step by step. */
export async function paint(stage, body, signal) {
  const run = newRun([body.model], { view: PICTURE, prompt: body.prompt, expected: body.steps });
  const [lane] = run.lanes;
  const below = { base: body.image ?? null, unseen: null, next: null };
  stage.take(run);
  stage.note(t("working"));
  try {
    const streamed = { ...body, stream: true, draft: true, partial_images: SO_FAR };
    for await (const event of follow("v1/images/generations", streamed, signal)) {
      if (event.type === "image_generation.partial_image") below.next = address(event); // of the step that comes next
      else if (event.type === "lavida.step") stage.push(run, 0, frameOf(event, below));
      else if (event.type === "image_generation.completed") {
        lane.answer = { ...event.lavida, address: address(event) };
        Object.assign(lane.frames.at(-1), { base: lane.answer.address, unseen: new Set() });
      }
    }
  } finally {
    stage.finish(run);
  }
  if (lane.answer) $("final").textContent = t("drawn", { prompt: body.prompt, seconds: seconds(lane.answer.seconds) });
}

/** Return the frame of a step: `open` cells are hidden, `unseen` ones were when the picture below them was made. */
function frameOf({ forwards, committed, shape, open: places }, below) {
  const open = new Set(places);
  below.unseen ??= new Set([...places, ...committed]);
  if (below.next) Object.assign(below, { base: below.next, unseen: open, next: null });
  return { forwards, committed, shape, open, base: below.base, unseen: below.unseen };
}

const address = (event) => `data:image/${event.output_format};base64,${event.b64_json}`;

function start() {
  return el("div", { class: "picture" }, el("img", { class: "so-far", alt: "" }), el("div", { class: "cells" }));
}

function draw(root, frame, { run }) {
  const [image, cells] = root.children;
  const [rows, columns] = frame.shape;
  root.setAttribute("role", "img");
  root.setAttribute("aria-label", t("drawn_alt", { prompt: run.prompt }));
  root.style.setProperty("--ratio", String(columns / rows));
  root.style.setProperty("--columns", String(columns));
  image.hidden = !frame.base;
  if (frame.base && image.src !== frame.base) image.src = frame.base;
  if (cells.childElementCount !== rows * columns) cells.replaceChildren(...Array.from({ length: rows * columns }, () => el("i")));
  const fresh = new Set(frame.committed);
  [...cells.children].forEach((cell, i) => {
    const kind = frame.open.has(i) ? "open" : frame.unseen.has(i) ? (fresh.has(i) ? "written new" : "written") : "";
    if (cell.className !== kind) cell.className = kind;
  });
}

function words(frame) {
  const [rows, columns] = frame.shape;
  return t("draw_reads", { n: rows * columns - frame.open.size, all: rows * columns });
}

/** Write below a picture what its cells mean and, when it is done, what it took and what can be done with it. */
export function drawResult(run, onUse) {
  const { answer } = run.lanes[0];
  const legend = el("p", { class: "legend" },
    el("span", { class: "key" }, el("i", { class: "open" }), t("cell_open")), el("span", { class: "key" }, el("i", { class: "written" }), t("cell_written")));
  $("extra").replaceChildren(legend);
  if (!answer) return;
  const name = `${run.prompt.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "picture"}-${answer.seed}.png`;
  const use = el("button", { type: "button", id: "use-photo" }, t("use_photo"));
  use.addEventListener("click", () => onUse(asFile(answer.address, name)));
  const facts = [[String(answer.steps), t("fact_steps")], [seconds(answer.seconds), t("fact_seconds")], [seconds(answer.showing), t("fact_showing")]];
  $("extra").append(el("div", { class: "row foot" },
    el("dl", { class: "facts" }, facts.map(([value, words]) => el("div", {}, el("dt", {}, words), el("dd", { class: "figure" }, value)))),
    el("div", { class: "row" }, use, el("a", { class: "button", id: "download", href: answer.address, download: name }, t("download")))));
}

function asFile(uri, name) {
  const bytes = Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type: "image/png" });
}
