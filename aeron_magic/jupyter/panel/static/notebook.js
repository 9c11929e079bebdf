// What a notebook around the panel can do, asked for by what is there: nothing of it is promised
// to widgets, so each look may find nothing, and then the panel does without.

/** Typeset the math in an element, with the front end's own typesetter. */
export function typeset(model, element) {
  const manager = model.widget_manager;
  const rendermime = manager?._rendermime ?? manager?.rendermime;
  const typesetter = rendermime?.latexTypesetter;
  if (!typesetter || !element.querySelector(".math")) return;
  try {
    typesetter.typeset(element);
  } catch {
    // The TeX stays as it was written, which can be read.
  }
}

/** Whether cells can be put into the notebook. */
export function takesCells(model) {
  return Boolean(model.widget_manager?.context?.model?.sharedModel?.insertCell);
}

/** Put a cell below the one that shows the panel; whether that was possible. */
export function insertCell(model, id, source, kind = "code") {
  if (!takesCells(model)) return false;
  const notebook = model.widget_manager.context.model;
  const shared = notebook.sharedModel;
  let place = notebook.cells.length;
  for (let i = 0; i < notebook.cells.length; i += 1) {
    if (shows(notebook.cells.get(i), id)) place = i + 1;
  }
  shared.insertCell(place, { cell_type: kind, source, metadata: {} });
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
