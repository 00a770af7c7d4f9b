// Keyboard entry (PRT-05): Enter goes to the next field that can be filled in; in the last field of a line it saves the line.
// In a text area Enter makes a new line, as everywhere, and Ctrl+Enter goes on.

const FIELDS = 'input:not([type="hidden"], [type="checkbox"], [type="submit"]), select, textarea';

function fieldsOf(root) {
  return [...root.querySelectorAll(FIELDS)].filter((field) => !field.disabled && !field.readOnly && !field.hidden);
}

function focusNext(field) {
  const editor = field.closest(".line-editor");
  if (editor && fieldsOf(editor).at(-1) === field) {
    document.querySelector("[data-line-save]").click();
    return;
  }
  const all = fieldsOf(field.form);
  const next = all[all.indexOf(field) + 1];
  if (!next) return;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

window.portal ??= {};
window.portal.focusNext = (field) => {
  if (field.form?.matches("[data-entry]")) focusNext(field);
};

document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "Enter" || event.isComposing || event.defaultPrevented || !field.matches(FIELDS)) return;
  if (!field.form?.matches("[data-entry]")) return;
  if (field instanceof HTMLTextAreaElement && !event.ctrlKey) return;
  event.preventDefault();
  focusNext(field);
});
