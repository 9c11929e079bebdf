// A block of a reply's HTML on the page. The HTML was made safe in the kernel; here it only gets
// what a reader needs: buttons, places to scroll, and links that open elsewhere.

import { confirm, copy, icon, make, tool } from "./dom.js";
import { insertCell, takesCells, typeset } from "./notebook.js";

/** An element for one finished block. */
export function finished(html, view) {
  const block = make("div", { class: "ap-block" });
  block.innerHTML = html;
  dress(block, view, false);
  typeset(view.model, block);
  return block;
}

/** Fill the element of the unfinished tail: no buttons yet, since it is painted many times. */
export function fillTail(tail, html, view) {
  tail.innerHTML = html;
  dress(tail, view, true);
}

function dress(element, view, growing) {
  for (const code of element.querySelectorAll("figure.highlight")) dressCode(code, view, growing);
  for (const table of element.querySelectorAll("table")) {
    const name = { role: "region", "aria-label": "table", tabindex: "0" };
    const frame = make("div", { class: "ap-table", ...name });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const image of element.querySelectorAll("span.image")) dressImage(image, growing);
  for (const link of element.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
}

function dressCode(code, view, growing) {
  const pre = code.querySelector("pre");
  if (!pre) return;
  pre.tabIndex = 0;
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", "code");
  const head = make("div", { class: "ap-code-head" });
  if (!growing) {
    const text = () => pre.textContent.replace(/\n$/, "");
    head.append(
      tool("copy", "Copy this code", async (event) => {
        const pressed = event.currentTarget;
        if (await copy(text())) confirm(pressed);
      }),
    );
    if (takesCells(view.model)) {
      head.append(
        tool("cell", "Insert as a new cell", (event) => {
          if (insertCell(view.model, view.store.state?.model_id, text())) {
            confirm(event.currentTarget);
          }
        }),
      );
    }
  }
  code.prepend(head);
}

function dressImage(image, growing) {
  const link = image.querySelector("a[href]");
  if (!link || growing) return;
  const address = new URL(link.href);
  if (!["http:", "https:"].includes(address.protocol)) return;
  const load = make(
    "button",
    {
      type: "button",
      class: "ap-button ap-small",
      title: address.href,
      onclick: () => {
        const picture = make("img", {
          src: address.href,
          alt: link.textContent,
          referrerpolicy: "no-referrer",
          class: "ap-picture",
        });
        picture.addEventListener("error", () => {
          picture.replaceWith(make("span", { class: "ap-gone" }, "The image did not load."));
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
