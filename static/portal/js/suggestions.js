// What was chosen from a list of suggestions (code-field.js) brings along what is the same each time: it is filled in where nothing
// stands, and only where something may stand.

function fill(field, value) {
  if (!field || field.disabled || field.codeField?.disabled) return;
  if (field.type === "checkbox") field.checked = true;
  else if (field.value.trim()) return;
  else if (field instanceof HTMLSelectElement) {
    const option = [...field.options].find((one) => one.value === value);
    if (!option) return;
    if (field.codeField) field.codeField.set(value, option.text);
    else field.value = value;
  } else field.value = value;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

document.addEventListener("portal:picked", (event) => {
  const grid = event.target.closest("[data-prefix]");
  for (const [name, value] of Object.entries(event.detail.fills ?? {})) fill(grid?.querySelector(`[name="${grid.dataset.prefix}${name}"]`), value);
});
