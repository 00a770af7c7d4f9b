// Code field (PRT-05): a <select>, or a text field with data-lookup-url, becomes a combobox. Space opens the list; a code, a
// name or its pinyin initials narrow it; Enter picks (and enter-key.js goes on to the next field); Escape closes.
// What is sent stays in the original control, which keeps its name; the new field takes over its id, label and description.

const MOST_SHOWN = 100;
const LOOKUP_PAUSE_MS = 120;
let numbered = 0;

/** How well an option fits what was typed: 0 best, Infinity not at all. */
function rank({ code, name, initials }, typed) {
  const text = typed.toLowerCase();
  const ways = [
    code.toLowerCase() === text,
    code.toLowerCase().startsWith(text),
    initials.startsWith(text),
    name.toLowerCase().startsWith(text),
    name.toLowerCase().includes(text) || `${code} ${name}`.toLowerCase() === text,
    initials.includes(text),
  ];
  const way = ways.indexOf(true);
  return way < 0 ? Infinity : way;
}

/** Options of a table that is in the page. */
class ListedOptions {
  constructor(select) {
    this.all = [...select.options].filter((option) => option.value).map((option) => ({
      code: option.value,
      name: option.text.startsWith(`${option.value} `) ? option.text.slice(option.value.length + 1) : option.text,
      initials: option.dataset.initials ?? "",
    }));
  }

  find(typed, use) {
    const ranked = this.all.map((option, at) => [rank(option, typed), at, option]);
    use(typed ? ranked.filter(([fit]) => fit < Infinity).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((row) => row[2]) : this.all);
  }

  cancel() {}
}

/** Options of a table that the server looks up; only the newest question is answered. */
class LookedUpOptions {
  constructor(url, more = () => ({})) {
    this.url = url;
    this.more = more;
  }

  find(typed, use) {
    this.cancel();
    const control = (this.control = new AbortController());
    this.timer = setTimeout(async () => {
      const url = new URL(this.url, location.href);
      url.searchParams.set("q", typed);
      for (const [name, value] of Object.entries(this.more())) url.searchParams.set(name, value);
      try {
        const response = await fetch(url, { signal: control.signal, headers: { Accept: "application/json" } });
        if (!response.ok) throw new Error(response.statusText);
        use((await response.json()).results);
      } catch (error) {
        if (error.name !== "AbortError") use(null);
      }
    }, LOOKUP_PAUSE_MS);
  }

  cancel() {
    clearTimeout(this.timer);
    this.control?.abort();
  }
}

class CodeField {
  constructor(original) {
    this.original = original;
    this.isSelect = original instanceof HTMLSelectElement;
    this.options = this.isSelect ? new ListedOptions(original) : new LookedUpOptions(original.dataset.lookupUrl);
    this.found = [];
    this.active = -1;
    this.build();
    this.listen();
  }

  /** The new field beside the original control, which from now on only carries the code. */
  build() {
    const { original } = this;
    const { activeElement } = document;
    // The browser gives autofocus some time after the page is there; by then the original is hidden and would not get it.
    const isAwaited = activeElement === document.body && original === document.querySelector("[autofocus]");
    const takesFocus = activeElement === original || isAwaited;
    const id = original.id;
    this.listId = `code-list-${++numbered}`;
    this.input = Object.assign(document.createElement("input"), { type: "text", autocomplete: "off", spellcheck: false, className: "form-control", disabled: original.disabled });
    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-expanded": "false", "aria-controls": this.listId };
    for (const name of ["aria-required", "aria-invalid", "aria-describedby", "aria-label"]) {
      if (original.hasAttribute(name)) attributes[name] = original.getAttribute(name);
    }
    for (const [name, value] of Object.entries(attributes)) this.input.setAttribute(name, value);
    this.toggle = Object.assign(document.createElement("button"), { type: "button", className: "code-field-toggle", tabIndex: -1 });
    this.toggle.setAttribute("aria-hidden", "true");
    this.list = Object.assign(document.createElement("div"), { id: this.listId, className: "code-field-list", hidden: true });
    this.list.setAttribute("role", "listbox");
    const label = original.labels?.[0];
    if (label) {
      label.id ||= `${id}-label`;
      this.list.setAttribute("aria-labelledby", label.id);
    } else {
      this.list.setAttribute("aria-label", original.getAttribute("aria-label") ?? "");
    }
    this.wrapper = Object.assign(document.createElement("div"), { className: "code-field" });
    original.after(this.wrapper);
    this.wrapper.append(this.input, this.toggle, this.list);
    if (this.isSelect) {
      this.shown = this.value ? original.selectedOptions[0].text : "";
      original.hidden = true;
    } else {
      this.shown = original.value;
      original.value = original.dataset.code ?? original.value;
      original.type = "hidden";
    }
    original.removeAttribute("id");
    original.removeAttribute("autofocus");
    original.removeAttribute("aria-describedby");
    this.input.id = id;
    this.input.value = this.shown;
    original.codeField = this;
    this.input.codeField = this;
    if (takesFocus) this.input.focus({ preventScroll: true });
  }

