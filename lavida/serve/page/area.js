// The part of the photo that is to be drawn anew: a rectangle, dragged over the photo or given in percent.
//
// A picture of another shape than the photo is its middle; what lies outside is dimmed and cannot be marked.

import { $ } from "./dom.js";

const FIELDS = ["left", "top", "width", "height"];
const LEAST = 0.02; // of a side; a shorter drag is a slip
const START = { left: 0.25, top: 0.25, width: 0.5, height: 0.5 };

const within = (value, most = 1) => Math.min(most, Math.max(0, value));

/** Return the middle of a photo that has the shape of a picture, as shares of the photo. */
export function middle(width, height, [columns, rows]) {
  const [w, h] = width * rows <= height * columns ? [1, (width * rows) / columns / height] : [(height * columns) / rows / width, 1];
  return { left: (1 - w) / 2, top: (1 - h) / 2, width: w, height: h };
}

export class Area {
  /** Watch the photo and the fields; `onChange` hears of another rectangle. */
  constructor(onChange) {
    Object.assign(this, { onChange, box: { ...START }, from: null, used: false });
    for (const name of FIELDS) $(`area-${name}`).addEventListener("change", () => this.read());
    $("area").addEventListener("pointerdown", (event) => this.begin(event));
    $("area").addEventListener("pointermove", (event) => this.from && this.drag(event));
    for (const kind of ["pointerup", "pointercancel"]) $("area").addEventListener(kind, () => (this.from = null));
    for (const name of ["redraw", "draw-size"]) $(name).addEventListener("change", () => this.show());
    $("photo-image").addEventListener("load", () => this.show());
  }

  /** Tell whether a part of the photo is to be drawn anew. */
  get on() {
    return $("redraw").checked && !$("redraw-part").hidden;
  }

  /** Offer to redraw a part of the photo, if there is one. */
  offer(there) {
    $("redraw-part").hidden = !there;
    this.show();
  }

  /** Show the rectangle on the photo while pictures are drawn, and not otherwise. */
  use(used) {
    this.used = used;
    this.show();
  }

  begin(event) {
    if (event.button) return;
    event.preventDefault();
    $("area").setPointerCapture(event.pointerId);
    this.from = this.place(event);
  }

  /** Return the place of the pointer as shares of the marked area. */
  place(event) {
    const { left, top, width, height } = $("area").getBoundingClientRect();
    return [within((event.clientX - left) / width), within((event.clientY - top) / height)];
  }

  drag(event) {
    const [x, y] = this.place(event);
    const [width, height] = [Math.abs(x - this.from[0]), Math.abs(y - this.from[1])];
    if (width < LEAST || height < LEAST) return;
    this.box = { left: Math.min(x, this.from[0]), top: Math.min(y, this.from[1]), width, height };
    this.draw();
    this.onChange();
  }

  /** Take the rectangle from the fields. */
  read() {
    const [left, top, width, height] = FIELDS.map((name) => {
      const value = $(`area-${name}`).valueAsNumber / 100;
      return Number.isNaN(value) ? this.box[name] : value;
    });
    const [x, y] = [within(left, 1 - LEAST), within(top, 1 - LEAST)];
    this.box = { left: x, top: y, width: Math.max(LEAST, within(width, 1 - x)), height: Math.max(LEAST, within(height, 1 - y)) };
    this.draw();
    this.onChange();
  }

  show() {
    const image = $("photo-image");
    $("area-fields").hidden = !this.on;
    $("area").hidden = !this.on || !this.used;
    if (!this.on || !image.naturalWidth) return;
    this.crop = middle(image.naturalWidth, image.naturalHeight, $("draw-size").value.split("x").map(Number));
    lay($("area"), this.crop);
    this.draw();
  }

  draw() {
    lay($("area-box"), this.box);
    for (const name of FIELDS) $(`area-${name}`).value = String(Math.round(100 * this.box[name]));
  }

  /** Return the mask, a data URI of a PNG in the size of the photo: white where it is to be drawn. */
  mask() {
    const { naturalWidth: width, naturalHeight: height } = $("photo-image");
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = "#fff";
    const { crop, box } = this;
    const x = [box.left, box.left + box.width].map((share) => Math.round((crop.left + share * crop.width) * width));
    const y = [box.top, box.top + box.height].map((share) => Math.round((crop.top + share * crop.height) * height));
    pen.fillRect(x[0], y[0], Math.max(1, x[1] - x[0]), Math.max(1, y[1] - y[0]));
    return canvas.toDataURL("image/png");
  }
}

function lay(node, { left, top, width, height }) {
  for (const [name, value] of Object.entries({ left, top, width, height })) node.style.setProperty(`--${name}`, `${(100 * value).toFixed(2)}%`);
}
