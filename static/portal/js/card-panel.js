// The card panel (templates/accounts/card_panel.html): a form that holds one is not submitted before the card has signed. Everything hangs on
// the document, so a panel that htmx brings works as it comes. The PIN goes to the program on the user's computer and nowhere else.

// Where the browser goes on to the next page, or htmx asks; after so long without either the user may try again.
const SUBMIT_MS = 15_000;
const CHALLENGE_MS = 20_000;
// Ways to say it, by version, of Chrome's leave to reach this computer.
const PERMISSIONS = ["loopback-network", "local-network-access"];

// form → what is under way there: { bridge, submitter, panel }.
const attempts = new WeakMap();
const underWay = new Set();
// panel → the button that was pressed when no program answered; 重试 presses it again.
const interrupted = new WeakMap();
let signed;

const part = (panel, name) => panel.querySelector(`[data-card-${name}]`);
const formOf = (panel) => panel.closest("form");
const panelOf = (form) => form.querySelector?.("[data-card-panel]");
const textFor = (panel, name, values = {}) => (panel.dataset[`say${name}`] ?? "").replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);

/** Whether this button's submit goes to the card first. */
function needsCard(form, submitter) {
  const signing = [...form.elements].filter((element) => element.matches("[data-card-sign]"));
  return signing.length === 0 || signing.includes(submitter);
}

/** The button that Enter in the PIN field presses. */
function signButton(form) {
  const buttons = [...form.elements].filter((element) => element.matches("button, input") && element.type === "submit" && !element.disabled);
  return buttons.find((button) => button.matches("[data-card-sign]")) ?? buttons[0];
}

function say(panel, name) {
  part(panel, "status").textContent = name ? textFor(panel, name) : "";
  if (name) sayWrong(panel, "");
}

function sayWrong(panel, text) {
  part(panel, "error").textContent = text;
  const pin = part(panel, "pin");
  if (text) pin.setAttribute("aria-invalid", "true");
  else pin.removeAttribute("aria-invalid");
  if (text) part(panel, "status").textContent = "";
}

const showHelp = (panel, isShown) => (part(panel, "help").hidden = !isShown);

function setBusy(panel, submitter, isBusy) {
  panel.setAttribute("aria-busy", String(isBusy));
  part(panel, "pin").readOnly = isBusy;
  if (isBusy) submitter?.setAttribute("aria-disabled", "true");
  else submitter?.removeAttribute("aria-disabled");
}

/** Whether the browser has been told never to let this site reach the computer; browsers that know no such leave say no. */
async function isForbidden() {
  for (const name of PERMISSIONS) {
    const status = await navigator.permissions?.query({ name }).catch(() => null);
    if (status) return status.state === "denied";
  }
  return false;
}

/** Whether nothing can be read before the user has set something right at his computer; the PIN has not been used. */
const needsHelp = ({ reason, code }) => reason === "unreachable" || code === "Bridge40301";

/** What the user reads of an error, and what he does next is where the cursor goes. */
async function explain(panel, error) {
  const { reason, code = "", text = "", card, bound } = error;
  let words = "";
  if (reason === "unreachable") words = textFor(panel, (await isForbidden()) ? "Forbidden" : "Unreachable");
  else if (reason === "mismatch") words = textFor(panel, "Mismatch", { card, bound });
  else if (reason === "said") words = text;
  // How many tries are left only the program knows.
  else if (code === "Bridge40101") words = text;
  else if (reason === "refused") words = textFor(panel, code, { origin: location.origin }) || textFor(panel, "Unknown", { text, code });
  else words = textFor(panel, (reason ?? "fault").replace(/^./, (letter) => letter.toUpperCase())) || textFor(panel, "Fault");
  showHelp(panel, needsHelp(error));
  sayWrong(panel, words);
  (needsHelp(error) ? part(panel, "retry") : part(panel, "pin")).focus();
}

/** An error whose text the user reads as it is. */
const said = (text) => Object.assign(new Error(text), { reason: "said", text });

async function challengeFor(panel) {
  const { challengeUrl, purpose } = panel.dataset;
  const headers = { "X-CSRFToken": formOf(panel).elements.namedItem("csrfmiddlewaretoken")?.value ?? "", Accept: "application/json" };
  let response;
  let answer;
  try {
    const signal = AbortSignal.timeout(CHALLENGE_MS);
    response = await fetch(challengeUrl, { method: "POST", body: new URLSearchParams({ purpose }), headers, credentials: "same-origin", signal });
    answer = await response.json();
  } catch {
    throw said(textFor(panel, response?.status === 403 || response?.redirected ? "Expired" : "Challenge"));
  }
  if (!response.ok || typeof answer?.challenge !== "string") throw said(answer?.error || textFor(panel, "Challenge"));
  return answer.challenge;
}

/** Says how far it is; throws where nobody sees any more what would be signed: htmx has brought something else in its place. */
function stepOf(panel, step) {
  if (!panel.isConnected) throw new window.portal.cards.CardError("aborted");
  say(panel, step === "signing" ? "Signing" : "Reading");
  if (step === "signing") part(panel, "pin").value = "";
}

