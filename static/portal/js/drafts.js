// What was typed on an entry page and not saved yet stays in this browser tab (sessionStorage, one draft per user and page) and
// comes back with the page. The server says when it is stored, and then the draft goes; at logout all drafts go.
// Passwords, files and tokens are never kept.

const PREFIX = "draft:";
const PAUSE_MS = 300;
// What marks one copy of the page, and no content: a draft that brought back an old one could never be saved again.
const PAGES_OWN = ["entry_token", "lock_version"];
const user = document.body.dataset.user;
const keyOf = (path) => `${PREFIX}${user}:${path}`;
const here = location.pathname;
const entryForm = () => document.querySelector("form[data-entry]");

// What the page held when it came; null when it came back from the server with something not saved. While it is undefined the
// draft is let alone.
let before;
// Whether the page came with a body. If that is gone without the page, what is left is not what was typed.
const hadLines = document.querySelector("#entry-lines") !== null;
const isWhole = () => entryForm() && (!hadLines || document.querySelector("#entry-lines"));
// Set once the draft of this page is given up: the page is about to go, and must not keep it again.
let givenUp = false;
let timer;

/** Name and value of everything that may be kept, as text. */
function contents() {
  const form = entryForm();
  const kept = [...new FormData(form)].filter(([name, value]) => {
    if (typeof value !== "string" || name === "csrfmiddlewaretoken" || name === "tick" || PAGES_OWN.includes(name)) return false;
    return form.elements.namedItem(name)?.type !== "password";
  });
  return JSON.stringify(kept);
}

const isDirty = () => before !== undefined && !givenUp && isWhole() && contents() !== before;

function keep() {
  clearTimeout(timer);
  if (before === undefined || givenUp || !isWhole()) return;
  const now = contents();
  if (now === before) sessionStorage.removeItem(keyOf(here));
  else sessionStorage.setItem(keyOf(here), now);
}

function forget(path) {
  if (path === here) givenUp = true;
  sessionStorage.removeItem(keyOf(path));
}

function forgetAll(which) {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(PREFIX) && which(key)) sessionStorage.removeItem(key);
  }
}

window.portal ??= {};
window.portal.drafts = { forget, has: (path) => (path === here && isDirty()) || sessionStorage.getItem(keyOf(path)) !== null };

for (const meta of document.querySelectorAll('meta[name="saved-draft"]')) sessionStorage.removeItem(keyOf(meta.content));
// Another user at the same browser tab has no business with these.
if (user) forgetAll((key) => !key.startsWith(`${PREFIX}${user}:`));
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-logout]")) return;
  givenUp = true;
  forgetAll(() => true);
});

/** A note above the form, with the way to be rid of the draft again. */
function sayRestored() {
  const { restoredNote, discardLabel, discardQuestion } = entryForm().dataset;
  const note = Object.assign(document.createElement("section"), { className: "alert entry-draft" });
  note.setAttribute("role", "status");
  const discard = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm", textContent: discardLabel });
  discard.addEventListener("click", () => {
    if (!window.confirm(discardQuestion)) return;
    forget(here);
    location.reload();
  });
  note.append(Object.assign(document.createElement("span"), { textContent: restoredNote }), discard);
  entryForm().before(note);
}

/** The server draws the page again with the draft in it; it knows best how lines and code fields look. */
async function restore(draft) {
  const values = new FormData();
  for (const [name, value] of JSON.parse(draft)) values.append(name, value);
  for (const name of PAGES_OWN) values.append(name, entryForm().elements.namedItem(name)?.value ?? "");
  values.append("action", "restore");
  const asItCame = before;
  before = undefined;
  const swap = { target: "#entry-form", select: "#entry-form", swap: "outerHTML settle:0ms", values };
  // A failure is told by entry-lines.js, and a draft that could not be drawn waits for the next visit.
  await window.htmx.ajax("POST", location.href, swap).catch(() => undefined);
  if (!entryForm()?.hasAttribute("data-sent")) return;
  before = asItCame;
  sayRestored();
}

/** Once the other scripts have made the page what it is, note how it looks and bring back what was typed before. */
function begin() {
  const wasSent = entryForm().hasAttribute("data-sent");
  before = wasSent ? null : contents();
  const draft = sessionStorage.getItem(keyOf(here));
  if (draft && !wasSent && draft !== before) restore(draft);
}

if (user && entryForm()) {
  let leavingInside = false;
  const stayInside = (event) => {
    if (event.defaultPrevented) return;
    leavingInside = true;
    setTimeout(() => (leavingInside = false), 1000);
  };

  document.addEventListener("DOMContentLoaded", begin);
  for (const name of ["input", "change", "htmx:afterSettle"]) {
    document.addEventListener(name, () => {
      clearTimeout(timer);
      timer = setTimeout(keep, PAUSE_MS);
    });
  }
  window.addEventListener("pagehide", keep);
  window.addEventListener("submit", stayInside);
  // The session has ended, or the filing moved on: the answer leads to another page of the portal.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Redirect")) stayInside(event);
  });
  window.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || link.target || link.origin !== location.origin) return;
    if (link.hasAttribute("data-discards-draft")) {
      if (isDirty() && !window.confirm(entryForm().dataset.discardQuestion)) {
        event.preventDefault();
        return;
      }
      forget(here);
      forget(link.pathname);
    }
    stayInside(event);
  });
  // What is typed here survives a walk through the portal, but not the closing of the browser's tab.
  window.addEventListener("beforeunload", (event) => {
    if (isDirty() && !leavingInside) event.preventDefault();
  });
}
