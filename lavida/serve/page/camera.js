// Take a photo with the camera, in a dialog that is closed with the stream.

import { $ } from "./dom.js";

/** Open the camera and return the photo that was taken, null if none was. Throws what the browser says. */
export async function takePhoto() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  const [dialog, view] = [$("camera-dialog"), $("camera-view")];
  view.srcObject = stream;
  dialog.showModal();
  try {
    return await new Promise((resolve) => {
      const once = { once: true };
      $("camera-take").addEventListener("click", () => resolve(still(view)), once);
      $("camera-cancel").addEventListener("click", () => resolve(null), once);
      dialog.addEventListener("close", () => resolve(null), once);
    });
  } finally {
    dialog.close();
    view.srcObject = null;
    for (const track of stream.getTracks()) track.stop();
  }
}

function still(view) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [view.videoWidth, view.videoHeight];
  canvas.getContext("2d").drawImage(view, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
