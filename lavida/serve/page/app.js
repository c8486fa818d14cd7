// The page: puts photo, forms, dial and stage together and talks to the server.

import { ApiError, follow, listModels, post, setKey } from "./api.js";
import { Area } from "./area.js";
import { drawAudit } from "./audit.js";
import { Dial } from "./dial.js";
import { $, el, keep, kept } from "./dom.js";
import { drawFilled, drawHoles, insertHole } from "./holes.js";
import { language, setLanguage, t, translate } from "./i18n.js";
import { drawEvidence, watchEvidence } from "./overlay.js";
import { PICTURE, drawResult, paint } from "./painting.js";
import { Picture } from "./picture.js";
import { Mistake, askBody, auditBody, drawBody, fillBody, formBody, isText, twinBody } from "./requests.js";
import { Runs } from "./runs.js";
import { FormBuilder, drawObject, schemaOf } from "./schema.js";
import { snippet } from "./snippet.js";
import { Stage, announce, newRun } from "./stage.js";

const MODES = ["ask", "fill", "form", "audit", "draw"];
const THEMES = ["auto", "light", "dark"];
const SWEEP = [1, 2, 4, 8, 16, 32];
const FIELDS = [
  { name: "animal", kind: "enum", choices: "cat, dog, bird, fish" },
  { name: "indoors", kind: "boolean" },
  { name: "count", kind: "integer" },
];

const state = { models: [], model: null, mode: "ask", turns: [], last: null, abort: null };
const stage = new Stage((run, frames) => {
  if (run?.fields && frames[0]) drawObject(frames[0], run.fields, run.done && frames[0] === run.lanes[0].frames.at(-1));
  if (run?.view === PICTURE) drawResult(run, (file) => picture.take(file));
});
const runs = new Runs();
const dial = new Dial(() => code());
const builder = new FormBuilder(FIELDS);
const picture = new Picture(onPicture, complain);
const part = new Area(() => code());

// What the reader may do wrong, and what goes wrong

function complain(words) {
  $("error").textContent = words;
  $("error").hidden = !words;
}

function onFailure(error) {
  if (error.name === "AbortError") {
    if (stage.run) stage.note(t("stopped"));
    return;
  }
  if (error instanceof ApiError && error.status === 401) askForKey();
  if (!(error instanceof ApiError) && !(error instanceof Mistake)) console.error(error);
  complain(error instanceof ApiError && error.status === 0 ? t("unreachable") : error.message);
}

function askForKey() {
  $("key-form").hidden = false;
  $("key").focus();
}

/** Do one thing at a time; the button that began it stops it. */
async function busy(work) {
  if (state.abort) {
    state.abort.abort();
    return;
  }
  state.abort = new AbortController();
  complain("");
  $("final").textContent = "";
  document.body.classList.add("busy");
  buttons();
  try {
    await work(state.abort.signal);
  } catch (error) {
    onFailure(error);
  } finally {
    state.abort.abort(); // what else of it is still under way
    state.abort = null;
    document.body.classList.remove("busy");
    buttons();
    code();
  }
}

function buttons() {
  for (const mode of MODES) {
    $(`panel-${mode}`).querySelector("[type=submit]").textContent = t(state.abort ? "stop" : mode);
  }
  $("sweep").textContent = t("runs_sweep", { most: Math.min(dial.length, SWEEP.at(-1)) });
  $("sweep").disabled = !state.last || state.abort !== null;
}

function photo() {
  if (!picture.address && state.model?.lavida?.vision !== false) throw new Mistake(t("no_picture"));
  return picture.address;
}

const request = () => ({ model: state.model?.id, photo: photo(), options: dial.values, builder });

// The modes

/** Fill a lane of a run until its answer. */
async function writeLane(run, k, body, signal) {
  const lane = run.lanes[k];
  lane.expected = Math.min(dial.length, 48);
  for await (const event of follow("v1/denoise", body, signal)) {
    if (event.type === "queued") stage.note(t("canvas_wait", { n: event.ahead }));
    else if (event.type === "step") stage.push(run, k, event);
    else if (event.type === "answer") lane.answer = event;
  }
}

async function write(bodies, facts, signal) {
  const run = newRun(bodies.map((body) => body.model), facts);
  stage.take(run);
  stage.note(t("canvas_start"));
  try {
    await Promise.all(bodies.map((body, k) => writeLane(run, k, body, signal)));
  } finally {
    stage.finish(run);
  }
  run.lanes.forEach((lane, k) => lane.answer && runs.add(setting(bodies[k]), lane.name, lane.answer, k > 0));
  announce(run);
  drawEvidence(run.lanes[0].answer?.evidence);
  return run;
}

