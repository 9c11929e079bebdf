// The entry points that anywidget calls: `initialize` per panel, `render` per view.

import { Store } from "./store.js";
import { View } from "./view.js";

export default () => {
  let store = null;
  return {
    initialize({ model }) {
      store = new Store(model);
      return () => store.close();
    },
    render({ model, el }) {
      const view = new View(model, store, el);
      return () => view.close();
    },
  };
};
