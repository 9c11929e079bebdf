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

/** Insert a cell below the one that shows the panel; return whether that was possible. */
export function insertCell(model, id, source, kind = "code") {
  if (!canInsertCells(model)) return false;
  const notebook = model.widget_manager.context.model;
  const shared = notebook.sharedModel;
  let index = notebook.cells.length;
  for (let i = 0; i < notebook.cells.length; i += 1) {
    if (shows(notebook.cells.get(i), id)) index = i + 1;
  }
  shared.insertCell(index, { cell_type: kind, source, metadata: {} });
  return true;
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
