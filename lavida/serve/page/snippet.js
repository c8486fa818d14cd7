// The request at hand as a curl command and as a program for the official openai client.

import { hasKey } from "./api.js";

const STANDARD = new Set(["model", "messages", "response_format", "stop", "seed", "temperature", "top_p", "max_tokens"]);
const PHOTO = "\u0000photo\u0000"; // stands for the picture until it is written as a variable

/** Return the program for a request: `{ path, body }`, in which `photo` is the picture's data URI. */
export function snippet(way, { path, body, photo }) {
  const marked = JSON.parse(JSON.stringify(body), (_, value) => (value === photo && photo ? PHOTO : value));
  const address = new URL("v1", document.baseURI).href;
  return way === "curl" ? curl(`${address}/${path}`, marked, photo) : python(address, path, marked, photo);
}

function curl(address, body, photo) {
  // Inside the here-document only these three mean something to the shell.
  const quoted = JSON.stringify(body, null, 2).replace(/[\\$`]/g, "\\$&");
  const text = quoted.replace(JSON.stringify(PHOTO).slice(1, -1).replace(/\\/g, "\\\\"), "data:image/jpeg;base64,$PHOTO");
  const key = hasKey() ? " \\\n  -H \"Authorization: Bearer $LAVIDA_API_KEY\"" : "";
  const read = photo ? "PHOTO=$(base64 < photo.jpg | tr -d '\\n')\n" : "";
  return `${read}curl ${address} \\\n  -H 'Content-Type: application/json'${key} \\\n  --data-binary @- <<JSON\n${text}\nJSON\n`;
}

function python(address, path, body, photo) {
  const key = hasKey() ? 'os.environ["LAVIDA_API_KEY"]' : '"none"';
  const head = [...(photo ? ["import base64"] : []), ...(hasKey() ? ["import os"] : []), ...(photo ? ["from pathlib import Path"] : []),
    ...(photo || hasKey() ? [""] : []), "from openai import OpenAI", ""];
  if (photo) head.push('photo = "data:image/jpeg;base64," + base64.b64encode(Path("photo.jpg").read_bytes()).decode()');
  head.push(`client = OpenAI(base_url="${address}", api_key=${key})`);
  return `${[...head, ...(path === "chat/completions" ? chat(body) : other(path, body))].join("\n")}\n`;
}

function chat(body) {
  const [own, extra] = [{}, {}];
  for (const [name, value] of Object.entries(body)) (STANDARD.has(name) ? own : extra)[name] = value;
  const lines = Object.entries(own).map(([name, value]) => `    ${name}=${literal(value, 1)},`);
  if (Object.keys(extra).length) lines.push(`    extra_body=${literal(extra, 1)},`);
  return ["answer = client.chat.completions.create(", ...lines, ")", "print(answer.choices[0].message.content)"];
}

function other(path, body) {
  return [`answer = client.post("/${path}", cast_to=object, body=${literal(body, 0)})`, "print(answer)"];
}

/** Write a value as Python does. */
function literal(value, depth) {
  const [pad, end] = ["    ".repeat(depth + 1), "    ".repeat(depth)];
  if (value === PHOTO) return "photo";
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const open = Array.isArray(value) ? "[]" : "{}";
  const parts = Array.isArray(value)
    ? value.map((one) => literal(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, depth + 1)}`);
  const flat = open[0] + parts.join(", ") + open[1];
  if (flat.length + pad.length < 90 && !flat.includes("\n")) return flat;
  return `${open[0]}\n${parts.map((part) => `${pad}${part},\n`).join("")}${end}${open[1]}`;
}
