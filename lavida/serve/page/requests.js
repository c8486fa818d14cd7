// What is sent: each mode's form made into a path and a body.

import { $ } from "./dom.js";
import { t } from "./i18n.js";
import { readHoles } from "./holes.js";
import { schemaOf } from "./schema.js";

/** A mistake of the reader; its message is one line. */
export class Mistake extends Error {}

const FOR_TWIN = ["length", "temperature", "top_p", "top_k", "seed"]; // what a model that writes left to right has too

/** Return one message about a photo, as the standard has it. */
function message(words, photo) {
  const content = photo ? [{ type: "image_url", image_url: { url: photo } }, { type: "text", text: words }] : words;
  return { role: "user", content };
}

/** Return the dialogue that ends in a question; the photo is shown in its first turn. */
export function dialogue(turns, question, photo) {
  const messages = turns.flatMap((turn, i) => [message(turn.question, i ? null : photo), { role: "assistant", content: turn.answer }]);
  return [...messages, message(question, messages.length ? null : photo)];
}

/** Return the body of a question. Throws a Mistake. */
export function askBody({ model, turns, question, photo, options }) {
  return { model, messages: dialogue(turns, question, photo), ...options };
}

/** Return the same question for a model that writes left to right: without what it does not have. */
export function twinBody(body, model, options) {
  const shared = Object.fromEntries(Object.entries(options).filter(([name]) => FOR_TWIN.includes(name)));
  return { model, messages: body.messages, ...shared };
}

/** Return the body of a text with holes. Throws a Mistake. */
export function fillBody({ model, photo, options }) {
  const text = $("fill-text").value.trim() || $("fill-text").placeholder;
  if (!readHoles(text).some((part) => typeof part !== "string")) throw new Mistake(t("fill_none"));
  const question = $("fill-question").value.trim();
  return { model, ...(photo ? { image: photo } : {}), text, ...(question ? { question } : {}), ...options };
}

/** Return the schema that the form describes. Throws a Mistake. */
export function readSchema(builder) {
  try {
    if (!isText()) return schemaOf(builder.fields);
  } catch (error) {
    throw new Mistake(error.message);
  }
  try {
    return JSON.parse($("form-schema").value);
  } catch (error) {
    throw new Mistake(t("form_bad", { reason: error.message }));
  }
}

/** Tell whether the schema is written as JSON. */
export const isText = () => document.querySelector("[name=form-way]:checked").value === "schema";

/** Return the body of a form. Throws a Mistake. */
export function formBody({ model, photo, options, builder }) {
  const schema = readSchema(builder);
  const names = Object.keys(schema?.properties ?? {}).join(", ");
  const question = $("form-question").value.trim() || `Read the ${schema?.title ?? "image"} as JSON${names ? `: ${names}` : ""}.`;
  const response_format = { type: "json_schema", json_schema: { name: "form", strict: true, schema } };
  return { model, messages: [message(question, photo)], response_format, ...options };
}

/** Return the body of a picture to draw; `mask` says where `photo` is drawn anew. */
export function drawBody({ model, photo, mask }) {
  const numbers = ["steps", "guidance", "seed"].map((name) => [name, $(`draw-${name}`).valueAsNumber]);
  const given = Object.fromEntries(numbers.filter(([, value]) => !Number.isNaN(value)));
  const prompt = $("draw-prompt").value.trim() || $("draw-prompt").placeholder;
  return { model, prompt, size: $("draw-size").value, ...given, ...(mask ? { image: photo, mask } : {}) };
}

/** Return the body of an audit. */
export function auditBody({ model, photo }) {
  return { model, ...(photo ? { image: photo } : {}), text: $("audit-text").value.trim() || $("audit-text").placeholder };
}
