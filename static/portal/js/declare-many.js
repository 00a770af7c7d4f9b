// 批量申报 (templates/smartgate/batch.html): the card signs each filing's own text, one after the other, with one PIN entry; each is sent as
// soon as it is signed. What is declared is declared: whatever stops this run, the next one goes on with the rest. card-panel.js asks for the
// PIN, says what is wrong with card and program, and calls this.

const TRIES = 4;
const PAUSE_MS = 1500;
const ANSWER_MS = 30_000;

/** An error whose text the user reads as it is. */
const said = (text) => Object.assign(new Error(text), { reason: "said", text });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const texts = (form) => form.dataset;

/** Sends one signed filing. Sent twice it is declared once, so a lost answer is asked for again. */
async function send(form, item, fields) {
  const body = new URLSearchParams({ item: item.dataset.item, lock_version: item.dataset.lockVersion, ...fields });
  const headers = { "X-CSRFToken": form.elements.namedItem("csrfmiddlewaretoken").value, Accept: "application/json" };
  for (let tries = 1; ; tries++) {
    let response;
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      response = await fetch(form.dataset.itemUrl, { method: "POST", body, headers, credentials: "same-origin", signal });
    } catch {
      // The network, or the server: asked again below.
    }
    if (response && (response.status === 403 || response.redirected)) throw said(texts(form).sayExpired);
    const answer = response && response.status < 500 ? await response.json().catch(() => null) : null;
    if (answer?.error) throw said(answer.error);
    if (response?.ok && answer) return answer;
    if (response?.status === 404) throw said(texts(form).sayExpired);
    if (tries === TRIES) throw said(texts(form).sayNetwork);
    await wait(PAUSE_MS * tries);
  }
}

function show(form, item, answer) {
  item.dataset.state = answer.declared ? "declared" : "failed";
  item.querySelector("[data-item-state]").textContent = answer.declared ? answer.label : texts(form).sayFailed;
  item.querySelector("[data-item-reason]").textContent = answer.reason;
  for (const [name, count] of Object.entries(answer.counts)) {
    const place = document.querySelector(`[data-count="${name}"]`);
    if (place) place.textContent = String(count);
  }
  const bar = document.querySelector("[data-batch-progress]");
  if (bar) bar.value = answer.counts.declared;
}

/**
 * Has the card sign and sends all that is not declared. Throws CardError, or an error to be read as it is, as soon as one tells that the
 * others would fare no better; what a single filing is refused for stands beside it, and the next one follows.
 */
async function signMany({ form, bridge, pin, boundCard, onStep }) {
  const { CardError } = window.portal.cards;
  onStep("reading");
  const card = await bridge.cardNumber();
  if (boundCard && card !== boundCard) throw new CardError("mismatch", { card, bound: boundCard });
  const certificate = await bridge.certificate();
  const items = [...document.querySelectorAll("[data-item]")].filter((item) => item.dataset.state !== "declared");
  // The card signs the next one while the last one is on its way.
  let sending = Promise.resolve();
  for (const item of items) {
    onStep("signing");
    const signature = await bridge.signText(item.querySelector("[data-sign-text]").textContent, pin);
    await sending;
    sending = send(form, item, { certificate, signature }).then((answer) => show(form, item, answer));
    // Looked at when its turn comes.
    sending.catch(() => {});
  }
  await sending;
}

// Shown anew: what is declared by its state, what was refused with what is to be signed of it now.
document.addEventListener("portal:signed", (event) => {
  if (event.target.matches("[data-sign-many]")) location.reload();
});

window.portal ??= {};
window.portal.signMany = signMany;
