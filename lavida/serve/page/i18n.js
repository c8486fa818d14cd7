// English and Chinese: `data-t*` attributes name the words of the fixed parts, `t` gives those of the others.

import { keep } from "./dom.js";
import { WORDS } from "./words.js";

const ATTRIBUTES = { tLabel: "aria-label", tPlaceholder: "placeholder", tTitle: "title", tAlt: "alt" };

/** Return "en" or "zh". */
export const language = () => (document.documentElement.lang.startsWith("zh") ? "zh" : "en");

/** Return the words of a key, `{name}` replaced by `values.name`. */
export function t(key, values = {}) {
  const words = WORDS[language()][key] ?? WORDS.en[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Return the words of a key, or null if there are none. */
export const maybe = (key) => WORDS[language()][key] ?? null;

/** Write the words into everything below a node. */
export function translate(root = document) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
    const selector = `[data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const node of root.querySelectorAll(selector)) node.setAttribute(attribute, t(node.dataset[name]));
  }
}

/** Change the language and tell everyone who drew words. */
export function setLanguage(name) {
  document.documentElement.lang = name === "zh" ? "zh-Hans" : "en";
  keep("language", name);
  translate();
  document.dispatchEvent(new CustomEvent("language"));
}
