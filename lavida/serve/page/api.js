// The server's routes. Addresses are relative, so that the page works behind a prefix too.

/** An answer of the server that is no success; `message` is its one line. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let key = "";
try {
  key = sessionStorage.getItem("lavida-key") || "";
} catch {
  // storage may be switched off
}

/** Use an API key from now on; it is kept until the tab is closed. */
export function setKey(value) {
  key = value.trim();
  try {
    sessionStorage.setItem("lavida-key", key);
  } catch {
    // then it lasts as long as the page
  }
}

/** Tell whether requests carry a key. */
export const hasKey = () => key !== "";

async function call(path, { body, signal } = {}) {
  const headers = { Accept: "application/json, text/event-stream" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const how = { headers, signal, cache: "no-store" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    Object.assign(how, { method: "POST", body: JSON.stringify(body) });
  }
  let response;
  try {
    response = await fetch(path, how);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("", 0);
  }
  if (!response.ok) throw new ApiError(await complaint(response), response.status);
  return response;
}

/** Return the one line of a refusal. */
async function complaint(response) {
  let line = "";
  try {
    line = (await response.json()).error.message;
  } catch {
    line = `HTTP ${response.status} ${response.statusText}`.trim();
  }
  const wait = response.headers.get("Retry-After");
  return response.status === 429 && wait ? `${line} (Retry-After: ${wait} s)` : line;
}

/** Return the models that the server offers. */
export async function listModels() {
  return (await (await call("v1/models")).json()).data;
}

/** Send a body and return the answer, for the routes that answer at once. */
export async function post(path, body, signal) {
  return (await call(path, { body, signal })).json();
}

/** Yield the events of an answer that is being written, or of a picture that is being drawn. */
export async function* follow(path, body, signal) {
  const response = await call(path, { body, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value.replaceAll("\r", "")).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
        if (!data.length) continue;
        if (data[0] === "[DONE]") return;
        const event = JSON.parse(data.join("\n"));
        if (event.type === "error") throw new ApiError(event.error.message, 400);
        yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
