// A second click on 暂存 or 申报 while the first is under way does nothing. The server would know that it is the same, but its second answer
// is not the one that a user wants to read.

let isUnderWay = false;

window.addEventListener("submit", (event) => {
  if (event.defaultPrevented || !event.target.matches("form[data-entry]")) return;
  if (isUnderWay) event.preventDefault();
  isUnderWay = true;
});

// Back from the next page, kept by the browser as it was.
window.addEventListener("pageshow", () => (isUnderWay = false));
