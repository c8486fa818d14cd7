// Forms: a small builder for JSON Schema, and the object that fills while its canvas is written.

import { $, el, percent } from "./dom.js";
import { t } from "./i18n.js";

const KINDS = ["string", "enum", "integer", "number", "boolean", "list"];
const MASK = "\uffff"; // stands for a hidden token in a text of several

/** Return the schema of one field. */
function ofField({ name, kind, choices }) {
  if (kind === "enum") {
    const values = choices.split(/[,，、]/).map((one) => one.trim()).filter(Boolean);
    if (!values.length) throw new Error(t("form_no_choices", { name }));
    return { enum: values };
  }
  if (kind === "list") return { type: "array", items: { type: "string", maxLength: 24 }, maxItems: 4 };
  if (kind === "string") return { type: "string", maxLength: 24 };
  if (kind === "integer") return { type: "integer", minimum: 0, maximum: 999 };
  return { type: kind };
}

/** Return the JSON Schema of the builder's fields. Throws an error of one line. */
export function schemaOf(fields) {
  const named = fields.map((field) => ({ ...field, name: field.name.trim() })).filter((field) => field.name);
  if (!named.length) throw new Error(t("form_empty"));
  const names = named.map((field) => field.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new Error(t("form_twice", { name: twice }));
  const properties = Object.fromEntries(named.map((field) => [field.name, ofField(field)]));
  return { type: "object", properties, required: names, additionalProperties: false };
}

/** The builder's rows. */
export class FormBuilder {
  constructor(fields) {
    this.rows = [];
    for (const field of fields) this.add(field);
    $("form-add").addEventListener("click", () => this.add({ name: "", kind: "string", choices: "" }).focus());
    document.addEventListener("language", () => this.words());
  }

  add({ name, kind, choices = "" }) {
    const row = {
      name: el("input", { type: "text", value: name, autocomplete: "off", spellcheck: "false", "data-t-placeholder": "form_name", "data-t-label": "form_name" }),
      kind: el("select", { "data-t-label": "form_type" }, KINDS.map((one) => el("option", { value: one, "data-t": `kind_${one}` }))),
      choices: el("input", { type: "text", value: choices, autocomplete: "off", "data-t-placeholder": "form_choices", "data-t-label": "form_choices" }),
      remove: el("button", { type: "button", class: "quiet icon small" }, el("span", { "aria-hidden": "true" }, "×")),
    };
    row.kind.value = kind;
    const show = () => (row.choices.hidden = row.kind.value !== "enum");
    row.kind.addEventListener("change", show);
    row.name.addEventListener("input", () => this.words());
    row.remove.addEventListener("click", () => this.drop(row));
    row.root = el("div", { class: "form-row" }, row.name, row.kind, row.choices, row.remove);
    show();
    this.rows.push(row);
    $("form-rows").append(row.root);
    this.words();
    return row.name;
  }

  drop(row) {
    this.rows = this.rows.filter((one) => one !== row);
    row.root.remove();
    (this.rows.at(-1)?.name ?? $("form-add")).focus();
  }

  words() {
    for (const row of this.rows) {
      for (const [node, key] of [[row.name, "form_name"], [row.choices, "form_choices"]]) {
        node.placeholder = t(key);
        node.setAttribute("aria-label", t(key));
      }
      row.kind.setAttribute("aria-label", t("form_type"));
      for (const option of row.kind.options) option.textContent = t(`kind_${option.value}`);
      row.remove.setAttribute("aria-label", t("form_remove", { name: row.name.value }));
    }
  }

  /** Return the fields as they are written. */
  get fields() {
    return this.rows.map((row) => ({ name: row.name.value, kind: row.kind.value, choices: row.choices.value }));
  }
}

/** Return, for each name, what a half-written canvas says of it: `{ name, text, pieces, done }`. */
export function partial(frame, names) {
  const spans = [];
  let text = "";
  frame.pieces.forEach((piece, i) => {
    const written = piece ?? MASK;
    spans.push({ from: text.length, to: text.length + written.length, i });
    text += written;
  });
  const keys = names.map((name) => {
    const quoted = JSON.stringify(name);
    const found = new RegExp(`${quoted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s*:`).exec(text);
    return found ? { at: found.index, from: found.index + found[0].length } : null;
  });
  return names.map((name, k) => {
    if (!keys[k]) return { name, text: null, pieces: [], done: false };
    const next = keys.filter((key) => key && key.at > keys[k].at).map((key) => key.at);
    const to = endOf(text, keys[k].from, Math.min(text.length, ...next));
    const pieces = spans.filter((span) => span.from < to && span.to > keys[k].from).map((span) => span.i);
    const value = text.slice(keys[k].from, to).trim().replace(/,\s*$/, "");
    return { name, text: value, pieces, done: value !== "" && !value.includes(MASK) };
  });
}

/** Return where the value that begins at `from` ends, at most `limit`. */
function endOf(text, from, limit) {
  let [depth, quoted] = [0, false];
  for (let at = from; at < limit; at += 1) {
    const char = text[at];
    if (quoted) {
      if (char === "\\") at += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if ("[{".includes(char)) depth += 1;
    else if ("]}".includes(char) && depth > 0) depth -= 1;
    else if ((char === "," || char === "}") && depth === 0) return at;
  }
  return limit;
}

/** Draw the object as far as it is written; with `sure`, the confidence of each field. */
export function drawObject(frame, names, sure) {
  const rows = partial(frame, names).map((field) => {
    const product = field.pieces.reduce((value, i) => value * (frame.confidence?.[i] ?? 1), 1);
    const note = sure && field.done ? el("span", { class: "figure" }, percent(product)) : null;
    return el("div", { class: field.done ? "done" : "" }, el("dt", {}, field.name), el("dd", {}, value(field), note));
  });
  const head = el("h3", {}, t("form_object"));
  $("extra").replaceChildren(head, el("dl", { class: "object" }, rows));
}

function value(field) {
  if (field.text === null || field.text === "") return el("span", { class: "token mask unknown" }, el("span", { class: "sr" }, t("pending")));
  const parts = (field.done ? field.text : field.text.replace(/^"|"$/g, "")).split(MASK);
  if (parts.length === 1) return el("span", { class: "value" }, readable(field.text));
  const nodes = parts.flatMap((part, i) => (i ? [el("span", { class: "token mask unknown" }), part] : [part]));
  return el("span", { class: "value" }, nodes);
}

function readable(text) {
  try {
    const found = JSON.parse(text);
    if (typeof found === "boolean") return t(found ? "yes" : "no");
    return Array.isArray(found) ? found.join(", ") : typeof found === "object" && found ? text : String(found);
  } catch {
    return text;
  }
}
