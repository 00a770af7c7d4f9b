// 批量申报 (templates/smartgate/batch.html): the card signs each filing's own text, one after the other, with one PIN entry. What has been signed
// while the last request was on its way goes with the next one; each filing is declared by itself. What is declared is declared: whatever
// stops this run, the next one goes on with the rest. card-panel.js asks for the PIN, says what is wrong with card and program, and calls this.

const TRIES = 4;
const PAUSE_MS = 1500;
const ANSWER_MS = 30_000;

/** An error whose text the user reads as it is. */
const said = (text) => Object.assign(new Error(text), { reason: "said", text });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const texts = (form) => form.dataset;

/**
 * Sends signed filings; gives the answer, which tells of those that the server had time for. Sent twice a filing is declared once, so a
 * lost answer is asked for again.
 */
async function send(form, certificate, signed) {
  const shown = signed.map(({ item }) => `${item.dataset.item}:${item.dataset.lockVersion}`).join(" ");
  const body = new URLSearchParams([["certificate", certificate], ["shown", shown], ...signed.map(({ signature }) => ["signature", signature])]);
  const headers = { "X-CSRFToken": form.elements.namedItem("csrfmiddlewaretoken").value, Accept: "application/json" };
  for (let tries = 1; ; tries++) {
    let response;
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      response = await fetch(form.dataset.itemsUrl, { method: "POST", body, headers, credentials: "same-origin", signal });
    } catch {
      // The network, or the server: asked again below.
    }
    if (response && (response.status === 403 || response.redirected)) throw said(texts(form).sayExpired);
    const answer = response && response.status < 500 ? await response.json().catch(() => null) : null;
    if (answer?.error || (response?.ok && answer?.items?.length)) return answer;
    if (response?.status === 404) throw said(texts(form).sayExpired);
    if (tries === TRIES) throw said(texts(form).sayNetwork);
    await wait(PAUSE_MS * tries);
  }
}

function show(form, item, told) {
  item.dataset.state = told.declared ? "declared" : "failed";
  item.querySelector("[data-item-state]").textContent = told.declared ? told.label : texts(form).sayFailed;
  item.querySelector("[data-item-reason]").textContent = told.reason;
}

function showCounts(counts) {
  for (const [name, count] of Object.entries(counts)) {
    const place = document.querySelector(`[data-count="${name}"]`);
    if (place) place.textContent = String(count);
  }
  const bar = document.querySelector("[data-batch-progress]");
  if (bar) bar.value = counts.declared;
}

/** What is signed and not answered yet, on its way to the server: one request at a time. */
class Outbox {
  #form;
  #certificate;
  #waiting = [];
  #sending;
  #failure;

  constructor(form, certificate) {
    this.#form = form;
    this.#certificate = certificate;
  }

  /** Takes one more. Waits where the server is far behind the card; throws what stopped the sending. */
  async put(signed) {
    this.#waiting.push(signed);
    this.#sending ??= this.#send();
    if (this.#waiting.length > 2 * this.#most) await this.#sending;
    if (this.#failure) throw this.#failure;
  }

  /** Waits until all is answered; throws what stopped the sending. */
  async empty() {
    await this.#sending;
    if (this.#failure) throw this.#failure;
  }

  get #most() {
    return Number(this.#form.dataset.mostSent);
  }

  async #send() {
    try {
      while (this.#waiting.length && !this.#failure) {
        const portion = this.#waiting.slice(0, this.#most);
        const { items = [], counts, error } = await send(this.#form, this.#certificate, portion);
        const told = new Map(items.map((one) => [String(one.item), one]));
        for (const { item } of portion) if (told.has(item.dataset.item)) show(this.#form, item, told.get(item.dataset.item));
        if (counts) showCounts(counts);
        this.#waiting = this.#waiting.filter(({ item }) => !told.has(item.dataset.item));
        if (error) throw said(error);
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#sending = undefined;
  }
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
  const outbox = new Outbox(form, await bridge.certificate());
  const items = [...document.querySelectorAll("[data-item]")].filter((item) => item.dataset.state !== "declared");
  try {
    for (const item of items) {
      onStep("signing");
      const signature = await bridge.signText(item.querySelector("[data-sign-text]").textContent, pin);
      await outbox.put({ item, signature });
    }
  } finally {
    // What is signed is declared, also where the card was drawn meanwhile.
    await outbox.empty();
  }
}

// Shown anew: what is declared by its state, what was refused with what is to be signed of it now.
document.addEventListener("portal:signed", (event) => {
  if (event.target.matches("[data-sign-many]")) location.reload();
});

window.portal ??= {};
window.portal.signMany = signMany;
