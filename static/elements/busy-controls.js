// A pressed control shows at once that it was, and cannot be pressed twice: what it asks for is under way. It is free
// again when the answer was a refusal, or when the page has drawn it anew.

const FREE_AFTER_MS = 4000;

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  // A form that is checked as it is filled in asks often, and says itself what is under way.
  if (requestConfig.verb === "get" || !elt.matches("form:not([data-checks]), button, a")) return;
  if (elt.hasAttribute("data-busy")) {
    event.preventDefault();
    return;
  }
  elt.setAttribute("data-busy", "");
  elt.setAttribute("aria-busy", "true");
});

document.addEventListener("htmx:afterRequest", ({ detail: { elt, requestConfig, successful } }) => {
  if (requestConfig?.verb === "get" || !elt.hasAttribute?.("data-busy")) return;
  // What it asked for shows in the page a moment later.
  if (successful && elt.isConnected && !elt.closest("dialog")) setTimeout(() => free(elt), FREE_AFTER_MS);
  else free(elt);
});

for (const name of ["htmx:sendError", "htmx:timeout", "htmx:sendAbort"]) {
  document.addEventListener(name, ({ detail }) => free(detail.elt));
}

function free(element) {
  element.removeAttribute?.("data-busy");
  element.removeAttribute?.("aria-busy");
}
