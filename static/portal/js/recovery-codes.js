// Recovery codes: 打印 and 复制, which a page can do only with a script.

const list = document.querySelector("[data-recovery-codes]");
const print = document.querySelector("[data-print]");
const copy = document.querySelector("[data-copy]");

if (list && print) {
  print.hidden = false;
  print.addEventListener("click", () => window.print());
}

if (list && copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const codes = [...list.querySelectorAll("code")].map((code) => code.textContent).join("\n");
    let said = copy.dataset.textDone;
    try {
      await navigator.clipboard.writeText(codes);
    } catch {
      said = copy.dataset.textFailed;
    }
    copy.querySelector("span").textContent = said;
    document.querySelector("[data-copy-status]").textContent = said;
  });
}
