// Audits: how much the photo supports each word; blue for, orange against, and signs for those who see no colours.

import { $, el, percent } from "./dom.js";
import { t } from "./i18n.js";

const FULL = 6; // nats at which a colour is strongest
const DOUBTED = Math.log(0.05); // a word less likely than that is doubted, whatever a grey picture makes of it

const isDoubted = (word) => word.log_likelihood < DOUBTED;
const heat = (word) => (isDoubted(word) ? word.log_likelihood - DOUBTED : word.support);

/** Draw the text of an audit as a heat map, and its words as a table below. */
export function drawAudit(found) {
  const { text } = found;
  const letters = [...text]; // the server counts whole characters, this language halves of some
  const unit = (count) => letters.slice(0, count).join("").length;
  const root = el("div", { class: "tokens heat" });
  let at = 0;
  for (const word of found.words) {
    const [start, end] = [unit(word.start), unit(word.end)];
    if (start > at) root.append(text.slice(at, start));
    const value = heat(word);
    const vars = { "--heat": Math.min(1, Math.abs(value) / FULL).toFixed(2) };
    const side = value < 0 ? "against" : "for";
    const tip = `${t("audit_support")}: ${signed(word.support)}`;
    const doubt = isDoubted(word) ? el("span", { class: "sr" }, ` (${t("audit_doubted")})`) : null;
    root.append(el("span", { class: `token ${side}${isDoubted(word) ? " doubted" : ""}`, vars, dataset: { tip } }, text.slice(start, end), doubt));
    at = end;
  }
  root.append(text.slice(at));
  const legend = el("p", { class: "legend heat-legend" },
    el("span", { class: "key for" }, el("i"), `+ ${t("audit_for")}`), el("span", { class: "key against" }, el("i"), `− ${t("audit_against")}`),
    el("span", { class: "key doubted" }, el("i", {}, "abc"), t("audit_doubted")));
  $("extra").replaceChildren(legend, table(found.words));
  const doubted = found.words.filter(isDoubted).length;
  $("final").textContent = t("audit_done", { n: found.words.length, doubted });
  return root;
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

function table(words) {
  const heads = ["audit_word", "audit_seen", "audit_blind", "audit_support", "audit_instead"];
  const rows = words.map((word) => {
    const instead = (word.tokens ?? []).map((token) => token.likeliest ?? "").join("").trim();
    const figures = [percent(Math.exp(word.log_likelihood)), percent(Math.exp(word.without_picture)), signed(word.support)];
    return el("tr", { class: isDoubted(word) ? "doubted" : null },
      el("th", { scope: "row" }, word.text.trim()), figures.map((figure) => el("td", { class: "figure" }, figure)),
      el("td", {}, instead === word.text.trim() ? "" : instead));
  });
  const head = heads.map((key, k) => el("th", { scope: "col", class: k > 0 && k < 4 ? "figure" : null }, t(key)));
  const caption = el("caption", { class: "sr" }, t("audit_table"));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("audit_table") },
    el("table", {}, caption, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}
