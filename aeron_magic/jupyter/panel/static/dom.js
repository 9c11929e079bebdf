// Helpers that build elements. Untrusted text is set as text; HTML comes from the kernel, where it
// was sanitized, and enters the page in `fillHtml` only.

/** Fill an element with sanitized HTML from the kernel. */
export function fillHtml(node, html) {
  node.innerHTML = html;
}

/** An element with attributes (`on…` are listeners) and children (elements, text or nothing). */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Whether a key belongs to an input method, whose Enter and Esc are not for the panel. */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

const PATHS = {
  send: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  copy: "M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8z",
  done: "M3 8.5 6.5 12 13 4.5",
  edit: "M10.5 3 13 5.5 6 12.5l-3 .5.5-3zM9 4.5 11.5 7",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13.2 2.2v2.6h-2.6",
  cell: "M2.5 3.5h11v9h-11zM8 6v4M6 8h4",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.3v3.4M8 5.2v.1",
  plus: "M8 3v10M3 8h10",
  save: "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.2h10",
  left: "M9.8 3.5 5.3 8l4.5 4.5",
  right: "M6.2 3.5 10.7 8l-4.5 4.5",
  down: "M8 3v10M3.5 8.5 8 13l4.5-4.5",
  close: "M4 4l8 8M12 4l-8 8",
  image: "M2.5 3.5h11v9h-11zM2.8 11.5 6 8.2l2.2 2.2 1.8-1.6 3.2 3M10.6 6.2v.1",
};

/** An icon as inline SVG; it has no accessible name, its button has. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon; `label` is its accessible name and its tooltip. */
export function iconButton(name, label, act) {
  const attributes = { type: "button", class: "ap-tool", title: label, "aria-label": label };
  return element("button", { ...attributes, onclick: act }, icon(name));
}

/** A button with a text. */
export function button(text, act, kind = "") {
  return element("button", { type: "button", class: `ap-button ${kind}`, onclick: act }, text);
}

/** A sentence as text and code elements; `…` marks code, which is not broken after hyphens. */
export function inlineCode(text) {
  const parts = text.split("`");
  if (parts.length % 2 === 0) return [text]; // an unpaired back-tick: not our markup
  return parts.map((part, i) => (i % 2 ? element("code", {}, whole(part)) : part));
}

/** Code in pieces: a hyphen or a backslash is joined to the next character (`_inline_code`). */
function whole(code) {
  const pieces = code.split(/([-\\]{1,8}\S)/u);
  return pieces.map((piece, i) => (i % 2 ? element("span", { class: "ap-whole" }, piece) : piece));
}

/** Put text on the clipboard; return whether that was allowed. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure context the clipboard object is missing; execCommand copies a selection.
    const area = element("textarea", { "aria-hidden": "true", class: "ap-offscreen" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Show a check mark on a button for 1.2 seconds. */
export function confirm(pressed) {
  const before = pressed.firstChild;
  pressed.replaceChildren(icon("done"));
  pressed.classList.add("ap-done");
  setTimeout(() => {
    pressed.replaceChildren(before);
    pressed.classList.remove("ap-done");
  }, 1200);
}
