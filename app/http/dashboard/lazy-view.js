// A view whose modules are loaded when it is first opened, or by `load`.

const NOT_LOADED = "This view could not be loaded. Reload the page when the service responds.";

export function lazyView(read, name) {
  let view = null;
  const load = async () => (view ??= (await read())[name]);

  // Once it is loaded, the view shows its title at once.
  function show(page) {
    if (view) return view(page);
    return load().then(
      () => (page.signal.aborted ? null : view(page)),
      () => page.fail(new Error(NOT_LOADED)),
    );
  }
  return Object.assign(show, { load });
}
