// The input box. It stays usable while a reply is being read.

import { icon, element, button, isComposing } from "./dom.js";
import { focusCell } from "./notebook.js";

const MAX_HEIGHT = 200;
const DOUBLE_CLICK = 500; // milliseconds

export class Composer {
  constructor(view) {
    this.view = view;
    this.area = element("textarea", {
      class: "ap-input",
      dir: "auto",
      rows: "1",
      "aria-label": "Your question",
      oninput: () => this.typed(),
      onkeydown: (event) => this.key(event),
    });
    this.send = element(
      "button",
      {
        type: "submit",
        class: "ap-send",
        title: "Send (Enter)",
        "aria-label": "Send",
        onclick: (event) => (this.clicked = event.timeStamp),
      },
      icon("send"),
    );
    this.stop = element(
      "button",
      {
        type: "button",
        class: "ap-send ap-stop",
        title: "Stop",
        "aria-label": "Stop",
        hidden: true,
        onclick: (event) => {
          // Stop appears in the place of Send: the second click of a double click is not for it.
          if (!(event.timeStamp - this.clicked < DOUBLE_CLICK)) this.stopped();
        },
      },
      element("span", { class: "ap-square", "aria-hidden": "true" }),
    );
    this.waiting = element("div", { class: "ap-bubble", dir: "auto" });
    this.note = element(
      "div",
      { class: "ap-queued", role: "group", "aria-label": "Queued question", hidden: true },
      element("span", {}, "Will be sent when this reply has ended:"),
      button("Take back", () => this.takeBack(), "ap-small"),
      this.waiting,
    );
    this.place = element("div", { class: "ap-next", role: "note", hidden: true });
    this.hint = element("div", { class: "ap-keys" });
    this.element = element(
      "form",
      {
        class: "ap-composer",
        onsubmit: (event) => {
          event.preventDefault();
          this.submit();
        },
      },
      element(
        "div",
        { class: "ap-inner" },
        this.note,
        this.place,
        element("div", { class: "ap-box" }, this.area, this.stop, this.send),
        this.hint,
      ),
    );
    this.element.addEventListener("click", (event) => {
      if (event.target.classList.contains("ap-box")) this.focus();
    });
  }

  focus() {
    this.area.focus();
  }

  typed() {
    this.view.store.type(this.area.value);
    this.grow();
    this.update();
  }

  key(event) {
    if (isComposing(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (this.view.store.busy) this.stopped();
      else if (!focusCell(this.view.root)) this.area.blur();
    }
  }

  submit() {
    this.view.store.submit();
    this.focus();
  }

  takeBack() {
    this.view.store.release(false);
    this.focus();
  }

  stopped() {
    this.view.store.stop();
    this.focus();
  }

  /** Show the draft in the store, which another view or an earlier page may have written. */
  restore() {
    const { draft } = this.view.store;
    if (this.area.value !== draft) {
      this.area.value = draft;
      this.grow();
    }
  }

  /** Adapt the height to the width, which is 0 while the panel is not on the page. */
  fit() {
    if (this.width === this.area.clientWidth) return;
    this.width = this.area.clientWidth;
    requestAnimationFrame(() => this.grow());
  }

  grow() {
    this.area.style.height = "auto";
    const { scrollHeight } = this.area;
    if (scrollHeight) this.area.style.height = `${Math.min(scrollHeight, MAX_HEIGHT)}px`;
  }

  update() {
    const { store } = this.view;
    const { state } = store;
    const { busy } = store;
    // Keep the focus in the panel when the focused button is hidden.
    const focused = [this.send, this.stop].includes(this.area.getRootNode().activeElement);
    const loading = store.asked?.do === "resume";
    this.stop.hidden = !busy || loading;
    this.send.hidden = busy;
    this.send.disabled = !this.area.value.trim();
    if (focused) this.focus();
    this.area.placeholder = state ? `Ask ${state.speaker} …` : "Connecting to the kernel …";
    const wait = store.queued ? "one question waits" : "Enter sends when this reply has ended";
    const stops = loading ? "Loading" : "Esc stops";
    const keys = busy ? `${stops} · ${wait}` : "Enter sends · Shift+Enter breaks the line";
    const again = "Run the cell with %load_ext again, then the panel's cell.";
    this.hint.textContent = store.lost ? again : keys;
    this.hint.classList.toggle("ap-needed", store.lost);
    this.drawPlace(!busy && !store.lost ? state?.next : null);
    this.note.hidden = !store.queued;
    this.waiting.textContent = store.queued;
  }

  /** Say where the next question goes, if that is not after the last turn above. */
  drawPlace(next) {
    this.place.hidden = !next;
    this.place.replaceChildren();
    if (!next) return;
    this.place.append(element("span", { dir: "auto" }, next.text));
    if (!next.key) return;
    const show = () => this.view.store.send({ do: "show", key: next.key });
    this.place.append(button("Show it", show, "ap-small"));
  }
}
