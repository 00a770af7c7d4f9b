// The frame's comforts: theme and fold switch at once, the user menu answers to click and Escape, the phone's menu to Escape.
// Each works without this file, by a reload.

const root = document.documentElement;

const YEAR_SECONDS = 365 * 24 * 3600;

/** Keep a preference in the cookie that the server reads (portal/shell.py): set here and now, so that a page asked for right
 * after it knows already, which a request in the background could not promise. */
function remember(button) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `portal_${button.name}=${button.value}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${secure}`;
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!form.matches("[data-preference]") || !button) return;
  event.preventDefault();
  remember(button);
  if (button.name === "theme") {
    root.dataset.theme = button.value;
    for (const other of document.querySelectorAll('[data-preference] button[name="theme"]')) {
      other.setAttribute("aria-pressed", String(other.value === button.value));
    }
    document.dispatchEvent(new Event("portal:theme"));
  } else {
    root.dataset.menu = button.value;
    form.querySelector(`button[name="menu"]:not([value="${button.value}"])`)?.focus();
  }
});

const userMenu = document.querySelector("[data-user-menu]");
if (userMenu) {
  const trigger = userMenu.querySelector("button");
  const isOpen = () => getComputedStyle(userMenu.querySelector(".user-menu-panel")).visibility === "visible";
  const tell = () => trigger.setAttribute("aria-expanded", String(isOpen()));
  const dismiss = (dismissed) => {
    userMenu.classList.toggle("is-dismissed", dismissed);
    tell();
  };
  let openAtPress = false;
  trigger.addEventListener("pointerdown", () => (openAtPress = trigger.matches(":focus") && isOpen()));
  trigger.addEventListener("click", (event) => {
    const byKeyboard = event.detail === 0;
    dismiss(byKeyboard ? isOpen() : openAtPress);
    trigger.focus();
  });
  for (const name of ["focusin", "focusout", "pointerenter", "pointerleave"]) {
    userMenu.addEventListener(name, (event) => {
      if (name === "pointerleave" || (name === "focusout" && !userMenu.contains(event.relatedTarget))) userMenu.classList.remove("is-dismissed");
      requestAnimationFrame(tell);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isOpen()) {
      if (userMenu.contains(document.activeElement)) trigger.focus();
      dismiss(true);
    }
  });
  tell();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const panel = document.querySelector("details.strip-menu[open]");
  if (panel) {
    panel.open = false;
    panel.querySelector("summary").focus();
  } else if (location.hash === "#menu") {
    location.hash = "#content";
    document.querySelector(".menu-open")?.focus();
  }
});

document.addEventListener("click", (event) => {
  for (const panel of document.querySelectorAll("details.strip-menu[open]")) {
    if (!panel.contains(event.target)) panel.open = false;
  }
});
