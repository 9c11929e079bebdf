// One turn on the page: the question, the reply, and their buttons.

import { fillTail, renderBlock } from "./blocks.js";
import { button, confirm, copy, icon, element, iconButton, inlineCode, isComposing } from "./dom.js";
import { insertCell, canInsertCells } from "./notebook.js";

const ACTION_LABELS = {
  retry: "Retry",
  again: "Ask again",
  fetch: "Fetch the reply",
};

export class TurnView {
  constructor(view, turn) {
    this.view = view;
    this.element = element("article", { class: "ap-turn" });
    this.body = element("div", { class: "ap-body" });
    this.update(turn);
  }

  /** Show a turn from the store, finished or not. */
  update(turn) {
    this.turn = turn;
    this.tail = null;
    this.body = element("div", { class: "ap-body" });
    this.body.append(...turn.blocks.map((html) => renderBlock(html, this.view)));
    this.frame();
  }

  /** Update everything except the blocks of the reply. */
  frame() {
    const { turn } = this;
    const live = ["processing", "fetching"].includes(turn.status);
    this.element.dataset.status = turn.status;
    this.element.dataset.key = turn.key;
    this.element.classList.toggle("ap-is-apart", Boolean(turn.apart));
    this.element.setAttribute("aria-label", `Turn ${turn.label}`);
    const heading = this.heading();
    const below = [
      turn.note ? element("p", { class: "ap-note" }, turn.note) : null,
      turn.problem ? this.problem() : null,
      turn.apart ? this.apart() : null,
      live ? null : this.replyTools(),
    ];
    if (this.body.parentNode) {
      // The reply is not moved: a browser would lay it out again, and it can be long.
      this.asked.replaceWith(this.question());
      this.reply.replaceChild(heading, this.reply.firstChild);
      while (this.body.nextSibling) this.body.nextSibling.remove();
      this.body.after(...below.filter((part) => part));
    } else {
      this.reply = element("div", { class: "ap-reply" }, heading, this.body, below);
      this.element.replaceChildren(this.question(), this.reply);
    }
  }

  heading() {
    const { turn } = this;
    const parts = [turn.speaker];
    if (turn.replayed) parts.push("replayed");
    if (turn.stale) parts.push("stale");
    const heading = element("div", { class: "ap-who" }, parts.join(" · "));
    if (turn.stale) {
      heading.title = "A turn before this one has a newer reply.";
    }
    return heading;
  }

  // The question ----------------------------------------------------------------------------

  question() {
    const { turn, view } = this;
    this.asked = element(
      "div",
      { class: "ap-question" },
      view.edits.get(view.editKey(turn)) ?? [
        element("div", { class: "ap-bubble", dir: "auto" }, turn.question),
        ...turn.images.map((url) => element("div", { class: "ap-attached" }, icon("image"), url)),
        this.questionTools(),
      ],
    );
    return this.asked;
  }

  questionTools() {
    const { turn, view } = this;
    const tools = element("div", { class: "ap-tools" });
    if (turn.cell) tools.append(element("span", { class: "ap-from" }, "from a cell"));
    const hidden = element(
      "span",
      { class: "ap-onuse" },
      turn.branches ? iconButton("edit", "Edit and ask as a branch", () => this.edit()) : null,
      iconButton("copy", "Copy the question", (event) => this.copied(event, turn.question)),
      canInsertCells(view.model)
        ? iconButton("cell", "Insert the question as a new cell", (event) => {
            const raw = turn.question.includes("{{") ? " --raw" : "";
            const source = `%%aeron${raw}\n${turn.question}`;
            if (insertCell(view, source)) confirm(event.currentTarget);
          })
        : null,
    );
    tools.append(hidden);
    if (turn.siblings.keys.length > 1) tools.append(this.branches());
    return tools;
  }

  async copied(event, text) {
    const pressed = event.currentTarget;
    if (await copy(text)) confirm(pressed);
  }