/** Has the card sign; gives the fields to be posted by their names. */
async function fieldsFrom(panel, bridge, pin) {
  const { signTexts, signChallenge } = window.portal.cards;
  const { purpose, textId, boundCard } = panel.dataset;
  const onStep = (step) => stepOf(panel, step);
  if (purpose) return signChallenge({ bridge, challenge: () => challengeFor(panel), pin, onStep });
  const text = document.getElementById(textId)?.textContent;
  if (!text) throw said(textFor(panel, "NoText"));
  const { certificate, signatures } = await signTexts({ bridge, texts: [text], pin, boundCard, onStep });
  return { certificate, signature: signatures[0] };
}

/** Fills the fields, submits, and takes them away again: a signature is good for one submit, and no draft keeps it. */
function submit(form, panel, submitter, fields) {
  const inputs = [...panel.querySelectorAll("[data-card-field]")];
  for (const input of inputs) {
    input.value = fields[input.name];
    input.disabled = false;
  }
  submitter?.removeAttribute("aria-disabled");
  signed = form;
  try {
    form.requestSubmit(submitter);
  } finally {
    signed = undefined;
    for (const input of inputs) {
      input.value = "";
      input.disabled = true;
    }
  }
}

function release(form) {
  const attempt = attempts.get(form);
  if (!attempt) return;
  attempts.delete(form);
  underWay.delete(attempt);
  clearTimeout(attempt.timer);
  attempt.bridge?.close();
  setBusy(attempt.panel, attempt.submitter, false);
}

async function attempt(form, panel, submitter) {
  const pin = part(panel, "pin").value.trim();
  interrupted.delete(panel);
  if (!pin) {
    say(panel, "");
    sayWrong(panel, textFor(panel, "Pin"));
    part(panel, "pin").focus();
    return;
  }
  const { CardBridge } = window.portal.cards;
  const bridge = new CardBridge(panel.dataset.bridge, { onWait: () => say(panel, "Waiting") });
  const running = { bridge, submitter, panel, form };
  attempts.set(form, running);
  underWay.add(running);
  setBusy(panel, submitter, true);
  say(panel, "Connecting");
  showHelp(panel, false);
  try {
    await bridge.connect();
    if (form.matches("[data-sign-many]")) {
      // Many texts with one PIN entry: declare-many.js sends each by itself, and the page stays.
      const { boundCard } = panel.dataset;
      await window.portal.signMany({ form, bridge, pin, boundCard, onStep: (step) => stepOf(panel, step) });
      release(form);
      say(panel, "");
      form.dispatchEvent(new CustomEvent("portal:signed", { bubbles: true }));
      return;
    }
    const fields = await fieldsFrom(panel, bridge, pin);
    if (!panel.isConnected || attempts.get(form) !== running) return;
    say(panel, "Submitting");
    running.timer = setTimeout(() => {
      release(form);
      say(panel, "");
    }, SUBMIT_MS);
    submit(form, panel, submitter, fields);
    bridge.close();
  } catch (error) {
    release(form);
    if (error.reason === "aborted") return;
    if (error.reason === undefined) console.error(error);
    if (needsHelp(error)) interrupted.set(panel, submitter);
    // The other card has another PIN.
    if (error.reason === "mismatch") part(panel, "pin").value = "";
    await explain(panel, error);
  }
}

/** Asks whether the program answers, without the card; gives whether it does. */
async function probe(panel) {
  const bridge = new window.portal.cards.CardBridge(panel.dataset.bridge, { onWait: () => say(panel, "Waiting") });
  say(panel, "Connecting");
  try {
    await bridge.connect();
    showHelp(panel, false);
    say(panel, "Ready");
    return true;
  } catch (error) {
    await explain(panel, error);
    return false;
  } finally {
    bridge.close();
  }
}

async function retry(panel) {
  const form = formOf(panel);
  if (attempts.has(form)) return;
  if (interrupted.has(panel) && part(panel, "pin").value) {
    form.requestSubmit(interrupted.get(panel));
    return;
  }
  if (await probe(panel)) part(panel, "pin").focus();
}

// Before htmx, submit-once.js and all others: what is not signed yet is no submit.
window.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    const panel = panelOf(form);
    if (!panel || form === signed) return;
    const isBusy = attempts.has(form);
    if (!isBusy && !needsCard(form, event.submitter)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!isBusy) attempt(form, panel, event.submitter);
  },
  true,
);

// Enter in the PIN field signs, in entry pages too, where it would go to the next field.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches?.("[data-card-pin]")) return;
    event.preventDefault();
    const form = event.target.form;
    if (!event.repeat && form) form.requestSubmit(signButton(form));
  },
  true,
);

document.addEventListener("input", (event) => {
  const panel = event.target.matches?.("[data-card-pin]") && event.target.closest("[data-card-panel]");
  if (panel && part(panel, "help").hidden) sayWrong(panel, "");
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-card-retry]");
  if (button) retry(button.closest("[data-card-panel]"));
});

document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt?.closest?.("form");
  const running = form && attempts.get(form);
  if (!running?.timer) return;
  release(form);
  say(running.panel, "");
});

// Neither a PIN nor a connection stays behind, in particular not where the browser keeps the page for the way back.
window.addEventListener("pagehide", () => {
  for (const { form } of [...underWay]) release(form);
  for (const panel of document.querySelectorAll("[data-card-panel]")) {
    part(panel, "pin").value = "";
    say(panel, "");
  }
});
