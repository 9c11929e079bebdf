// The header: the service, the list of conversations, export and new chat.

import { icon, element, iconButton } from "./dom.js";

const FILES = {
  html: "Web page",
  md: "Markdown",
  ipynb: "Notebook",
  json: "JSON",
  "chat.md": "Check",
};

export class Header {
  constructor(view) {
    this.view = view;
    this.dot = element("span", { class: "ap-dot", "aria-hidden": "true" });
    this.label = element("span", { class: "ap-label" });
    this.picker = element("select", {
      class: "ap-picker",
      "aria-label": "Conversation",
      onchange: () => view.store.send({ do: "use", name: this.picker.value }),
    });
    this.menu = element(
      "details",
      { class: "ap-menu" },
      element("summary", { class: "ap-tool", title: "Export", "aria-label": "Export" }, icon("save")),
      element(
        "div",
        { class: "ap-choices" },
        Object.entries(FILES).map(([kind, name]) =>
          element(
            "button",
            { type: "button", onclick: () => this.export(kind) },
            `${name} `,
            element("span", {}, `.${kind}`),
          ),
        ),
      ),
    );
    this.menu.addEventListener("focusout", (event) => {
      if (!this.menu.contains(event.relatedTarget)) this.menu.open = false;
    });
    this.menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.menu.open) return;
      event.preventDefault();
      this.menu.open = false;
      this.menu.querySelector("summary").focus();
    });
    this.fresh = iconButton("plus", "New chat", () => {
      view.store.send({ do: "new" });
      view.composer.focus();
    });
    this.element = element(
      "header",
      { class: "ap-head" },
      element("div", { class: "ap-service" }, this.dot, this.label),
      element("div", { class: "ap-room" }, this.picker, this.menu, this.fresh),
    );
  }

  export(kind) {
    this.menu.open = false;
    this.menu.querySelector("summary").focus();
    const { store } = this.view;
    store.exporting = store.send({ do: "export", kind });
  }

  update() {
    const { state, silent, lost } = this.view.store;
    this.dot.dataset.connected = String(Boolean(state?.connected) && !silent);
    const waiting = lost ? "The kernel has ended or was restarted" : "Waiting for the kernel …";
    this.label.textContent = silent ? waiting : (state?.label ?? "Connecting …");
    this.label.title = silent
      ? `${lost ? "" : "The kernel has not answered yet. If it was restarted: "}Run the cell with %load_ext again, then the panel's cell.`
      : "";
    const names = state?.conversations ?? [];
    this.picker.replaceChildren(
      ...names.map(({ name, turns }) => {
        const text = `${name} (${turns})`;
        return element("option", { value: name, selected: name === state.conversation }, text);
      }),
    );
    this.picker.title = state?.conversation ?? "";
    const turns = names.find(({ name }) => name === state.conversation)?.turns;
    for (const one of this.menu.querySelectorAll("button")) {
      one.disabled = !turns;
      one.title = turns ? "" : "There is nothing to export yet";
    }
    this.picker.disabled = names.length < 2 || lost;
    this.fresh.disabled = !state?.connected || lost;
  }
}