async function ask(question, signal) {
  const turns = $("follow").checked ? state.turns : [];
  const body = askBody({ ...request(), turns, question });
  const other = twin();
  const bodies = other && $("beside").checked ? [body, twinBody(body, other.id, dial.values)] : [body];
  state.last = body;
  code();
  const run = await write(bodies, {}, signal);
  const answer = run.lanes[0].answer?.text ?? "";
  state.turns.push({ question, answer, run });
  $("audit-text").value = answer;
  $("question").value = "";
  drawTurns(run);
}

async function fill(signal) {
  const body = fillBody(request());
  stage.show(() => drawHoles(body.text), t("working"));
  const found = await post("v1/infill", body, signal);
  stage.show(() => drawFilled(body.text, found));
  $("final").textContent = t("final", { text: found.text });
}

async function form(signal) {
  const body = formBody(request());
  const schema = body.response_format.json_schema.schema;
  await write([body], { mono: true, fields: Object.keys(schema.properties ?? {}) }, signal);
}

async function audit(signal) {
  const body = auditBody(request());
  stage.show(() => el("div", { class: "tokens" }, body.text), t("working"));
  const found = await post("v1/audit", body, signal);
  stage.show(() => drawAudit(found));
}

async function draw(signal) {
  const body = drawBody({ model: state.model?.id, photo: picture.address, mask: part.on ? part.mask() : null });
  await paint(stage, body, signal);
}

/** Measure the last question at several numbers of steps, without drawing it. */
async function sweep(signal) {
  const { model, messages } = state.last;
  for (const steps of SWEEP.filter((one) => one <= dial.length)) {
    $("sweep").textContent = t("runs_sweeping", { steps });
    const body = { model, messages, ...dial.values, steps };
    for await (const event of follow("v1/denoise", body, signal)) {
      if (event.type === "answer") runs.add(setting(body), model, event);
    }
  }
}

/** Return the options of a request in a few words. */
function setting({ model, messages, response_format, ...options }) {
  const words = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  return words.join(", ") || t("dial_default");
}

// The dialogue

function drawTurns(shown) {
  const items = state.turns.map((turn) => {
    const button = el("button", { type: "button", class: "turn", "aria-current": turn.run === shown ? "true" : null },
      el("span", { class: "turn-question" }, turn.question), el("span", { class: "turn-answer" }, turn.answer));
    button.addEventListener("click", () => {
      stage.take(turn.run, true);
      stage.facts();
      drawTurns(turn.run);
    });
    return el("li", {}, button);
  });
  $("turns").replaceChildren(...items);
  $("turns").hidden = items.length < 2;
  $("again").hidden = !items.length;
  $("turns").scrollTop = $("turns").scrollHeight;
}

function restart() {
  state.abort?.abort();
  state.turns = [];
  drawTurns(null);
  clear();
}

function clear() {
  stage.clear(t(state.mode === "draw" ? "canvas_empty_draw" : "canvas_empty"));
}

function onPicture() {
  complain("");
  part.offer(picture.address !== null);
  drawEvidence([]);
  restart();
  if (picture.address) {
    $("final").textContent = t("loaded", { name: picture.name });
    if (document.activeElement === document.body || $("drop").contains(document.activeElement)) {
      $(state.mode === "draw" ? "draw-prompt" : "question").focus({ preventScroll: true });
    }
  }
  code();
}

function suggest() {
  const chips = ["describe", 1, 2].map((one) => {
    const words = one === "describe" ? t("describe") : t(`suggestion_${one}`);
    const asked = one === "describe" ? t("describe_prompt") : words;
    const chip = el("button", { type: "button", class: "chip" }, words);
    chip.addEventListener("click", () => state.abort || busy((signal) => ask(asked, signal)));
    return chip;
  });
  $("suggestions").replaceChildren(...chips);
}

// Model, modes, code

const twin = () => state.models.find((one) => one.id !== state.model?.id && one.lavida?.autoregressive);

async function loadModels() {
  state.models = await listModels();
  $("key-form").hidden = true;
  $("model").replaceChildren(...state.models.map((one) => el("option", { value: one.id }, one.id)));
  $("model").disabled = false;
  useModel(state.models[0]?.id);
}

function useModel(id) {
  state.model = state.models.find((one) => one.id === id) ?? null;
  dial.use(state.model?.lavida?.options);
  $("tab-draw").hidden = !state.model?.lavida?.draws;
  if (state.mode === "draw" && $("tab-draw").hidden) setMode("ask");
  $("beside-label").hidden = !twin();
  $("beside-words").textContent = twin() ? t("beside", { name: twin().id }) : "";
  buttons();
  code();
}

function setMode(mode, focus = false) {
  state.mode = mode;
  for (const one of MODES) {
    const [tab, on] = [$(`tab-${one}`), one === mode];
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    $(`panel-${one}`).hidden = !on;
    if (on && focus) tab.focus();
  }
  $("dial-part").hidden = $("runs-part").hidden = mode === "draw"; // they are about answers
  part.use(mode === "draw");
  if (!stage.run && !stage.make) clear();
  complain("");
  code();
}

