// Small helpers around the document: no markup is ever made from text.

/** Return the element of an id. */
export const $ = (id) => document.getElementById(id);

/** Make an element. `props`: class, dataset, vars (custom properties), on (listeners), the rest as attributes. */
export function el(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** Make an SVG element; as `el`. */
export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "vars") for (const [key, to] of Object.entries(value)) node.style.setProperty(key, to);
    else if (name === "on") for (const [key, listener] of Object.entries(value)) node.addEventListener(key, listener);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Remember a choice of the reader between visits, where the browser allows it. */
export function keep(name, value) {
  try {
    localStorage.setItem(`lavida-${name}`, value);
  } catch {
    // storage may be switched off; then the choice lasts as long as the page
  }
}

/** Return a choice that was kept. */
export function kept(name) {
  try {
    return localStorage.getItem(`lavida-${name}`);
  } catch {
    return null;
  }
}

/** Tell whether the reader asked for less movement. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Write seconds with three digits that matter. */
export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} s`;
}

/** Write a probability as a percentage; near 1 with one more digit. */
export function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const hundred = value * 100;
  if (hundred > 99.95) return "> 99.9 %";
  if (hundred < 0.05) return "< 0.1 %";
  return `${hundred < 1 || hundred >= 99 ? hundred.toFixed(1) : hundred.toFixed(0)} %`;
}
