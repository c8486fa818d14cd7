// The stage: the canvases of a run, and the player that goes through its steps.
//
// A run has one lane a model. Frames of all lanes are kept in the order of their arrival; a tick is what every lane
// shows after one of them, so that two models side by side keep their pace.

import { $, el, seconds, still } from "./dom.js";
import { drawEmpty, drawFrame, inWords } from "./canvas.js";
import { bornAt, drawRolls, drawTable } from "./roll.js";
import { t } from "./i18n.js";

const IDLE = 12; // blocks of an empty canvas

/** How the frames of a text are shown: an empty canvas, a frame of it, its words, and the roll of writing below. */
const TOKENS = {
  start: (lane, run) => {
    const root = el("div", { class: `tokens${run.mono ? " mono" : ""}`, "aria-hidden": "true" });
    drawEmpty(root, lane.expected || IDLE);
    return root;
  },
  draw: (root, frame, { lane }) => drawFrame(root, frame, { known: lane.frames.at(-1), born: bornAt(lane.frames) }),
  words: inWords,
  rolls: true,
};

/** Make a run of these models. */
export function newRun(names, facts = {}) {
  const lanes = names.map((name) => ({ name, frames: [], answer: null }));
  return { lanes, ticks: [], done: false, view: TOKENS, ...facts };
}

export class Stage {
  /** Show nothing yet; `onTick(run, frames)` is told what every lane shows. */
  constructor(onTick) {
    Object.assign(this, { onTick, run: null, at: -1, following: false, playing: false, timer: 0 });
    $("play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    $("scrub").addEventListener("input", () => this.seek(Number($("scrub").value)));
    $("lanes").addEventListener("keydown", (event) => this.press(event));
    $("tokens").addEventListener("toggle", () => this.detail());
    document.addEventListener("language", () => this.redraw());
    new ResizeObserver(() => this.roll()).observe($("roll"));
    this.clear();
  }

  /** Show an empty canvas. */
  clear(words = t("canvas_empty")) {
    this.take(null);
    this.note(words);
    const root = el("div", { class: "tokens idle", "aria-hidden": "true" });
    drawEmpty(root, IDLE);
    $("lanes").replaceChildren(root);
  }

  /** Show something that has no steps; `make` draws it, again when the language changes. */
  show(make, note = "") {
    this.take(null);
    this.note(note);
    this.make = make;
    $("lanes").replaceChildren(make());
  }

  /** Show a run from its first frame on, or (`end`) as it ended. */
  take(run, end = false) {
    clearTimeout(this.timer);
    Object.assign(this, { run, at: -1, following: run !== null, playing: false, make: null });
    $("extra").replaceChildren();
    $("facts").replaceChildren();
    $("reads").textContent = "";
    $("lanes").setAttribute("aria-label", t("canvas"));
    $("lanes").classList.remove("beside");
    $("player").hidden = $("roll-part").hidden = true;
    $("output").dataset.state = run ? "writing" : "idle";
    if (run) this.lanes();
    this.roll();
    if (run && end) this.open();
    if (run && end) this.seek(run.ticks.length - 1);
  }

  /** Show the player, and what the view of the run has below it. */
  open() {
    $("player").hidden = false;
    $("roll-part").hidden = !this.run.view.rolls;
  }

  note(words) {
    $("state").textContent = words;
    $("state").hidden = !words;
  }

  /** Make the canvases of a run. */
  lanes() {
    const several = this.run.lanes.length > 1;
    $("lanes").classList.toggle("beside", several);
    $("lanes").replaceChildren(...this.run.lanes.map((lane, k) => {
      const tokens = this.run.view.start(lane, this.run);
      tokens.id = `tokens-${k}`;
      const head = several ? el("h3", { class: "lane-head" }, el("span", {}, lane.name), el("span", { class: "figure", id: `lane-${k}` })) : null;
      return el("div", { class: "lane" }, head, tokens);
    }));
  }

  /** Add a frame to a lane of the run; it is drawn when its turn comes. */
  push(run, k, frame) {
    run.lanes[k].frames.push(frame);
    run.ticks.push(run.lanes.map((lane) => lane.frames.length - 1));
    if (run !== this.run) return;
    this.open();
    if (this.following && !this.timer) this.advance();
    else this.controls();
  }

  /** Note that nothing more of a run will come. */
  finish(run) {
    run.done = true;
    if (run !== this.run) return;
    if (still()) this.seek(run.ticks.length - 1);
    if (this.at >= run.ticks.length - 1) {
      this.following = false;
      this.draw();
    }
    this.facts();
    this.controls();
  }

  /** Show the next tick, and come back for the one after it. */
  advance() {
    const pace = still() && !this.playing ? 0 : Number($("speed").value);
    const last = this.run.ticks.length - 1;
    this.at = pace === 0 && !this.playing ? last : Math.min(this.at + 1, last);
    this.draw();
    clearTimeout(this.timer);
    const more = this.at < last;
    if (!more && this.run.done) this.playing = this.following = false;
    const wait = this.playing ? pace || 40 : pace;
    this.timer = more || wait ? setTimeout(() => this.resume(), wait) : 0;
    this.controls();
  }

  resume() {
    this.timer = 0;
    if (this.run && (this.following || this.playing) && this.at < this.run.ticks.length - 1) this.advance();
  }

  play() {
    if (!this.run?.ticks.length) return;
    if (this.at >= this.run.ticks.length - 1) this.at = -1;
    this.playing = true;
    this.advance();
  }

  pause() {
    clearTimeout(this.timer);
    Object.assign(this, { timer: 0, playing: false, following: false });
    this.controls();
  }

  seek(at) {
    if (!this.run?.ticks.length) return;
    this.pause();
    this.at = Math.max(0, Math.min(at, this.run.ticks.length - 1));
    this.draw();
    this.controls();
  }

  press(event) {
    if (!this.run?.ticks.length) return;
    const last = this.run.ticks.length - 1;
    const to = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) this.seek(to);
    else if (event.key === " ") this.playing ? this.pause() : this.play();
    else return;
    event.preventDefault();
  }

