// The dial: the model's options as GET /v1/models lists them; only what the reader changed is sent.

import { $, el } from "./dom.js";
import { maybe, t } from "./i18n.js";

const FIRST = ["steps", "length", "schedule", "cache", "remasking"]; // on the dial itself, the rest below it
const WHOLE = /^int/i;
const NUMBER = /^(int|float|number)/i;
const SHOWN = /^(int|float|number|str|bool)/i; // options that a control can set

export class Dial {
  /** Draw the controls; `onChange` hears of every turn. */
  constructor(onChange) {
    Object.assign(this, { onChange, options: [], set: {} });
    $("dial-reset").addEventListener("click", () => this.reset());
    $("dial").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("language", () => this.draw());
  }

  /** Use the options of a model; what was set stays where it has the option too. */
  use(options) {
    this.options = (options ?? []).filter((one) => SHOWN.test(one.type) || one.choices?.length);
    const names = new Set(this.options.map((one) => one.name));
    this.set = Object.fromEntries(Object.entries(this.set).filter(([name]) => names.has(name)));
    this.draw();
  }

  /** Return the options that the reader set. */
  get values() {
    return { ...this.set };
  }

  /** Return the longest answer that is asked for, as far as it is known. */
  get length() {
    return this.set.length ?? this.find("length")?.default ?? 32;
  }

  find(name) {
    return this.options.find((one) => one.name === name);
  }

  reset() {
    this.set = {};
    this.draw();
    this.onChange();
    $("dial").querySelector("input, select")?.focus();
  }

  change(name, value) {
    if (value === null || value === "" || Number.isNaN(value)) delete this.set[name];
    else this.set[name] = value;
    $("dial-reset").hidden = !Object.keys(this.set).length;
    if (name === "length") this.steps?.();
    this.onChange();
  }

  draw() {
    const open = $("dial").querySelector("details")?.open ?? false;
    const first = FIRST.map((name) => this.find(name)).filter(Boolean);
    const rest = this.options.filter((one) => !FIRST.includes(one.name));
    const groups = Map.groupBy ? Map.groupBy(rest, (one) => one.group ?? "") : grouped(rest);
    const more = [...groups].map(([group, options]) =>
      el("fieldset", {}, el("legend", { lang: "en" }, group), options.map((one) => this.field(one))));
    const details = rest.length ? el("details", { open }, el("summary", {}, t("dial_more")), el("div", { class: "more" }, more)) : null;
    this.help = el("p", { class: "note dial-help" }, t("dial_note"));
    $("dial").replaceChildren(...first.map((one) => this.field(one)), this.help, ...(details ? [details] : []));
    $("dial-reset").hidden = !Object.keys(this.set).length;
  }

  /** Make one control with its label and help. */
  field(option) {
    const { name } = option;
    const id = `option-${name}`;
    const control = name === "steps" ? this.stepsControl(option, id) : this.control(option, id);
    const words = maybe(`option_${name}`);
    const label = el("label", { for: id }, words ?? name, words ? el("code", {}, name) : null);
    const main = FIRST.includes(name);
    const help = el("p", { class: main ? "sr" : "note", id: `${id}-help`, lang: "en" }, option.help ?? "");
    const root = el("div", { class: "field" }, label, control, help);
    if (main) {
      for (const kind of ["focusin", "pointerenter"]) root.addEventListener(kind, () => this.explain(option.help, "en"));
      for (const kind of ["focusout", "pointerleave"]) root.addEventListener(kind, () => this.explain(t("dial_note"), null));
    }
    return root;
  }

  /** Write what the control under the pointer does into the one line kept for it, so that nothing moves. */
  explain(words, language) {
    this.help.textContent = words ?? "";
    if (language) this.help.lang = language;
    else this.help.removeAttribute("lang");
  }

  control(option, id) {
    const { name } = option;
    const common = { id, "aria-describedby": `${id}-help` };
    const value = this.set[name] ?? "";
    if (option.choices?.length || /^bool/i.test(option.type)) return this.select(option, common);
    const number = NUMBER.test(option.type);
    const bounds = number ? { type: "number", min: option.minimum, max: option.maximum, step: WHOLE.test(option.type) ? 1 : "any" } : { type: "text" };
    const hint = option.default === null || option.default === undefined ? t("unset") : String(option.default);
    const input = el("input", { ...common, ...bounds, value, placeholder: hint, inputmode: number ? "decimal" : null });
    input.addEventListener("change", () => this.change(name, number ? input.valueAsNumber : input.value));
    return input;
  }

  select(option, common) {
    const choices = option.choices?.length ? option.choices.filter((one) => one !== null) : [true, false];
    const fallback = option.default === null || option.default === undefined ? t("unset") : `${option.default}`;
    const items = [el("option", { value: "" }, fallback),
      ...choices.filter((one) => one !== option.default).map((one) => el("option", { value: String(one) }, String(one)))];
    const select = el("select", common, items);
    select.value = String(this.set[option.name] ?? "");
    select.addEventListener("change", () => {
      const found = choices.find((one) => String(one) === select.value);
      this.change(option.name, found ?? null);
    });
    return select;
  }

  /** Make the slider of steps: its right end is one step a token. */
  stepsControl(option, id) {
    const slider = el("input", { id, type: "range", min: 1, "aria-describedby": `${id}-help` });
    const output = el("output", { for: id, class: "figure" });
    const show = () => {
      const auto = this.set.steps === undefined;
      output.textContent = auto ? t("steps_auto") : String(this.set.steps);
      slider.setAttribute("aria-valuetext", output.textContent);
      const share = (100 * (Number(slider.value) - 1)) / Math.max(1, Number(slider.max) - 1);
      slider.style.setProperty("--done", `${share}%`);
    };
    this.steps = () => {
      slider.max = String(this.length);
      if (this.set.steps > this.length) delete this.set.steps;
      slider.value = String(this.set.steps ?? this.length);
      show();
    };
    slider.addEventListener("input", () => {
      const value = Number(slider.value);
      this.change("steps", value >= this.length ? null : value);
      show();
    });
    this.steps();
    return el("div", { class: "slider" }, slider, output);
  }
}

function grouped(options) {
  const groups = new Map();
  for (const one of options) groups.set(one.group ?? "", [...(groups.get(one.group ?? "") ?? []), one]);
  return groups;
}
