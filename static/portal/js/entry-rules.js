// Conditional rules (core.forms.rules): greys and empties fields, turns them yellow, as the values on the page change.
// The server applies the same rules again; without this file every conditional field stays white and can be filled in.

const HEADER = "header.";

// Fields are sought in their own grid: while the body is exchanged, the form holds the old and the new line for a moment.
const fieldOf = (grid, name) => grid?.querySelector(`[name="${grid.dataset.prefix}${name}"]`);

function valueOf(form, grid, name) {
  const field = name.startsWith(HEADER) ? fieldOf(form.querySelector('[data-prefix=""]'), name.slice(HEADER.length)) : fieldOf(grid, name);
  return field?.value.trim() ?? "";
}

function fulfilled(alternatives, read) {
  return alternatives.some((condition) => Object.entries(condition).every(([name, wanted]) => wanted.includes(read(name))));
}

function applyRule(form, grid, rule) {
  const field = fieldOf(grid, rule.field);
  if (!field) return;
  const read = (name) => valueOf(form, grid, name);
  const grey = fulfilled(rule.grey, read);
  const required = !grey && (rule.always || fulfilled(rule.required, read));
  const control = field.codeField ?? field;
  if (grey && field.value) {
    if (field.codeField) field.codeField.set("", "");
    else field.value = "";
  }
  control.disabled = grey;
  const shown = field.codeField?.input ?? field;
  if (required) shown.setAttribute("aria-required", "true");
  else shown.removeAttribute("aria-required");
  const frame = shown.closest(".entry-field");
  frame.classList.toggle("is-grey", grey);
  frame.classList.toggle("is-required", required);
}

function applyAll(form) {
  for (const grid of form.querySelectorAll("[data-rules]")) {
    for (const rule of JSON.parse(grid.dataset.rules)) applyRule(form, grid, rule);
  }
}

for (const name of ["change", "input"]) {
  document.addEventListener(name, (event) => {
    const form = event.target.form;
    if (form?.matches("[data-entry]")) applyAll(form);
  });
}
function applyToPage() {
  for (const form of document.querySelectorAll("form[data-entry]")) applyAll(form);
}

applyToPage();
document.addEventListener("htmx:load", applyToPage);
