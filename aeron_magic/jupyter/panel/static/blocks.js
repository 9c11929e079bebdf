// A block of a reply on the page. Its HTML was sanitized in the kernel; here it gets buttons,
// scrollable tables, and links that open in a new tab.

import { confirm, copy, fillHtml, icon, element, iconButton } from "./dom.js";
import { insertCell, canInsertCells, typeset } from "./notebook.js";

/** An element for one finished block. */
export function renderBlock(html, view) {
  const block = element("div", { class: "ap-block" });
  fillHtml(block, html);
  decorate(block, view, false);
  typeset(view.model, block);
  return block;
}

/** Fill the element of the unfinished tail; it has no buttons, since it is redrawn often. */
export function fillTail(tail, html, view) {
  fillHtml(tail, html);
  decorate(tail, view, true);
}

function decorate(node, view, growing) {
  for (const code of node.querySelectorAll("figure.highlight")) decorateCode(code, view, growing);
  for (const table of node.querySelectorAll("table")) {
    table.parentElement.className = "ap-table";
    makeScrollable(table.parentElement, "table");
  }
  for (const formula of node.querySelectorAll("div.math")) makeScrollable(formula, "formula");
  for (const image of node.querySelectorAll("span.image")) decorateImage(image, growing);
  for (const link of node.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
}

/** Let an element that may be wider than the panel be scrolled by the keyboard. */
function makeScrollable(node, name) {
  node.tabIndex = 0;
  node.setAttribute("role", "region");
  node.setAttribute("aria-label", name);
}

function decorateCode(code, view, growing) {
  const pre = code.querySelector("pre");
  if (!pre) return;
  makeScrollable(pre, "code");
  const head = element("div", { class: "ap-code-head" });
  if (!growing) {
    const text = () => pre.textContent.replace(/\n$/, "");
    head.append(
      iconButton("copy", "Copy this code", async (event) => {
        const pressed = event.currentTarget;
        if (await copy(text())) confirm(pressed);
      }),
    );
    if (canInsertCells(view.model)) {
      head.append(
        iconButton("cell", "Insert as a new cell", (event) => {
          const kind = code.dataset.cell ?? "code";
          const source = cellSource(kind, text());
          if (insertCell(view, source, kind === "raw" ? "raw" : "code")) {
            confirm(event.currentTarget);
          }
        }),
      );
    }
  }
  code.prepend(head);
}

/** The source of a cell for code, without prompts; the kernel does the same (`cell_source`). */
function cellSource(kind, code) {
  const commands = (prompt) => [...code.matchAll(prompt)].map(([, line]) => line ?? "").join("\n");
  if (kind === "session") {
    const shell = /^(?:(?:\([^()\n]{1,40}\) ?)?(?:\S{1,80}@[^$%\n]{1,80})?[$%]|>) (.*)/gm;
    return `%%bash\n${commands(shell)}`;
  }
  if (kind === "bash") {
    const isPrompted = /^\s*(?:#[^\n]*\n\s*)*\$ /.test(code);
    return `%%bash\n${isPrompted ? code.replace(/^\$ /gm, "") : code}`;
  }
  return code.startsWith(">>> ") ? commands(/^(?:>>>|\.\.\.)(?: (.*)|$)/gm) : code;
}

function decorateImage(image, growing) {
  const link = image.querySelector("a[href]");
  if (!link || growing) return;
  const address = new URL(link.href);
  if (!["http:", "https:"].includes(address.protocol)) return;
  const load = element(
    "button",
    {
      type: "button",
      class: "ap-button ap-small",
      title: address.href,
      onclick: () => {
        const picture = element("img", {
          src: address.href,
          alt: link.textContent,
          referrerpolicy: "no-referrer",
          class: "ap-picture",
        });
        picture.addEventListener("error", () => {
          picture.replaceWith(element("span", { class: "ap-gone" }, "The image did not load."));
        });
        image.replaceWith(picture);
        picture.tabIndex = -1;
        picture.focus({ preventScroll: true });
      },
    },
    icon("image"),
    `Load image from ${address.host}`,
  );
  image.append(" ", load);
}