  branches() {
    const { at, keys } = this.turn.siblings;
    const go = (step) => (event) => {
      this.view.holdPlace(this.element, keys[at + step], event.currentTarget.title);
      this.view.store.send({ do: "choose", key: keys[at + step] });
    };
    const back = iconButton("left", "Previous branch", go(-1));
    const on = iconButton("right", "Next branch", go(1));
    back.disabled = at === 0;
    on.disabled = at === keys.length - 1;
    const place = `Branch ${at + 1} of ${keys.length}`;
    return element(
      "span",
      { class: "ap-branches", role: "group", "aria-label": place },
      back,
      element("span", { title: place }, `${at + 1}/${keys.length}`),
      on,
    );
  }

  /** Open the edit box. The view keeps it, since a full state replaces the turn. */
  edit() {
    const { view } = this;
    const { key, question } = this.turn;
    const id = view.editKey(this.turn);
    const area = element("textarea", {
      class: "ap-edit",
      dir: "auto",
      "aria-label": "Edit the question",
    });
    area.value = question;
    const redraw = () => {
      const { asked } = view.turns.get(key);
      asked.replaceWith(view.turns.get(key).question());
    };
    const close = () => {
      view.edits.delete(id);
      redraw();
      view.turns.get(key).asked.querySelector(".ap-tool")?.focus();
    };
    const send = () => {
      if (!area.value.trim()) return;
      if (view.store.start({ do: "edit", key, text: area.value })) close();
    };
    area.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      if (event.key === "Escape") {
        event.preventDefault();
        close();
      }
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        send();
      }
    });
    const row = element(
      "div",
      { class: "ap-row" },
      button("Cancel", close),
      element("span", { class: "ap-busy" }, "Wait until the reply has ended, or stop it."),
      button("Ask as a branch", send, "ap-main ap-idle"),
    );
    view.edits.set(id, [area, row]);
    redraw();
    view.setIdle();
    area.style.height = `${Math.min(area.scrollHeight + 2, 240)}px`;
    view.keepInSight(this.asked);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  // The reply -------------------------------------------------------------------------------

  /** Show the live reply: its finished blocks, the tail and the waiting line. What is known of a
   *  reply that is fetched stays until its text comes. */
  begin(live) {
    this.known = element("div", {}, ...this.body.childNodes);
    this.body.replaceChildren(
      this.known,
      ...live.blocks.map((html) => renderBlock(html, this.view)),
    );
    this.tail = element("div", { class: "ap-tail" });
    this.wait = element(
      "div",
      { class: "ap-wait" },
      element("span", { class: "ap-dots", "aria-hidden": "true" }, element("i"), element("i"), element("i")),
      element("span", { class: "ap-notice" }),
    );
    this.body.append(this.tail, this.wait);
    this.paint(live);
  }

  /** Add blocks that are finished now. */
  grow(fresh) {
    for (const html of fresh) this.tail?.before(renderBlock(html, this.view));
  }

  /** Draw the tail. */
  paint(live) {
    if (!this.tail) return;
    fillTail(this.tail, live.tail, this.view);
    const begun = live.blocks.length > 0 || live.tail !== "";
    if (begun) this.known.remove();
    this.wait.hidden = begun && !live.notice;
    const { status, speaker } = this.turn;
    this.wait.querySelector(".ap-notice").textContent =
      live.notice || (status === "fetching" ? "fetching the reply …" : `waiting for ${speaker} …`);
  }

  /** Apply the end of the reply; blocks that stay are not touched. */
  finish(turn, patch, live) {
    this.turn = turn;
    if (!patch || !this.tail) {
      this.update(turn);
      return;
    }
    this.known.remove();
    const shown = [...this.body.querySelectorAll(":scope > .ap-block")];
    if (live.tail) shown.push(this.tail); // its newest text may not be drawn yet
    const last = shown.slice(shown.length - patch.keep_last);
    const kept = new Set([...shown.slice(0, patch.keep), ...(patch.keep_last ? last : [])]);
    const next = patch.keep_last ? last[0] : this.wait;
    if (patch.html) next.before(renderBlock(patch.html, this.view));
    if (kept.has(this.tail)) {
      this.tail.replaceWith(renderBlock(live.tail, this.view));
    }
    for (const block of shown) if (!kept.has(block)) block.remove();
    this.tail.remove();
    this.wait.remove();
    this.tail = null;
    this.frame();
  }

  replyTools() {
    const { turn, view } = this;
    const tools = element("div", { class: "ap-tools ap-onuse" });
    if (turn.blocks.length) {
      tools.append(
        iconButton("copy", "Copy the reply as Markdown", async (event) => {
          const pressed = event.currentTarget;
          if (await copy(await view.store.source(turn.key))) confirm(pressed);
        }),
      );
    }
    if (turn.branches && !turn.problem) {
      tools.append(
        iconButton("again", "Ask again, as a branch", () =>
          view.store.start({ do: "regenerate", key: turn.key }),
        ),
      );
    }
    const details = iconButton("info", "Time and token", (event) => this.details(event.currentTarget));
    details.setAttribute("aria-expanded", "false");
    tools.append(details);
    return tools;
  }

  details(pressed) {
    const shown = this.reply.querySelector(".ap-details");
    pressed.setAttribute("aria-expanded", String(!shown));
    if (shown) {
      shown.remove();
      return;
    }
    const { turn } = this;
    const list = element("dl", { class: "ap-details" });
    const add = (name, value) => {
      if (value === null || value === undefined || value === "") return;
      list.append(element("dt", {}, name), element("dd", {}, value));
    };
    add("turn", turn.label);
    add("asked", turn.asked ? new Date(turn.asked * 1000).toLocaleString() : "");
    add("took", turn.seconds ? `${turn.seconds.toFixed(1)} s` : "");
    add("status", turn.status);
    if (turn.token) {
      const copying = iconButton("copy", "Copy the token", (event) => this.copied(event, turn.token));
      list.append(
        element("dt", {}, "context_token"),
        element("dd", {}, element("code", {}, turn.token), copying),
      );
    }
    this.reply.append(list);
    this.view.keepInSight(list);
  }

  apart() {
    const { turn, view } = this;
    const go = () => {
      this.asked.scrollIntoView({ block: "nearest" }); // its arrows lead back
      view.holdPlace(this.element, turn.key);
      view.store.send({ do: "choose", key: turn.key });
    };
    return element(
      "div",
      { class: "ap-apart" },
      "What follows does not continue from here.",
      turn.problem ? null : button("Continue from here", go, "ap-small"),
    );
  }

  problem() {
    const { turn, view } = this;
    const { problem } = turn;
    const stopped = problem.kind === "stopped";
    const line = (text, kind) => (text.length ? element("p", { class: kind }, text) : null);
    const act = (action) => () =>
      view.store.start({ do: action === "again" ? "retry" : action, key: turn.key });
    const twice = "The service may have accepted the question already, and charge it twice.";
    return element(
      "div",
      {
        class: stopped ? "ap-stopped" : "ap-error",
        role: "group",
        "aria-label": stopped ? "The reply was stopped" : "The reply failed",
      },
      line(inlineCode(problem.title), stopped ? "ap-note" : "ap-error-title"),
      line(problem.said ? `The service says: ${problem.said}` : "", ""),
      line(problem.hint ? inlineCode(problem.hint) : "", "ap-hint"),
      problem.actions.length
        ? element(
            "div",
            { class: "ap-row" },
            problem.actions.map((action) => {
              const node = button(ACTION_LABELS[action], act(action), "ap-small");
              if (action === "again") node.title = twice;
              return node;
            }),
          )
        : null,
    );
  }
}
