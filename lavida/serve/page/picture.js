// The photo: dropped, pasted, chosen, taken or the example; sent as it is unless it is very large.

import { $ } from "./dom.js";
import { takePhoto } from "./camera.js";
import { t } from "./i18n.js";

const MOST_BYTES = 6e6; // above that a smaller copy is sent, and the page says so
const MOST_SIDE = 2048;

export class Picture {
  /** Watch the drop area, the clipboard and the buttons; `onChange` hears of a new photo, `onError` of what is none. */
  constructor(onChange, onError) {
    Object.assign(this, { onChange, onError, address: null, name: "" });
    $("file").addEventListener("change", () => this.take($("file").files[0]));
    $("example").addEventListener("click", () => this.takeExample());
    $("remove").addEventListener("click", () => this.clear());
    $("camera").addEventListener("click", () => this.takeNow());
    $("camera").hidden = !navigator.mediaDevices?.getUserMedia;
    document.addEventListener("paste", (event) => this.paste(event));
    document.addEventListener("language", () => this.words());
    this.watchDrops();
  }

  watchDrops() {
    const area = document.body;
    let depth = 0;
    const lit = (on) => $("drop").classList.toggle("over", on);
    const files = (event) => event.dataTransfer?.types.includes("Files");
    area.addEventListener("dragenter", (event) => files(event) && lit((depth += 1) > 0));
    area.addEventListener("dragleave", (event) => files(event) && lit((depth = Math.max(0, depth - 1)) > 0));
    area.addEventListener("dragover", (event) => files(event) && event.preventDefault());
    area.addEventListener("drop", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      lit((depth = 0) > 0);
      this.take(event.dataTransfer.files[0]);
    });
  }

  paste(event) {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    this.take(file);
  }

  async takeNow() {
    try {
      const blob = await takePhoto();
      if (blob) await this.take(new File([blob], "camera.jpg", { type: "image/jpeg" }));
    } catch (error) {
      this.onError(t("camera_refused", { reason: error.name || "?" }));
    }
  }

  async takeExample() {
    const blob = await (await fetch("page/demo.jpg")).blob();
    await this.take(new File([blob], "demo.jpg", { type: "image/jpeg" }));
  }

  /** Use a file as the photo. */
  async take(file) {
    if (!file) return;
    $("file").value = "";
    let note = "";
    try {
      let address = await read(file);
      const image = await load(address);
      if (file.size > MOST_BYTES) {
        const copy = smaller(image);
        address = copy.address;
        note = t("reduced", { name: file.name, width: copy.width, height: copy.height });
      }
      Object.assign(this, { address, name: file.name });
    } catch {
      this.onError(t("not_a_picture", { name: file.name }));
      return;
    }
    $("photo-image").src = this.address;
    $("photo-note").textContent = note;
    $("photo-note").hidden = !note;
    this.shown(true);
    this.onChange();
  }

  clear() {
    Object.assign(this, { address: null, name: "" });
    $("photo-image").removeAttribute("src");
    $("photo-note").hidden = true;
    this.shown(false);
    this.onChange();
    $("file").focus();
  }

  shown(there) {
    $("photo").hidden = $("remove").hidden = !there;
    $("drop-empty").hidden = there;
    $("drop").classList.toggle("full", there);
    this.words();
  }

  words() {
    $("photo-image").alt = this.address ? t(this.name === "demo.jpg" ? "example_alt" : "picture_alt", { name: this.name }) : "";
  }
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

async function load(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/** Return a JPEG copy of at most 2048 pixels a side. */
function smaller(image) {
  const scale = Math.min(1, MOST_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return { address: canvas.toDataURL("image/jpeg", 0.92), width: canvas.width, height: canvas.height };
}
