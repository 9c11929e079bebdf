// The state of the conversation on this page: one store for each panel, shared by its views.
//
// The kernel sends messages about changes. After a page was loaded, or a message was missed, the
// store sends `sync` and receives a snapshot. A snapshot goes to every page, so a store must accept
// one at any time.

import { notebookPath, watchDock, watchKernel } from "./notebook.js";

const RESPONSE_TIMEOUT = 1500; // milliseconds
const BUSY = {
  title: "A reply is still being received.",
  hint: "Stop it first, or wait until it has ended.",
};
const NO_KERNEL = {
  title: "The panel's kernel was restarted or has ended.",
  hint: "Run the cell with %load_ext again, then the panel's cell.",
};

export class Store {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.state = null;
    this.turns = [];
    this.first = 0;
    this.live = null;
    this.asked = null;
    this.lost = false;
    this.place = `aeron-draft:${notebookPath(model)}`;
    const { draft = "", queue = null } = stored(this.place);
    this.draft = draft;
    this.queue = queue; // the question that is sent when the reply has ended, and for whom it is
    this.silent = false;
    this.error = null;
    this.waiting = new Map();
    this.count = 0;
    this.typed = Boolean(draft || queue);
    this.receive = this.receive.bind(this);
    model.on("msg:custom", this.receive);
    this.unwatch = watchKernel(model, () => this.lose());
    this.undock = watchDock(model);
    this.send({ do: "sync" });
  }

  close() {
    this.model.off("msg:custom", this.receive);
    this.unwatch();
    this.undock();
    clearTimeout(this.timer);
    clearTimeout(this.saving);
  }

  /** Send an action to the kernel; the views show if the kernel does not respond.
   *  Return the action's id; empty without a kernel. */
  send(message) {
    const id = message.id ?? this.newId();
    clearTimeout(this.timer);
    if (!this.post({ ...message, id })) {
      this.error = NO_KERNEL;
      this.lose();
      this.notify("error");
      return "";
    }
    this.timer = setTimeout(() => this.setUnresponsive(true), RESPONSE_TIMEOUT);
    return id;
  }

  newId() {
    this.count += 1;
    return `${Date.now().toString(36)}-${this.count}`;
  }

  /** Send a message without an id; return whether the channel is open. */
  post(message) {
    try {
      this.model.send(message);
    } catch {
      return false;
    }
    return true;
  }

  /** The kernel of this panel has ended: only running the cell again makes another panel. */
  lose() {
    this.lost = true;
    this.release(false);
    this.unask();
    this.silent = false;
    this.setUnresponsive(true);
  }

  setUnresponsive(value) {
    if (this.silent === value) return;
    this.silent = value;
    this.notify("connection");
  }

  notify(what, detail) {
    for (const view of this.views) view.notify(what, detail);
  }

  get busy() {
    return Boolean(this.live || this.asked) && !this.lost;
  }

  get queued() {
    return this.queue?.text ?? "";
  }

  find(key) {
    return this.turns.find((turn) => turn.key === key);
  }

  // Messages from the kernel ----------------------------------------------------------------

  receive(message) {
    if (typeof message?.type !== "string") return;
    clearTimeout(this.timer);
    this.lost = false;
    this.setUnresponsive(false);
    const handle = this[`on_${message.type}`];
    if (handle) handle.call(this, message);
  }

  on_ack({ request }) {
    if (this.asked?.do !== "resume" || this.asked.id !== request) return;
    this.asked = null;
    this.notify("asked");
    this.release(true);
  }

  on_state(message) {
    this.state = message.about;
    const { kernel, conversation } = this.state;
    const moved = this.queue && (this.queue.kernel !== kernel || this.queue.conversation !== conversation);
    this.turns = message.turns;
    this.first = message.first;
    this.live = message.live && { ...message.live };
    if (this.live || this.asked?.id === message.request) this.asked = null;
    if (!this.typed && message.draft) this.draft = message.draft;
    this.notify("all");
    // The end of the reply was missed, or the question was for another conversation or kernel.
    if (moved || !this.busy) this.release(!moved && isWhole(this.turns.at(-1)));
  }

  on_about(message) {
    this.state = message.about;
    this.notify("about");
  }

  on_older(message) {
    if (message.conversation !== this.state?.conversation || message.end !== this.first) return;
    this.turns.unshift(...message.turns);
    this.first = message.first;
    this.notify("older", message.turns);
  }

  on_begin(message) {
    if (!this.state) return;
    if (this.asked?.id === message.request) this.asked = null;
    this.error = null;
    const known = this.turns.findIndex((turn) => turn.key === message.turn.key);
    if (known >= 0) this.turns[known] = message.turn;
    else this.turns.push(message.turn);
    this.live = { key: message.turn.key, seq: 0, blocks: [], tail: "", notice: "" };
    this.notify("begin", { turn: message.turn, fresh: known < 0 });
  }

  on_delta(message) {
    const live = this.live;
    if (!live || live.key !== message.key || message.seq <= live.seq) return;
    if (message.seq !== live.seq + 1) {
      if (!live.lost) this.send({ do: "sync" });
      live.lost = true;
      return;
    }
    live.seq = message.seq;
    live.notice = message.notice;
    const { at, drop, add, cuts } = message;
    const grown = live.tail.slice(0, at) + add + live.tail.slice(at + drop);
    const fresh = [];
    let from = 0;
    for (const cut of cuts) {
      fresh.push(grown.slice(from, cut));
      from = cut;
    }
    live.blocks.push(...fresh);
    live.tail = grown.slice(from);
    this.notify("delta", fresh);
  }

  on_end(message) {
    const known = this.turns.findIndex((turn) => turn.key === message.turn.key);
    const live = this.live?.key === message.turn.key ? this.live : null;
    if (live && !live.lost && message.patch && live.seq === message.patch.seq) {
      const shown = live.tail ? [...live.blocks, live.tail] : live.blocks;
      const { keep, keep_last: last, html } = message.patch;
      message.turn.blocks = [
        ...shown.slice(0, keep),
        ...(html ? [html] : []),
        ...shown.slice(shown.length - last),
      ];
    } else if (message.patch) {
      this.live = null; // a message was missed: request a snapshot
      this.send({ do: "sync" });
      return;
    }
    this.live = null;
    const about = this.state?.conversations.find(({ name }) => name === this.state.conversation);
    if (about) about.turns = message.count;
    if (this.state) this.state.next = message.next;
    if (known >= 0) this.turns[known] = message.turn;
    this.notify("end", { turn: message.turn, patch: live && message.patch, live });
    if (this.error?.title === BUSY.title) {
      this.error = null;
      this.notify("error");
    }
    this.release(isWhole(message.turn));
  }

  on_source(message) {
    this.waiting.get(message.key)?.(message.text);
    this.waiting.delete(message.key);
  }

  on_file(message) {
    this.notify("file", message);
  }

  on_error(message) {
    this.release(false);
    if (this.asked?.id === message.request) this.unask();
    this.error = message;
    this.notify("error");
    this.notify("input");
  }

  // Actions of the reader --------------------------------------------------------------------

  type(text) {
    this.draft = text;
    this.typed = true;
    keep(this.place, { draft: text, queue: this.queue });
    // The queue is only on this page: another page has the question as a draft.
    const unsent = joined(this.queued, text);
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.post({ do: "draft", text: unsent }), 300);
  }

  /** Ask what is in the input box; during a reply, queue it. */
  submit() {
    const { draft } = this;
    if (!draft.trim()) return;
    if (this.busy) {
      if (this.queued) return; // the input box says that one question waits
      const { kernel, conversation } = this.state ?? {};
      this.queue = { text: draft, id: this.newId(), kernel, conversation };
    } else if (!this.ask(draft)) {
      return;
    }
    this.type("");
    this.notify("input");
  }

  /** Send the queued question, or put it back into the input box, before what is typed there. */
  release(send) {
    const { queue } = this;
    if (!queue) return;
    this.queue = null;
    // A page that was duplicated has it, too: the kernel asks once for an id.
    const sent = send && this.start({ do: "ask", text: queue.text, id: queue.id });
    this.type(sent ? this.draft : joined(queue.text, this.draft));
    this.notify("input");
  }

  /** Put the question that has not begun back into the input box, before the ones asked later. */
  unask() {
    const { asked } = this;
    if (!asked) return;
    this.asked = null;
    if (asked.text) this.type(joined(asked.text, this.draft));
    this.notify("asked");
    this.notify("input");
  }

  ask(text) {
    return this.start({ do: "ask", text });
  }

  /** Send an action that asks a question, and show it at once; return whether that was possible. */
  start(message) {
    if (this.busy) {
      this.error = BUSY;
      this.notify("error");
      return false;
    }
    this.error = null;
    const id = this.send(message);
    if (!id) return false;
    this.asked = { ...message, id };
    this.notify("asked");
    return true;
  }

  stop() {
    this.send({ do: "stop", request: this.asked?.id ?? "" });
    this.release(false);
    this.notify("stopping");
  }

  source(key) {
    return new Promise((resolve) => {
      this.waiting.set(key, resolve);
      this.send({ do: "source", key });
    });
  }
}

function isWhole(turn) {
  return ["complete", "recovered"].includes(turn?.status);
}

function joined(...texts) {
  return texts.filter((text) => text.trim()).join("\n\n");
}

// What was not sent from a notebook's panel survives the kernel and the panel. Storage may be
// forbidden.

function stored(place) {
  try {
    return JSON.parse(sessionStorage.getItem(place)) ?? {};
  } catch {
    return {};
  }
}

function keep(place, unsent) {
  try {
    if (unsent.draft || unsent.queue) sessionStorage.setItem(place, JSON.stringify(unsent));
    else sessionStorage.removeItem(place);
  } catch {
    // The kernel keeps it.
  }
}
