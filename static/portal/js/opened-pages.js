// The strip of opened pages: buttons that move it left and right, and a question before a page with unsaved contents closes.

const strip = document.querySelector("[data-opened-pages]");
if (strip) {
  const list = strip.querySelector(".strip ul");
  const buttons = strip.querySelectorAll("[data-scroll]");

  const show = () => {
    const overflows = list.scrollWidth > list.clientWidth + 1;
    for (const button of buttons) {
      button.hidden = !overflows;
      const atEnd = Number(button.dataset.scroll) < 0 ? list.scrollLeft <= 0 : list.scrollLeft + list.clientWidth >= list.scrollWidth - 1;
      button.setAttribute("aria-disabled", String(atEnd));
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      list.scrollBy({ left: Number(button.dataset.scroll) * list.clientWidth * 0.7, behavior: "smooth" });
    });
  }
  list.addEventListener("scroll", show, { passive: true });
  // The buttons take their room from the list: only when they stand is it known which part of it is to be seen.
  const settle = () => {
    show();
    list.querySelector(".is-current")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  settle();
  new ResizeObserver(settle).observe(list);

  const pathOf = (address) => new URL(address, location.href).pathname;
  strip.addEventListener("submit", (event) => {
    const { name, value } = event.submitter ?? {};
    const open = [...list.querySelectorAll(".strip-page a")].map((link) => pathOf(link.href));
    const closing = {
      close: () => [pathOf(value)],
      close_others: () => open.filter((path) => path !== pathOf(value)),
      close_all: () => open,
    }[name]?.() ?? [];
    const unsaved = closing.filter((path) => window.portal.drafts.has(path));
    if (unsaved.length && !window.confirm(strip.dataset.unsavedQuestion)) {
      event.preventDefault();
      return;
    }
    for (const path of unsaved) window.portal.drafts.forget(path);
  });
}
