// One view of the panel: its parts, and how each notification of the store changes them.

import { Composer } from "./composer.js";
import { button, icon, element, iconButton, inlineCode, isComposing } from "./dom.js";
import { renderBlock } from "./blocks.js";
import { Header } from "./header.js";
import { saveNotebook } from "./notebook.js";
import { resizeHandle } from "./resize.js";
import { TurnView } from "./turn.js";

const NEAR_END = 40;
const DOING = { fetch: "Fetching the reply.", resume: "Loading the conversation." };

export class View {
  constructor(model, store, el) {
    this.model = model;
    this.store = store;
    this.turns = new Map();
    this.edits = new Map(); // the elements of open edit boxes, by `editKey`
    this.follows = true;
    this.place = 0;
    this.head = new Header(this);
    this.composer = new Composer(this);
    this.older = button("Show earlier turns", () => this.fetchOlder(), "ap-small");
    this.olderRow = element("div", { class: "ap-older", hidden: true }, this.older);
    this.start = element("div", { class: "ap-start" });
    this.list = element("div", { class: "ap-turns" });
    this.column = element("div", { class: "ap-column" }, this.olderRow, this.start, this.list);
    this.log = element(
      "div",
      {
        class: "ap-log",
        role: "log",
        // Screen readers read the status line below, not every word of a reply.
        "aria-live": "off",
        "aria-label": "Conversation",
        tabindex: "0",
      },
      this.column,
    );
    this.newest = element(
      "button",
      { type: "button", class: "ap-newest", hidden: true, onclick: () => this.toEnd() },
      icon("down"),
      "Newest",
    );
    this.error = element("div", { class: "ap-notice-error", role: "alert", hidden: true });
    this.status = element("div", { class: "ap-offscreen", role: "status", "aria-live": "polite" });
    this.root = element(
      "section",
      {
        class: "aeron-panel",
        "aria-label": "Chat",
        // Without this, Jupyter handles Shift+Enter in the panel.
        "data-lm-suppress-shortcuts": "true",
      },
      this.head.element,
      element("div", { class: "ap-middle" }, this.log, this.newest),
      this.error,
      this.composer.element,
      this.status,
    );
    this.root.append(resizeHandle(this.root));
    el.append(this.root);
    this.root.addEventListener("keydown", (event) => this.key(event));
    // JupyterLab listens at the input box itself, and cancels line breaks inside cells.
    this.root.addEventListener("beforeinput", (event) => event.stopPropagation(), true);
    this.log.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.watcher = new IntersectionObserver((entries) => this.onTopVisible(entries), { root: this.log });
    this.watcher.observe(this.olderRow);
    this.sizes = new ResizeObserver(() => {
      this.composer.fit();
      this.follow();
    });
    this.sizes.observe(this.column);
    this.sizes.observe(this.log);
    store.views.add(this);
    this.notify("all");
  }

