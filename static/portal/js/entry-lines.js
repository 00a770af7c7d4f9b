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
document.addEventListener("htmx:sendError", () => window.alert(document.body.dataset.textOffline));
document.addEventListener("htmx:responseError", () => window.alert(document.body.dataset.textServerError));
