// Registration: the organisation code follows from the credit code, and 货物申报 opens the fields for its numbers.
// The server does both by itself; without this file those fields are always there.

const creditCode = document.querySelector('[name="credit_code"]');
const organisationCode = document.querySelector('[name="organisation_code"]');

if (creditCode && organisationCode) {
  // What stands there already was typed by somebody, or filled in by the server for this very code.
  let filledIn = organisationCode.value;
  creditCode.addEventListener("input", () => {
    if (organisationCode.value && organisationCode.value !== filledIn) return;
    const code = creditCode.value.normalize("NFKC").replace(/[\s-]/g, "").toUpperCase();
    filledIn = code.length === 18 ? code.slice(8, 17) : "";
    organisationCode.value = filledIn;
  });
}

const goodsDeclaration = document.querySelector('[name="services"][value="goods_declaration"]');

function showNumbers() {
  for (const frame of document.querySelectorAll("[data-for-goods-declaration]")) frame.hidden = !goodsDeclaration.checked;
}

if (goodsDeclaration) {
  goodsDeclaration.addEventListener("change", showNumbers);
  window.addEventListener("pageshow", showNumbers);
  showNumbers();
}