  close() {
    this.store.views.delete(this);
    this.watcher.disconnect();
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** Show a change of the store. */
  notify(what, detail) {
    const page = this.root.getRootNode();
    const focused = page.activeElement;
    const hadFocus = this.root.contains(focused ?? null);
    this[`on_${what}`](detail);
    if (hadFocus && !this.root.contains(page.activeElement)) {
      // What had it was moved, as an edit box, or is gone.
      if (this.root.contains(focused)) focused.focus({ preventScroll: true });
      else this.composer.focus();
    }
    this.setIdle();
    this.root.dataset.state = this.store.silent
      ? "silent"
      : this.store.busy
        ? "busy"
        : this.store.state
          ? "ready"
          : "loading";
  }

  /** Esc stops a reply; of Jupyter's own shortcuts, which are off in the panel, Ctrl+S works. */
  key(event) {
    if (event.key === "Escape" && this.store.busy) {
      if (event.defaultPrevented || isComposing(event)) return; // it closed something
      event.preventDefault();
      this.composer.stopped();
    }
    if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
    if (saveNotebook(this.model)) event.preventDefault();
  }

  /** Disable during a reply what asks at once. */
  setIdle() {
    for (const ask of this.root.querySelectorAll(".ap-idle")) ask.disabled = this.store.busy || this.store.lost;
  }

  /** The key of a turn among all conversations: another one can have its name later. */
  editKey({ key }) {
    return `${this.store.state.conversation_id} ${key}`;
  }

  announce(text) {
    this.status.textContent = text;
  }

  // Notifications: `on_X` handles the notification X -------------------------------------------

  on_all() {
    const { store } = this;
    const edited = this.list.querySelector(".ap-edit:focus")?.closest(".ap-turn");
    if (edited) this.holdPlace(edited, edited.dataset.key);
    this.held ??= this.follows ? null : this.firstInSight();
    this.turns.clear();
    this.list.replaceChildren(...store.turns.map((turn) => this.add(turn).element));
    if (store.live) this.turns.get(store.live.key)?.begin(store.live);
    this.on_about();
    this.on_asked();
    this.drawError();
    this.composer.restore();
    if (!this.returnToPlace()) this.toEnd();
  }

  on_about() {
    const { store } = this;
    this.root.setAttribute("aria-label", `Chat with ${store.state?.label ?? "…"}`);
    this.head.update();
    this.composer.update();
    this.drawOlder();
    this.drawStart();
  }

  on_older(turns) {
    const before = this.log.scrollHeight - this.log.scrollTop;
    this.list.prepend(...turns.map((turn) => this.add(turn).element));
    this.drawOlder();
    this.log.scrollTop = this.log.scrollHeight - before;
  }

  on_asked() {
    const { asked } = this.store;
    this.pending?.remove();
    this.pending = null;
    if (asked) {
      this.announce(DOING[asked.do] ?? "Asking.");
      if (asked.do === "ask") {
        const bubble = element("div", { class: "ap-bubble", dir: "auto" }, asked.text);
        this.pending = element(
          "article",
          { class: "ap-turn", "data-status": "asked" },
          element("div", { class: "ap-question" }, bubble),
        );
        this.list.append(this.pending);
      }
      if (asked.do === "resume") {
        const text = "Fetching the replies that were under way …";
        this.pending = element("p", { class: "ap-note" }, text);
        this.list.append(this.pending);
      }
      if (asked.do === "fetch" && asked.key !== this.store.turns.at(-1)?.key) this.follows = false;
      else this.toEnd();
    }
    this.drawError();
    this.drawStart();
    this.composer.update();
  }

  on_begin({ turn, fresh }) {
    this.pending?.remove();
    this.pending = null;
    if (fresh) this.list.append(this.add(turn).element);
    else this.turns.get(turn.key).update(turn);
    this.turns.get(turn.key).begin(this.store.live);
    this.drawError();
    this.drawStart();
    this.composer.update();
    if (turn.status !== "fetching") this.announce(`${turn.speaker} is answering.`);
    this.follow();
  }

  on_delta(fresh) {
    const view = this.turns.get(this.store.live.key);
    view?.grow(fresh);
    // The tail is drawn once per frame of the screen, not once per message.
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const { live } = this.store;
      if (live) this.turns.get(live.key)?.paint(live);
    });
  }

  on_end({ turn, patch, live }) {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.turns.get(turn.key)?.finish(turn, patch, live);
    this.head.update();
    this.composer.update();
    this.announce(turn.problem?.title ?? "The reply is complete.");
    this.follow();
  }

  on_stopping() {
    this.announce("Stopping.");
    this.composer.update();
  }

  on_input() {
    this.composer.restore();
    this.composer.update();
  }

  on_connection() {
    this.head.update();
    this.composer.update();
    if (this.store.silent) this.announce("Waiting for the kernel.");
  }

  on_error() {
    this.drawError();
  }

  on_file({ name, mime, text, request }) {
    if (this.store.exporting !== request) return;
    this.store.exporting = null;
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: mime })) });
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.announce(`Downloaded as ${name}.`);
  }

  // Parts: `draw…` shows the present state of the store ----------------------------------------

  add(turn) {
    const view = new TurnView(this, turn);
    this.turns.set(turn.key, view);
    return view;
  }

  drawError() {
    const { error } = this.store;
    this.pending?.remove();
    if (this.store.asked && this.pending) this.list.append(this.pending);
    this.error.hidden = !error;
    this.error.replaceChildren();
    if (!error) return;
    const close = iconButton("close", "Close", () => {
      this.store.error = null;
      this.notify("error");
      this.composer.focus();
    });
    this.error.append(
      element(
        "div",
        {},
        element("p", { class: "ap-error-title" }, inlineCode(error.title)),
        error.hint ? element("p", { class: "ap-hint" }, inlineCode(error.hint)) : null,
      ),
      close,
    );
  }

  drawOlder() {
    const { first } = this.store;
    this.olderRow.hidden = !first;
    this.older.textContent = `Show earlier turns (${first})`;
    this.older.disabled = false;
  }

  /** Show the introduction, or a title and suggestions, above the first turn. */
  drawStart() {
    const { state, turns, first, asked } = this.store;
    this.start.replaceChildren();
    if (!state || first) return;
    const { introduction, resume } = state;
    if (introduction) {
      const body = element("div", { class: "ap-body" });
      body.append(renderBlock(introduction.html, this));
      this.start.append(
        element(
          "div",
          { class: "ap-reply" },
          element("div", { class: "ap-who" }, state.speaker),
          body,
          turns.length || asked ? null : this.chips(introduction.buttons),
        ),
        turns.length || asked ? "" : (this.offer(resume) ?? ""),
      );
      return;
    }
    if (turns.length || asked) return;
    this.start.append(
      element(
        "div",
        { class: "ap-empty" },
        element("p", { class: "ap-empty-title" }, state.title),
        element("p", {}, inlineCode(state.welcome)),
        this.offer(resume),
        state.connected
          ? this.chips(state.suggestions)
          : button("Try the sandbox", () => this.store.send({ do: "connect" }), "ap-main"),
      ),
    );
  }

  /** The notebook's stored conversation, if there is one. */
  offer(resume) {
    if (!resume) return null;
    const { name, turns, ended } = resume;
    const text = `${ended ? "Read" : "Resume"} (${turns} ${turns === 1 ? "turn" : "turns"})`;
    return element(
      "div",
      { class: "ap-offer" },
      element("p", {}, "Stored conversation: ", element("code", {}, name)),
      button(text, () => this.resume(name), "ap-main"),
    );
  }

  resume(name) {
    this.store.start({ do: "resume", name });
    this.composer.focus();
  }

  chips(texts) {
    if (!texts.length) return null;
    return element(
      "div",
      { class: "ap-chips" },
      texts.map((text) => button(text, () => this.store.ask(text), "ap-chip")),
    );
  }

  // Scrolling -------------------------------------------------------------------------------

  scrolled() {
    const { scrollTop } = this.log;
    const left = this.log.scrollHeight - scrollTop - this.log.clientHeight;
    if (left < NEAR_END) this.follows = true;
    // Only a smaller position is a reader scrolling up; text that was added is not.
    else if (scrollTop < this.place) this.follows = false;
    this.place = scrollTop;
    this.newest.hidden = this.follows;
  }

  follow() {
    const { turns, asked } = this.store;
    if (!this.follows || !(turns.length || asked)) return; // a greeting is read from its beginning
    this.log.scrollTop = this.log.scrollHeight;
    this.place = this.log.scrollTop;
  }

  toEnd() {
    this.follows = true;
    this.newest.hidden = true;
    this.follow();
  }

  /** Keep a turn where it is on the screen while a branch with another turn takes its place. */
  holdPlace(element, key, control) {
    this.held = { key, control, top: element.getBoundingClientRect().top };
  }

  /** The first turn that a reader who has scrolled up sees. */
  firstInSight() {
    const edge = this.log.getBoundingClientRect().top;
    for (const [key, { element }] of this.turns) {
      const { top, bottom } = element.getBoundingClientRect();
      if (bottom > edge) return { key, top };
    }
    return null;
  }

  returnToPlace() {
    const { held } = this;
    const turn = held && this.turns.get(held.key)?.element;
    this.held = null;
    if (!turn) return false;
    this.follows = false;
    const back = (frames) => {
      this.log.scrollTop += turn.getBoundingClientRect().top - held.top;
      this.place = this.log.scrollTop;
      // The heights of turns above are estimates until the browser has laid them out.
      if (frames) requestAnimationFrame(() => back(frames - 1));
    };
    back(3);
    if (!held.control) return true;
    const buttons = [...turn.querySelectorAll(".ap-branches button:enabled")];
    (buttons.find((one) => one.title === held.control) ?? buttons[0])?.focus({ preventScroll: true });
    return true;
  }

  /** Scroll to what has opened in an older turn, and stop following the end. */
  keepInSight(element) {
    this.follows = false;
    element.scrollIntoView({ block: "nearest" });
  }

  onTopVisible(entries) {
    if (entries.some((one) => one.isIntersecting)) this.fetchOlder();
  }

  fetchOlder() {
    if (!this.store.first || this.older.disabled) return;
    this.older.disabled = true;
    this.store.send({ do: "older", end: this.store.first });
  }
}
