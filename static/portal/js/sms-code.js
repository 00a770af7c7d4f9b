// 获取验证码: while the next code may not be asked for yet, the button counts the seconds. Without this script it answers with a sentence.

const running = new WeakMap();

function countDown(note) {
  const button = note.parentElement?.querySelector("[data-send-code]");
  const seconds = Number(note.dataset.waitSeconds);
  if (!button || !seconds) return;
  clearInterval(running.get(button)?.timer);
  const label = running.get(button)?.label ?? button.textContent;
  const until = Date.now() + seconds * 1000;
  const show = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${left} ${button.dataset.textAgain}` : label;
    if (left <= 0) clearInterval(running.get(button).timer);
  };
  running.set(button, { label, timer: setInterval(show, 500) });
  show();
}

document.querySelectorAll("[data-wait-seconds]").forEach(countDown);
document.body.addEventListener("htmx:afterSwap", () => {
  document.querySelectorAll("[data-wait-seconds]").forEach((note) => {
    if (!note.dataset.counted) {
      note.dataset.counted = "1";
      countDown(note);
    }
  });
});
