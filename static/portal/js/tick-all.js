// 全选 above a list of ticks (templates/smartgate/batches.html), and how many are ticked.

const form = document.querySelector("[data-tick-form]");

if (form) {
  const label = form.querySelector("[data-tick-all]");
  const all = label.querySelector("input");
  const count = form.querySelector("[data-tick-count]");
  const ticks = [...form.querySelectorAll('input[name="filing"]')];

  const tell = () => {
    const ticked = ticks.filter((tick) => tick.checked).length;
    all.checked = ticked === ticks.length;
    all.indeterminate = ticked > 0 && ticked < ticks.length;
    count.textContent = count.dataset.say.replace("{ticked}", ticked).replace("{all}", ticks.length);
  };

  label.hidden = false;
  all.addEventListener("change", () => {
    for (const tick of ticks) tick.checked = all.checked;
    tell();
  });
  for (const tick of ticks) tick.addEventListener("change", tell);
  // A browser that comes back to the page brings its ticks with it.
  window.addEventListener("pageshow", tell);
  tell();
}
