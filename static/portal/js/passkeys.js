// Passkeys: allauth's scripts talk to the browser; here their buttons are shown where they can work, and what went wrong is said in words.

const trouble = document.querySelector("[data-passkey-trouble]");

function say(reason) {
  if (!trouble) return;
  trouble.textContent = trouble.dataset[`text${reason}`];
  trouble.hidden = false;
}

// A passkey belongs to a name: an address of numbers can have none.
const isNumber = /^(\d+\.){3}\d+$|^\[/.test(location.hostname);
const problem = isNumber || !window.isSecureContext ? "Address" : window.PublicKeyCredential ? "" : "Unsupported";

for (const button of document.querySelectorAll("[data-passkey]")) {
  if (!problem) {
    button.hidden = false;
  } else if (button.dataset.passkey === "required") {
    say(problem);
  }
}

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const name = event.detail?.exception?.name ?? "";
  say(name === "NotAllowedError" || name === "AbortError" ? "Cancelled" : name === "InvalidStateError" ? "Known" : "Failed");
});
