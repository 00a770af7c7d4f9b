// 卡控件下载: 检测 says whether a program for cards answers on this computer, which version it is, and whether it has a card.

const check = document.querySelector("[data-card-check]");
const start = check.querySelector("[data-card-check-start]");
const results = check.querySelector("[data-card-check-results]");
// No reader, no card.
const NO_CARD = ["Custom50200", "Custom51590"];
const FORBIDDEN = "Bridge40301";

const textFor = (name, values = {}) => check.dataset[`say${name}`].replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
const say = (...texts) => results.replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));

/** What is wrong, in words. */
function reasonOf({ reason, code, text }) {
  if (reason === "unreachable") return textFor("Unreachable");
  if (code === FORBIDDEN) return textFor("Forbidden", { origin: location.origin });
  if (NO_CARD.includes(code)) return textFor("NoCard");
  return textFor("Failed", { text: text || code || textFor("NoAnswer") });
}

/** Asks what is to be asked; gives a line for each answer. The official control may know no `ver`: the card is asked for all the same. */
async function look(bridge) {
  try {
    await bridge.connect();
  } catch (error) {
    return [reasonOf(error)];
  }
  let about;
  try {
    about = textFor("Connected", { version: await bridge.version() });
  } catch (error) {
    if (error.reason !== "refused" || error.code === FORBIDDEN) return [reasonOf(error)];
    about = textFor("Unversioned");
  }
  try {
    return [about, textFor("Card", { card: await bridge.cardNumber() })];
  } catch (error) {
    return [about, reasonOf(error)];
  }
}

start.hidden = false;
start.addEventListener("click", async () => {
  if (start.getAttribute("aria-disabled")) return;
  start.setAttribute("aria-disabled", "true");
  say(textFor("Connecting"));
  const bridge = new window.portal.cards.CardBridge(check.dataset.bridge, { onWait: () => say(textFor("Waiting")) });
  try {
    say(...(await look(bridge)));
  } finally {
    bridge.close();
    start.removeAttribute("aria-disabled");
  }
});
