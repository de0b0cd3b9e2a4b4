// A value that views read, change and listen to.

export function createStore(state) {
  const listeners = [];
  return {
    get: () => state,
    set(changes) {
      state = { ...state, ...changes };
      for (const listener of listeners) listener(state, changes);
    },
    subscribe: (listener) => listeners.push(listener),
  };
}