  get value() {
    return this.original.value;
  }

  /** Rules switch a field off and empty it; see entry-rules.js. */
  set disabled(disabled) {
    this.original.disabled = disabled;
    this.input.disabled = disabled;
  }

  get disabled() {
    return this.input.disabled;
  }

  /** Set the code that is sent and the text that is read; an unknown text is sent as it is, for the server to refuse. */
  set(code, text) {
    const changed = this.value !== code;
    if (this.isSelect && code && ![...this.original.options].some((option) => option.value === code)) {
      this.original.add(new Option(text, code));
    }
    this.original.value = code;
    this.shown = text;
    this.input.value = text;
    if (changed) this.original.dispatchEvent(new Event("change", { bubbles: true }));
  }

  pick(option) {
    this.set(option.code, `${option.code} ${option.name}`);
    this.close();
  }

  get isOpen() {
    return !this.list.hidden;
  }

  get isTyped() {
    return this.input.value !== this.shown;
  }

  open(typed = "") {
    this.isWaiting = true;
    this.isChosen = false;
    this.options.find(typed.trim(), (found) => {
      this.isWaiting = false;
      this.hasFailed = found === null;
      this.found = (found ?? []).slice(0, MOST_SHOWN);
      this.draw((found ?? []).length - this.found.length);
      if (this.pickWhenFound) {
        this.pickWhenFound = false;
        if (this.found.length) {
          this.pick(this.found[0]);
          window.portal.focusNext?.(this.input);
        }
      }
    });
  }

  draw(more) {
    this.active = -1;
    this.list.replaceChildren(
      ...this.found.map((option, at) => {
        const row = Object.assign(document.createElement("div"), { id: `${this.listId}-${at}`, className: "code-field-option" });
        row.setAttribute("role", "option");
        row.setAttribute("aria-selected", "false");
        for (const text of [option.code, option.name]) row.append(Object.assign(document.createElement("span"), { textContent: text }));
        return row;
      }),
    );
    const { textLookupFailed, textMoreCodes, textNoCode } = document.body.dataset;
    const note = this.hasFailed ? textLookupFailed : more > 0 ? textMoreCodes : this.found.length ? "" : textNoCode;
    if (note) {
      const row = Object.assign(document.createElement("div"), { className: "code-field-note", textContent: note });
      row.setAttribute("role", "option");
      row.setAttribute("aria-disabled", "true");
      row.setAttribute("aria-selected", "false");
      this.list.append(row);
    }
    this.list.classList.remove("is-above");
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    const box = this.list.getBoundingClientRect();
    const above = this.input.getBoundingClientRect().top;
    if (box.bottom > innerHeight - 40 && above > box.height) this.list.classList.add("is-above");
    const current = this.found.findIndex((option) => option.code === this.value);
    this.move(this.isTyped || current < 0 ? 0 : current);
  }

  point(at) {
    this.isChosen = true;
    this.move(at);
  }

  move(at) {
    if (!this.found.length) return;
    this.active = (at + this.found.length) % this.found.length;
    for (const [index, row] of [...this.list.children].entries()) row.setAttribute("aria-selected", String(index === this.active));
    const row = this.list.children[this.active];
    row.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", row.id);
  }

