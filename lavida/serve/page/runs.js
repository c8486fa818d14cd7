// What runs took: seconds on the server against passes, as a plot and as a table of the last ones.

import { $, el, seconds, svg } from "./dom.js";
import { t } from "./i18n.js";

const [HEIGHT, LEFT, BOTTOM, TOP] = [190, 44, 30, 14];
const MOST = 460; // pixels of the plot's width
const LAST = 6; // rows of the table

export class Runs {
  constructor() {
    this.list = [];
    document.addEventListener("language", () => this.draw());
    this.draw();
  }

  /** Note a finished answer. */
  add(setting, model, answer, twin = false) {
    this.list.push({ setting, model, twin, steps: answer.steps, seconds: answer.seconds, rate: answer.tokens_per_forward });
    this.draw();
  }

  draw() {
    if (!this.list.length) {
      $("runs").replaceChildren(el("p", { class: "empty" }, t("runs_none")));
      return;
    }
    $("runs").replaceChildren(plot(this.list), table(this.list.slice(-LAST).reverse()));
  }
}

/** Return round marks up to at least `most`. */
function marks(most, count) {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, k) => k * step);
}

function plot(list) {
  const width = Math.min(MOST, $("runs").clientWidth || MOST);
  const across = marks(Math.max(...list.map((run) => run.steps), 4), 4);
  const up = marks(Math.max(...list.map((run) => run.seconds), 1e-3), 4);
  const x = (value) => LEFT + (value / across.at(-1)) * (width - LEFT - 14);
  const y = (value) => HEIGHT - BOTTOM - (value / up.at(-1)) * (HEIGHT - BOTTOM - TOP);
  const digits = up[1] < 0.1 ? 2 : up[1] < 1 ? 1 : 0;
  const lines = up.map((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: width - 14, y1: y(value), y2: y(value) }),
    svg("text", { class: "name", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(digits)),
  ]);
  const below = across.map((value) => svg("text", { class: "name", x: x(value), y: HEIGHT - 10, "text-anchor": "middle" }, String(value)));
  const units = [svg("text", { class: "name unit", x: LEFT, y: 8 }, "s")];
  const points = list.map((run, i) => {
    const now = i === list.length - 1 ? " now" : "";
    const [cx, cy] = [x(run.steps), y(run.seconds)];
    return run.twin
      ? svg("rect", { class: `point twin${now}`, x: cx - 4, y: cy - 4, width: 8, height: 8, transform: `rotate(45 ${cx} ${cy})` })
      : svg("circle", { class: `point${now}`, cx, cy, r: now ? 6 : 4.5 });
  });
  const words = list.slice(-20).map((run) => t("runs_point", { steps: run.steps, seconds: seconds(run.seconds) })).join("; ");
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": t("runs_plot", { list: words }) },
    lines.flat(), below, units, points);
}

function table(list) {
  const heads = ["runs_setting", "runs_passes", "runs_seconds", "runs_rate"];
  const several = new Set(list.map((run) => run.model)).size > 1;
  const rows = list.map((run) =>
    el("tr", {}, el("th", { scope: "row" }, several ? `${run.model}: ${run.setting}` : run.setting),
      [run.steps, run.seconds.toFixed(2), run.rate?.toFixed(2) ?? "–"].map((value) => el("td", { class: "figure" }, String(value)))));
  const head = heads.map((key, k) => el("th", { scope: "col", class: k ? "figure" : null }, t(key)));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("runs") },
    el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}
