// The handle at the lower edge that changes the panel's height, by pointer or arrow keys.

import { element } from "./dom.js";

const MIN_HEIGHT = 280;
const STEP = 40;

export function resizeHandle(root) {
  const set = (height) => {
    const most = Math.max(MIN_HEIGHT, 2 * window.innerHeight);
    const now = Math.round(Math.min(most, Math.max(MIN_HEIGHT, height)));
    root.style.setProperty("--ap-height", `${now}px`);
    handle.setAttribute("aria-valuenow", String(now));
  };
  const handle = element("div", {
    class: "ap-resize",
    role: "separator",
    tabindex: "0",
    title: "Drag to change the height",
    "aria-label": "Height of the panel",
    "aria-orientation": "horizontal",
    "aria-valuemin": String(MIN_HEIGHT),
    "aria-valuemax": "2000",
    "aria-valuenow": "560",
  });
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    const from = root.getBoundingClientRect().height - event.clientY;
    const move = (moved) => set(from + moved.clientY);
    handle.addEventListener("pointermove", move);
    handle.addEventListener(
      "lostpointercapture",
      () => handle.removeEventListener("pointermove", move),
      { once: true },
    );
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -STEP, ArrowDown: STEP }[event.key];
    if (!step) return;
    event.preventDefault();
    set(root.getBoundingClientRect().height + step);
  });
  return handle;
}
