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

/** Insert a cell below the one that shows the panel, and below those inserted before; return
 *  whether that was possible. */
export function insertCell(model, id, source, kind = "code") {
  if (!canInsertCells(model)) return false;
  const { cells, sharedModel } = model.widget_manager.context.model;
  let index = cells.length;
  for (let i = 0; i < cells.length; i += 1) {
    if (shows(cells.get(i), id)) index = i + 1;
  }
  while (index < cells.length && inserted.has(cells.get(index).id)) index += 1;
  sharedModel.insertCell(index, { cell_type: kind, source, metadata: {} });
  inserted.add(cells.get(index)?.id);
  return true;
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
  session?.statusChanged?.connect(onStatus);
  session?.kernelChanged?.connect(onKernel);
  return () => {
    session?.statusChanged?.disconnect(onStatus);
    session?.kernelChanged?.disconnect(onKernel);
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
