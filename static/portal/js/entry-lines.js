// The body of an entry page and its errors: an error leads to its field, and a step that did not reach the server is told.
// The server says where the cursor goes on after a step (autofocus).

document.addEventListener("click", (event) => {
  const link = event.target.closest(".entry-errors a");
  const target = link && document.getElementById(link.hash.slice(1));
  if (!target) return;
  event.preventDefault();
  target.focus();
  target.scrollIntoView({ block: "center" });
});

const busy = (isBusy) => document.querySelector("#entry-lines")?.setAttribute("aria-busy", String(isBusy));
document.addEventListener("htmx:beforeRequest", () => busy(true));
document.addEventListener("htmx:afterRequest", () => busy(false));

// What a page asks for by itself is asked for again soon; nobody waits for it.
const tell = (event, text) => event.detail.elt.closest?.("[data-background]") || window.alert(document.body.dataset[text]);
document.addEventListener("htmx:sendError", (event) => tell(event, "textOffline"));
document.addEventListener("htmx:responseError", (event) => tell(event, "textServerError"));

// An answer without a body (some other page) takes the place of no body: what was typed would be gone with it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, serverResponse, shouldSwap } = event.detail;
  if (!shouldSwap || !target.matches("#entry-lines, #entry-form") || serverResponse.includes('id="entry-lines"')) return;
  event.detail.shouldSwap = false;
  tell(event, "textServerError");
});