/** Return the request that the open form would send, null while it is not complete. */
function atHand() {
  const given = { model: state.model?.id, photo: picture.address ?? "photo.jpg", options: dial.values, builder };
  try {
    if (state.mode === "fill") return { path: "infill", body: fillBody(given), photo: given.photo };
    if (state.mode === "audit") return { path: "audit", body: auditBody(given), photo: given.photo };
    if (state.mode === "draw") return drawing(given.photo);
    if (state.mode === "form") return { path: "chat/completions", body: formBody(given), photo: given.photo };
    const turns = $("follow").checked ? state.turns : [];
    const question = $("question").value.trim() || state.turns.at(-1)?.question || $("question").placeholder;
    return { path: "chat/completions", body: askBody({ ...given, turns, question }), photo: given.photo };
  } catch (error) {
    if (error instanceof Mistake) return null;
    throw error;
  }
}

function drawing(photo) {
  const mask = part.on ? "mask.png" : null;
  return { path: "images/generations", body: drawBody({ model: state.model?.id, photo, mask }), photo: mask && photo, mask };
}

function code() {
  $("code-note").textContent = t(state.mode === "draw" && part.on ? "code_note_draw" : "code_note");
  if (!$("code").open || !state.model) return;
  const way = document.querySelector("[name=code-way]:checked").value;
  const found = atHand();
  $("snippet").textContent = found ? snippet(way, found) : "";
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("snippet").textContent);
    $("copied").textContent = t("code_copied");
  } catch {
    $("copied").textContent = t("code_failed");
  }
}

// Theme and language

function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $("theme").dataset.name = name;
  const words = t("theme", { name: t(`theme_${name}`) });
  $("theme").setAttribute("aria-label", words);
  $("theme").title = words;
}

function drawWords() {
  document.title = t("title");
  theme(document.documentElement.dataset.theme ?? "auto");
  for (const button of document.querySelectorAll("[data-hole]")) {
    button.setAttribute("aria-label", t("fill_insert", { hole: button.dataset.hole }));
  }
  suggest();
  buttons();
  if (twin()) $("beside-words").textContent = t("beside", { name: twin().id });
  if (!stage.run && !stage.make) clear();
  code();
}

// Wires

function watchForms() {
  const work = { fill, form, audit, draw };
  for (const [mode, job] of Object.entries(work)) {
    $(`panel-${mode}`).addEventListener("submit", (event) => {
      event.preventDefault();
      busy(job);
    });
  }
  $("panel-ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const question = $("question").value.trim() || $("question").placeholder;
    busy((signal) => ask(question, signal));
  });
  for (const area of document.querySelectorAll(".composer textarea")) {
    area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      area.form.requestSubmit();
    });
  }
  $("panel-form").addEventListener("change", () => {
    $("form-fields").hidden = isText();
    if (isText() && !$("form-schema").value) $("form-schema").value = JSON.stringify(schemaOf(FIELDS), null, 2);
    $("form-schema").hidden = !isText();
  });
  for (const button of document.querySelectorAll("[data-hole]")) {
    button.addEventListener("click", () => insertHole($("fill-text"), button.dataset.hole));
  }
  $("fill-text").addEventListener("input", () => stage.show(() => drawHoles($("fill-text").value)));
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey($("key").value);
    complain("");
    loadModels().catch(onFailure);
  });
}

function watchTools() {
  $("modes").addEventListener("click", (event) => event.target.id?.startsWith("tab-") && setMode(event.target.id.slice(4)));
  $("modes").addEventListener("keydown", (event) => {
    const modes = MODES.filter((mode) => !$(`tab-${mode}`).hidden);
    const at = modes.indexOf(state.mode);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: modes.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    setMode(modes.at(to % modes.length), true);
  });
  $("model").addEventListener("change", () => useModel($("model").value));
  $("restart").addEventListener("click", () => {
    restart();
    $("question").focus();
  });
  $("sweep").addEventListener("click", () => busy(sweep));
  $("language").addEventListener("click", () => setLanguage(language() === "zh" ? "en" : "zh"));
  $("theme").addEventListener("click", () => {
    const name = THEMES[(THEMES.indexOf($("theme").dataset.name) + 1) % THEMES.length];
    keep("theme", name);
    theme(name);
  });
  $("speed").value = kept("speed") ?? $("speed").value;
  $("speed").addEventListener("change", () => keep("speed", $("speed").value));
  $("follow").checked = kept("follow") === "yes";
  $("follow").addEventListener("change", () => keep("follow", $("follow").checked ? "yes" : "no"));
  for (const kind of ["input", "change"]) document.querySelector("main").addEventListener(kind, () => code());
  $("code").addEventListener("toggle", code);
  $("copy").addEventListener("click", copy);
  document.addEventListener("language", drawWords);
}

translate();
drawWords();
watchEvidence();
watchForms();
watchTools();
loadModels().catch(onFailure);