  close() {
    this.options.cancel();
    this.isWaiting = false;
    this.hasFailed = false;
    this.pickWhenFound = false;
    this.list.hidden = true;
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  /** The user goes on: take what was typed, if it means one option; otherwise send it as typed, and the server says why not. */
  settle() {
    const typed = this.input.value.trim();
    if (!typed) this.set("", "");
    else if (this.isTyped) {
      const meant = this.meant(typed);
      if (meant) this.pick(meant);
      else this.set(typed, typed);
    }
    this.close();
  }

  /** The option that goes without asking: one that was pointed at, the exact code or name, or the only one left. */
  meant(typed) {
    if (!this.isOpen || this.isWaiting) return undefined;
    if (this.isChosen) return this.found[this.active];
    const exact = this.found.find(({ code, name }) => [code, name, `${code} ${name}`].some((text) => text.toLowerCase() === typed.toLowerCase()));
    return exact ?? (this.found.length === 1 ? this.found[0] : undefined);
  }

  listen() {
    const { input, list } = this;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", () => this.settle());
    input.addEventListener("input", (event) => {
      if (!event.isComposing) this.open(input.value);
    });
    input.addEventListener("compositionend", () => this.open(input.value));
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("pointerdown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const at = [...list.children].indexOf(event.target.closest(".code-field-option"));
      if (at >= 0) this.pick(this.found[at]);
    });
    this.toggle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      input.focus();
      this.isOpen ? this.close() : this.open();
    });
  }

  key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const { isOpen } = this;
    if (event.key === " " && !isOpen && !this.isTyped) {
      event.preventDefault();
      this.open();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) this.open(this.isTyped ? this.input.value : "");
      else this.point(this.active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "PageDown" || event.key === "PageUp") {
      if (!isOpen) return;
      event.preventDefault();
      this.point(Math.max(0, Math.min(this.found.length - 1, this.active + (event.key === "PageDown" ? 8 : -8))));
    } else if (event.key === "Escape" && isOpen) {
      event.stopPropagation();
      this.close();
      this.input.value = this.shown;
    } else if (event.key === "Enter") {
      this.enter(event);
    }
  }

  /** Enter picks; it goes on to enter-key.js unless there is nothing to pick yet. */
  enter(event) {
    const stay = () => {
      event.preventDefault();
      event.stopPropagation();
    };
    if (!this.input.value.trim() && this.isTyped) this.settle();
    else if (this.isWaiting) {
      this.pickWhenFound = true;
      stay();
    } else if (this.isOpen && this.active >= 0) {
      this.pick(this.found[this.active]);
      if (!this.input.closest("[data-entry]")) stay();
    } else if (this.hasFailed) this.settle();
    else if (this.isTyped) stay();
  }
}

/** A text field with data-suggest-url: what fits is offered, anything may be typed. Only what was pointed at is taken. */
class SuggestField extends CodeField {
  build() {
    const { original } = this;
    const by = () => original.form?.elements.namedItem(original.name.replace(/[^-]*$/, original.dataset.suggestBy));
    this.options = new LookedUpOptions(original.dataset.suggestUrl, () => ({ kind: by()?.value ?? "" }));
    this.listId = `code-list-${++numbered}`;
    this.input = original;
    // The browser's own list is for those without a script.
    original.removeAttribute("list");
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-expanded": "false", "aria-controls": this.listId })) original.setAttribute(name, value);
    this.toggle = Object.assign(document.createElement("button"), { type: "button", className: "code-field-toggle", tabIndex: -1 });
    this.toggle.setAttribute("aria-hidden", "true");
    this.list = Object.assign(document.createElement("div"), { id: this.listId, className: "code-field-list", hidden: true });
    this.list.setAttribute("role", "listbox");
    const label = original.labels?.[0];
    if (label) {
      label.id ||= `${original.id}-label`;
      this.list.setAttribute("aria-labelledby", label.id);
    }
    this.wrapper = Object.assign(document.createElement("div"), { className: "code-field" });
    const hadFocus = document.activeElement === original;
    original.before(this.wrapper);
    this.wrapper.append(original, this.toggle, this.list);
    this.shown = original.value;
    original.codeField = this;
    if (hadFocus) original.focus({ preventScroll: true });
  }

  set(text) {
    this.input.value = text;
    this.shown = text;
  }

  pick(option) {
    this.set(option.code);
    this.close();
    this.input.dispatchEvent(new Event("change", { bubbles: true }));
    this.input.dispatchEvent(new CustomEvent("portal:picked", { bubbles: true, detail: option }));
  }

  draw(more) {
    if (this.hasFailed || !this.found.length || document.activeElement !== this.input) this.close();
    else super.draw(more);
  }

  key(event) {
    if (event.key !== "Escape" || !this.isOpen) super.key(event);
    else {
      // What was typed stays: it need not be in the list.
      event.stopPropagation();
      this.close();
    }
  }

  /** Nothing is chosen until somebody points at it: Enter means what was typed. */
  move(at) {
    if (this.isChosen) super.move(at);
    else this.input.removeAttribute("aria-activedescendant");
  }

  point(at) {
    const wasChosen = this.isChosen;
    this.isChosen = true;
    this.move(wasChosen ? at : at < 0 ? -1 : Math.min(at, 0));
  }

  settle() {
    this.shown = this.input.value;
    this.close();
  }

  enter() {
    if (this.isOpen && this.isChosen && this.active >= 0) this.pick(this.found[this.active]);
    else this.settle();
  }
}

function enhance(part) {
  for (const original of [part, ...part.querySelectorAll("[data-suggest-url]")]) {
    if (original.matches("[data-suggest-url]") && !original.codeField) new SuggestField(original);
  }
  for (const original of [part, ...part.querySelectorAll("[data-code-field]")]) {
    if (original.matches("[data-code-field]") && !original.codeField) new CodeField(original);
  }
}

// The page itself at once: htmx announces it only after a pause in which somebody may be typing already.
enhance(document.body);
document.addEventListener("htmx:load", (event) => enhance(event.detail.elt));
