// The request at hand as a curl command and as a program for the official openai client.

import { hasKey } from "./api.js";

const STANDARD = new Set(["model", "messages", "response_format", "stop", "seed", "temperature", "top_p", "max_tokens"]);
const OWN_OF_PICTURES = new Set(["model", "prompt", "size"]);
// What stands for a picture until it is written as a variable.
const FILES = {
  photo: { mark: "\u0000photo\u0000", file: "photo.jpg", kind: "jpeg" },
  mask: { mark: "\u0000mask\u0000", file: "mask.png", kind: "png" },
};

/** Return the program for a request: `{ path, body }`, in which `photo` and `mask` are data URIs of pictures. */
export function snippet(way, { path, body, photo, mask }) {
  const used = [photo && "photo", mask && "mask"].filter(Boolean);
  const marks = new Map([[photo, FILES.photo.mark], [mask, FILES.mask.mark]]);
  const marked = JSON.parse(JSON.stringify(body), (_, value) => (value && typeof value === "string" && marks.get(value)) || value);
  const address = new URL("v1", document.baseURI).href;
  return way === "curl" ? curl(`${address}/${path}`, marked, used) : python(address, path, marked, used);
}

function curl(address, body, used) {
  // Inside the here-document only these three mean something to the shell.
  let text = JSON.stringify(body, null, 2).replace(/[\\$`]/g, "\\$&");
  for (const name of used) {
    const { mark, kind } = FILES[name];
    text = text.replace(JSON.stringify(mark).slice(1, -1).replace(/\\/g, "\\\\"), `data:image/${kind};base64,$${name.toUpperCase()}`);
  }
  const key = hasKey() ? " \\\n  -H \"Authorization: Bearer $LAVIDA_API_KEY\"" : "";
  const read = used.map((name) => `${name.toUpperCase()}=$(base64 < ${FILES[name].file} | tr -d '\\n')\n`).join("");
  return `${read}curl ${address} \\\n  -H 'Content-Type: application/json'${key} \\\n  --data-binary @- <<JSON\n${text}\nJSON\n`;
}

function python(address, path, body, used) {
  const key = hasKey() ? 'os.environ["LAVIDA_API_KEY"]' : '"none"';
  const files = used.length > 0 || path === "images/generations";
  const head = [...(files ? ["import base64"] : []), ...(hasKey() ? ["import os"] : []), ...(files ? ["from pathlib import Path"] : []),
    ...(files || hasKey() ? [""] : []), "from openai import OpenAI", ""];
  for (const name of used) {
    const { file, kind } = FILES[name];
    head.push(`${name} = "data:image/${kind};base64," + base64.b64encode(Path("${file}").read_bytes()).decode()`);
  }
  head.push(`client = OpenAI(base_url="${address}", api_key=${key})`);
  const write = { "chat/completions": chat, "images/generations": drawing }[path] ?? ((one) => other(path, one));
  return `${[...head, ...write(body)].join("\n")}\n`;
}

function chat(body) {
  return ["answer = client.chat.completions.create(", ...given(body, STANDARD), ")", "print(answer.choices[0].message.content)"];
}

function drawing(body) {
  return ["answer = client.images.generate(", ...given(body, OWN_OF_PICTURES), ")",
    'Path("picture.png").write_bytes(base64.b64decode(answer.data[0].b64_json))'];
}

/** Write the fields as arguments, those that the client does not know as its `extra_body`. */
function given(body, known) {
  const [own, extra] = [{}, {}];
  for (const [name, value] of Object.entries(body)) (known.has(name) ? own : extra)[name] = value;
  const lines = Object.entries(own).map(([name, value]) => `    ${name}=${literal(value, 1)},`);
  return Object.keys(extra).length ? [...lines, `    extra_body=${literal(extra, 1)},`] : lines;
}

function other(path, body) {
  return [`answer = client.post("/${path}", cast_to=object, body=${literal(body, 0)})`, "print(answer)"];
}

/** Write a value as Python does. */
function literal(value, depth) {
  const [pad, end] = ["    ".repeat(depth + 1), "    ".repeat(depth)];
  const name = Object.keys(FILES).find((one) => FILES[one].mark === value);
  if (name) return name;
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
