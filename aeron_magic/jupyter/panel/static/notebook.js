// Features of the notebook around the panel. None of them is a public API for widgets, so each is
// looked up before use and the panel works without it.

/** Typeset the math in an element with the front end's typesetter, if it has one. */
export function typeset(model, element) {
  const manager = model.widget_manager;
  const rendermime = manager?._rendermime ?? manager?.rendermime;
  const typesetter = rendermime?.latexTypesetter;
  if (!typesetter || !element.querySelector(".math")) return;
  try {
    typesetter.typeset(element);
  } catch {
    // The TeX source stays visible.
  }
}

/** Whether cells can be inserted into the notebook. */
export function canInsertCells(model) {
  return Boolean(model.widget_manager?.context?.model?.sharedModel?.insertCell);
}

const inserted = new Set();

/** Insert a cell below the one that shows the panel, and below those inserted before. If the panel is
 *  beside the notebook: below the active cell, and scroll to it. Return whether that was possible. */
export function insertCell(view, source, kind = "code") {
  const { model, root, store } = view;
  if (!canInsertCells(model)) return false;
  const { cells, sharedModel } = model.widget_manager.context.model;
  // A panel in the notebook stays where it is read.
  const notebook = root.closest(".jp-Notebook") ? null : notebookBeside(model);
  let index = 0;
  for (let i = 0; i < cells.length; i += 1) {
    if (shows(cells.get(i), store.state?.model_id)) index = i + 1;
  }
  index ||= placeOf(notebook?.querySelector(".jp-Cell.jp-mod-active")) + 1 || cells.length;
  while (index < cells.length && inserted.has(cells.get(index).id)) index += 1;
  sharedModel.insertCell(index, { cell_type: kind, source, metadata: {} });
  inserted.add(cells.get(index)?.id);
  if (notebook) reveal(notebook, index, cells.length);
  return true;
}

/** The notebook in another tab, whose label is the name and whose title has a line with the path. */
function notebookBeside(model) {
  const path = notebookPath(model);
  const found = [...document.querySelectorAll(".jp-NotebookPanel")].find((panel) => {
    const tab = document.getElementById(panel.getAttribute("aria-labelledby"));
    const line = tab?.title.split("\n")[1] ?? "";
    const isNamed = tab?.textContent === path.split("/").at(-1);
    return isNamed && line.endsWith(path) && !line.endsWith(`/${path}`);
  });
  return found?.querySelector(".jp-Notebook");
}

/** The index of a cell, NaN if unknown; JupyterLab removes cells that are far away from the page. */
function placeOf(cell) {
  return Number.parseInt(cell?.dataset.windowedListIndex, 10);
}

const FRAMES = 30;
const MAX_WAIT = 3_000; // milliseconds

/** Scroll a notebook until a cell has been visible for some frames. Cells get their heights while
 *  they are drawn, and those that are far away may be hidden or not on the page. */
function reveal(notebook, index, count, frames = FRAMES, end = performance.now() + MAX_WAIT) {
  const scroller = notebook.querySelector(".jp-WindowedPanel-outer");
  const cells = [...notebook.querySelectorAll(".jp-Cell")].filter((one) =>
    one.checkVisibility({ opacityProperty: true }),
  );
  const distances = cells.map((one) => index - placeOf(one));
  const at = distances.indexOf(0);
  if (at >= 0) cells[at].scrollIntoView({ block: "nearest" });
  else if (cells.length && scroller) {
    const least = distances.reduce((a, b) => (Math.abs(b) < Math.abs(a) ? b : a));
    scroller.scrollTop += (least * scroller.scrollHeight) / count;
  }
  const left = at >= 0 ? frames - 1 : FRAMES;
  if (!left || performance.now() > end) return;
  requestAnimationFrame(() => reveal(notebook, index, count, left, end));
}

/** Save the notebook; return whether that was possible. */
export function saveNotebook(model) {
  const { context } = model.widget_manager ?? {};
  if (typeof context?.save !== "function") return false;
  Promise.resolve(context.save()).catch(() => {}); // the front end shows why
  return true;
}

/** Put the focus on the cell that shows the panel, or on the notebook beside it. */
export function focusCell(root) {
  const places = [root.closest(".jp-Cell"), root.closest(".jp-Notebook")];
  places.push(...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook"));
  const place = places.find((one) => one && one.getAttribute("tabindex") !== null);
  place?.focus();
  return Boolean(place) && document.activeElement === place;
}

/** The path of the notebook, or of the page. */
export function notebookPath(model) {
  return model.widget_manager?.context?.path ?? location.pathname;
}

const ENDED = ["restarting", "autorestarting", "terminating", "dead"];

/** Call `act` when the kernel ends or restarts; return a function that stops that. */
export function watchKernel(model, act) {
  const session = model.widget_manager?.context?.sessionContext;
  const onStatus = (_, status) => ENDED.includes(status) && act();
  const onKernel = (_, change) => change?.oldValue && act();
  let known = null;
  // A restart by another page is seen in what the new kernel sends only.
  const onMessage = (_, { header }) => {
    if (header?.msg_type !== "status") return;
    if (known && header.session !== known) act();
    known = header.session;
  };
  session?.statusChanged?.connect(onStatus);
  session?.kernelChanged?.connect(onKernel);
  session?.iopubMessage?.connect(onMessage);
  return () => {
    session?.statusChanged?.disconnect(onStatus);
    session?.kernelChanged?.disconnect(onKernel);
    session?.iopubMessage?.disconnect(onMessage);
  };
}

const DOCKED = "aeron-panel-docked";

/** Let a docked panel replace another one of the notebook, such as that of a kernel that has ended,
 *  which cannot close it; return a function that stops that. */
export function watchDock(model) {
  const onDocked = ({ detail }) => {
    if (detail.model === model || detail.path !== notebookPath(model)) return;
    // Only on this page: another view of a living panel stays.
    model.widget_manager.get_model(model.get("sidecar"))?.then((sidecar) => sidecar.close(true), () => {});
  };
  const onChange = () => {
    if (!model.get("sidecar")) return;
    document.dispatchEvent(
      new CustomEvent(DOCKED, { detail: { model, path: notebookPath(model) } }),
    );
    document.addEventListener(DOCKED, onDocked);
  };
  model.on("change:sidecar", onChange);
  onChange();
  return () => {
    model.off("change:sidecar", onChange);
    document.removeEventListener(DOCKED, onDocked);
  };
}

function shows(cell, id) {
  const outputs = cell.outputs;
  if (!outputs) return false;
  for (let i = 0; i < outputs.length; i += 1) {
    const view = outputs.get(i).data?.["application/vnd.jupyter.widget-view+json"];
    if (view?.model_id === id) return true;
  }
  return false;
}
