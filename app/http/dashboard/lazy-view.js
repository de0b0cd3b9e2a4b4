// A view whose modules are loaded when it is first opened, or by `load`.

const NOT_LOADED = "This view could not be loaded. Reload the page when the service responds.";

export function lazyView(read, name) {
  /** @type {((page: any) => any) | null} */
  let view = null;
  const load = async () => (view ??= /** @type {(page: any) => any} */ ((await read())[name]));

  // Once it is loaded, the view shows its title at once.
  function show(page) {
    if (view) return view(page);
    return load().then(
      (loaded) => (page.signal.aborted ? null : loaded(page)),
      () => page.fail(new Error(NOT_LOADED)),
    );
  }
  return Object.assign(show, { load });
}