  /** Return the frame that each lane shows, null before its first. */
  frames() {
    const tick = this.run?.ticks[this.at];
    return this.run ? this.run.lanes.map((lane, k) => (tick ? lane.frames[tick[k]] ?? null : null)) : [];
  }

  draw() {
    const frames = this.frames();
    frames.forEach((frame, k) => {
      const lane = this.run.lanes[k];
      if (!frame) return;
      this.run.view.draw($(`tokens-${k}`), frame, { lane, run: this.run });
      const time = $(`lane-${k}`);
      if (time) time.textContent = t("lane_time", { seconds: seconds(frame.seconds), steps: frame.forwards });
    });
    this.note("");
    this.roll();
    this.onTick(this.run, frames);
  }

  roll() {
    drawRolls(this.run?.view.rolls ? this.run.lanes : [], this.frames());
  }

  /** Set slider, button and figures to what is shown. */
  controls() {
    const { run, at } = this;
    if (!run?.ticks.length) return;
    const frame = this.frames()[0];
    const values = { step: at + 1, steps: run.done ? run.ticks.length : Math.max(run.expected ?? 0, run.ticks.length) };
    const slider = $("scrub");
    slider.max = String(values.steps - 1);
    slider.value = String(Math.max(0, at));
    slider.style.setProperty("--done", `${(100 * Math.max(0, at)) / Math.max(1, values.steps - 1)}%`);
    const words = frame ? t("canvas_reads", { ...values, text: run.view.words(frame) }) : "";
    slider.setAttribute("aria-valuetext", words);
    $("reads").textContent = words;
    $("at").textContent = `${values.step} / ${values.steps}`;
    $("lanes").setAttribute("aria-label", `${t("canvas")}. ${t("canvas_step", values)}`);
    const moving = this.playing || (this.following && at < run.ticks.length - 1);
    $("play").classList.toggle("playing", moving);
    $("play").setAttribute("aria-label", t(moving ? "pause" : "play"));
    $("output").dataset.state = run.done && !moving ? (at === run.ticks.length - 1 ? "done" : "looking back") : "writing";
  }

  /** Show what the answer cost. */
  facts() {
    const answer = this.run?.lanes[0].answer;
    if (!answer || !this.run.view.rolls) return;
    const usage = answer.usage ?? {};
    const cached = usage.prompt_tokens_details?.cached_tokens;
    const tokens = `${usage.prompt_tokens ?? "–"} + ${usage.completion_tokens ?? "–"}`;
    const rows = [
      [String(answer.steps), t("fact_steps")],
      [seconds(answer.seconds), t("fact_seconds")],
      [answer.tokens_per_forward?.toFixed(2) ?? "–", t("fact_rate")],
      [tokens + (cached ? ` (${t("fact_cached", { n: cached })})` : ""), t("fact_tokens")],
    ];
    $("facts").replaceChildren(...rows.map(([value, name]) => el("div", {}, el("dt", {}, name), el("dd", { class: "figure" }, value))));
    this.detail();
  }

  detail() {
    if ($("tokens").open && this.run?.view.rolls !== false) drawTable(this.run?.lanes[0]);
  }

  redraw() {
    if (this.make) $("lanes").replaceChildren(this.make());
    if (!this.run) return;
    if (this.run.ticks.length && this.at >= 0) this.draw();
    this.controls();
    this.facts();
  }
}

/** Write the answers of a run as one announcement. */
export function announce(run) {
  const [first, ...others] = run.lanes.filter((lane) => lane.answer);
  const words = [t("final", { text: first.answer.text })];
  for (const lane of others) words.push(t("twin_says", { name: lane.name, text: lane.answer.text }));
  $("final").textContent = words.join(" ");
}
