// The program on the user's computer that reads his IC card: ours (card_bridge/) or the official control. Wire format: domain.md §2.
// Answers belong to calls by the method's name alone, so a connection has one call under way at a time, and what comes too late could
// pass for the answer to a later one. Hence a CardBridge is one connection: after anything but a plain refusal it is over.

const MARK = "BLOCKTXT";
const HEADER_LENGTH = 128;
// As the official page library counts: a character beyond Latin-1 is three bytes. A longer call goes in blocks.
const BLOCK_BYTES = 120 * 1024 - 6;
// The official page library gives up after three wrong blocks for each block of the text.
const TRIES_PER_BLOCK = 3;
const MOST_INCOMING = 16 * 1024 * 1024;
const HEADER = /^BLOCKTXT([0-9a-f]{4})([0-9a-f]{4})(\d{16})(\d{8})(\d{4})([0-9a-z-]{36})(\d{4})/i;

const TIMES = {
  // The browser may be asking the user whether the site may reach this computer, so this is a person's time.
  connect: 120_000,
  // After so long the user is told what may be keeping it.
  wait: 3_000,
  // The greeting; who sends none is asked all the same.
  greeting: 1_500,
  read: 60_000,
  // Longer than the bridge itself waits for other pages' calls and for the card (card_bridge/worker.py).
  sign: 180_000,
};

const CRC = Uint16Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xa001 : value >>> 1;
  return value;
});

/** CRC-16/MODBUS over the low byte of each UTF-16 unit, low register byte first: four upper-case hexadecimal digits. */
function checksum(text) {
  let register = 0xffff;
  for (let at = 0; at < text.length; at++) register = (register >>> 8) ^ CRC[(register ^ text.charCodeAt(at)) & 0xff];
  return (((register & 0xff) << 8) | (register >>> 8)).toString(16).toUpperCase().padStart(4, "0");
}

/** A text cut into blocks, never between the two halves of a surrogate pair: alone they would not survive the way. */
function split(text) {
  const blocks = [];
  let begin = 0;
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const start = at;
    let size = text.charCodeAt(at) > 0xff ? 3 : 1;
    if (text.codePointAt(at) > 0xffff) {
      size = 6;
      at++;
    }
    if (bytes + size > BLOCK_BYTES) {
      blocks.push(text.slice(begin, start));
      begin = start;
      bytes = 0;
    }
    bytes += size;
  }
  return [...blocks, text.slice(begin)];
}

/** The 128 characters in front of a block. */
function header({ whole, block, total, length, count, group, index }) {
  const number = (value, digits) => String(value).padStart(digits, "0");
  return `${MARK}${whole}${block}${number(total, 16)}${number(length, 8)}${number(count, 4)}${group}${number(index, 4)}`.padEnd(HEADER_LENGTH, "0");
}

/** What a header says; null when it is cut off or none. */
function readHeader(frame) {
  const found = frame.length >= HEADER_LENGTH && HEADER.exec(frame);
  if (!found) return null;
  const [, whole, block, total, length, count, group, index] = found;
  return { whole: whole.toUpperCase(), block: block.toUpperCase(), total: +total, length: +length, count: +count, group, index: +index };
}

// crypto.randomUUID is missing where the portal is reached by plain HTTP.
function newGroup() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const nextBlock = (group, next, { result = true, finish = false } = {}) =>
  JSON.stringify({ _method: "_nextBlock", _args: { Result: result, Data: [{ id: next, guid: group, next, finish }], Error: [] } });

/**
 * What went wrong. `reason`: refused (the program says no: `text` is its text, `code` as in Custom50200), unreachable (nothing answers),
 * closed, timeout, unreadable (an answer that is none), mismatch (another card: `card`, `bound`), aborted.
 */
class CardError extends Error {
  constructor(reason, details = {}) {
    super(reason);
    Object.assign(this, { name: "CardError", reason, text: "", code: "" }, details);
  }
}

/** The refusal in an answer's `Error`: a text and a code beginning with "Err:", in whatever order; either may be missing. */
function refusal(errors) {
  const texts = [errors].flat().filter((one) => typeof one === "string");
  const code = texts.find((one) => one.startsWith("Err:")) ?? "";
  return new CardError("refused", { text: texts.find((one) => one !== code) ?? "", code: code.slice(4) });
}

/** A long text on its way to the program, which asks for one block after the other. */
class Outgoing {
  constructor(text) {
    this.blocks = split(text);
    this.group = newGroup();
    this.whole = checksum(text);
    this.total = text.length;
    this.wrong = 0;
  }

  frame(index) {
    const { blocks, group, whole, total } = this;
    const block = blocks[index];
    return header({ whole, block: checksum(block), total, length: block.length, count: blocks.length, group, index }) + block;
  }
}

/** A long answer on its way to us. */
class Incoming {
  constructor(first) {
    this.first = first;
    this.blocks = [];
    this.held = 0;
    this.wrong = 0;
  }

  /** Take a block: gives the message to send back, and the text once it is whole. Throws CardError when it is wrong too often. */
  take(head, block) {
    const { first, blocks } = this;
    const isOfText = ["whole", "total", "count", "group"].every((name) => head[name] === first[name]);
    const isWhole = head.length === block.length && head.block === checksum(block) && this.held + block.length <= first.total;
    if (!isOfText || !isWhole || head.index !== blocks.length) return this.again();
    blocks.push(block);
    this.held += block.length;
    if (blocks.length < first.count) return { reply: nextBlock(first.group, blocks.length) };
    const text = blocks.join("");
    if (text.length === first.total && checksum(text) === first.whole) {
      return { reply: nextBlock(first.group, first.count, { finish: true }), text };
    }
    this.blocks = [];
    this.held = 0;
    return this.again();
  }

  again() {
    this.wrong++;
    if (this.wrong > TRIES_PER_BLOCK * this.first.count) throw new CardError("unreadable");
    return { reply: nextBlock(this.first.group, this.blocks.length, { result: false }) };
  }
}

/** One connection to the program. */
class CardBridge {
  #url;
  #times;
  #onWait;
  #socket;
  #ready;
  #over;
  #settle = {};
  #queue = [];
  #current;
  #outgoing;
  #incoming;
  #lastId = 0;
  #timers = new Set();

  /** `times`: other times than those above, in milliseconds. `onWait` is called when the connection takes long. */
  constructor(url, { times = {}, onWait = () => {} } = {}) {
    this.#url = url;
    this.#times = { ...TIMES, ...times };
    this.#onWait = onWait;
  }

  /** Connects, once. Throws CardError: unreachable, timeout, unreadable, or refused when the greeting says so. */
  connect() {
    this.#ready ??= new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      if (this.#over) {
        reject(this.#over);
        return;
      }
      try {
        this.#socket = new WebSocket(this.#url);
      } catch {
        this.#fail(new CardError("unreachable"));
        return;
      }
      this.#after(this.#times.wait, () => this.#socket.readyState === WebSocket.CONNECTING && this.#onWait());
      this.#after(this.#times.connect, () => this.#socket.readyState === WebSocket.CONNECTING && this.#fail(new CardError("unreachable")));
      let wasOpen = false;
      this.#socket.addEventListener("open", () => {
        wasOpen = true;
        this.#after(this.#times.greeting, resolve);
      });
      this.#socket.addEventListener("close", () => this.#fail(new CardError(wasOpen ? "closed" : "unreachable")));
      this.#socket.addEventListener("message", (event) => this.#take(event.data));
    });
    return this.#ready;
  }

  /**
   * Calls a method and gives `Data` of its answer. One at a time, in their order. Throws CardError.
   * `blocks` asks our own bridge for a long answer in blocks; the official control knows no such member, so nothing here uses it unasked.
   */
  async call(method, args = {}, { ms = this.#times.read, blocks = false } = {}) {
    await this.connect();
    return new Promise((resolve, reject) => {
      if (this.#over) {
        reject(this.#over);
        return;
      }
      this.#queue.push({ method, args, ms, blocks, resolve, reject });
      this.#next();
    });
  }

  /** Ends the connection; calls that wait fail as aborted. */
  close() {
    this.#fail(new CardError("aborted"));
  }

  // Methods, by what they give. A PIN goes along with the call that needs it and is not kept.

  version() {
    return this.#text("ver");
  }

  cardNumber() {
    return this.#text("cus-sec_SpcGetCardID");
  }

  async certificate() {
    const text = await this.#text("cus-sec_SpcGetSignCertAsPEM");
    return text.replace(/-----[^-]*-----|\s+/g, "");
  }

  signText(text, pin) {
    return this.#text("cus-sec_SpcSignDataAsPEM", { inData: text, passwd: pin }, this.#times.sign);
  }

  signRandom(random, pin) {
    return this.#text("cus-sec_SpcSignRandom", { random, passwd: pin }, this.#times.sign);
  }

  async #text(method, args, ms) {
    const [value] = await this.call(method, args, { ms });
    if (typeof value !== "string" || !value.trim()) throw new CardError("unreadable");
    return value.trim();
  }

  #after(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #fail(error) {
    if (this.#over) return;
    this.#over = error;
    for (const timer of this.#timers) clearTimeout(timer);
    // Who only closes has nobody waiting for the connection.
    this.#ready?.catch(() => {});
    this.#settle.reject?.(error);
    for (const { reject } of [this.#current, ...this.#queue].filter(Boolean)) reject(error);
    this.#current = this.#outgoing = this.#incoming = undefined;
    this.#queue = [];
    this.#socket?.close();
  }

  #next() {
    if (this.#current || this.#over) return;
    const call = (this.#current = this.#queue.shift());
    if (!call) return;
    const { method, args, blocks } = call;
    const text = JSON.stringify({ _method: method, _id: ++this.#lastId, ...(blocks && { _blocks: true }), args });
    call.args = undefined;
    call.timer = this.#after(call.ms, () => this.#fail(new CardError("timeout")));
    const outgoing = new Outgoing(text);
    if (outgoing.blocks.length === 1) {
      this.#socket.send(text);
      return;
    }
    this.#outgoing = outgoing;
    this.#socket.send(outgoing.frame(0));
  }

  #take(data) {
    if (this.#over) return;
    try {
      if (typeof data !== "string") throw new CardError("unreadable");
      if (data.startsWith(MARK)) this.#takeBlock(data);
      else this.#takeText(data);
    } catch (error) {
      this.#fail(error instanceof CardError ? error : new CardError("unreadable"));
    }
  }

  #takeBlock(frame) {
    if (!this.#current) return;
    const head = readHeader(frame);
    if (!head || head.total > MOST_INCOMING || !head.count) throw new CardError("unreadable");
    if (this.#incoming?.first.group !== head.group) {
      if (head.index) return;
      this.#incoming = new Incoming(head);
    }
    const { reply, text } = this.#incoming.take(head, frame.slice(HEADER_LENGTH));
    this.#socket.send(reply);
    if (text === undefined) return;
    this.#incoming = undefined;
    this.#takeText(text);
  }

  #takeText(text) {
    const message = JSON.parse(text);
    if (typeof message !== "object" || message === null || Array.isArray(message)) throw new CardError("unreadable");
    const { _method: method, _args: args } = message;
    if (method === "open") this.#greeted(args);
    else if (method === "_nextBlock") this.#askedFor(args);
    else this.#answered(method, args);
  }

  #greeted(args) {
    if (args?.Result === false) throw refusal(args.Error);
    this.#settle.resolve();
  }

  #askedFor(args) {
    const outgoing = this.#outgoing;
    const asked = args?.Data?.[0];
    if (!outgoing || !asked || (asked.guid && String(asked.guid).toLowerCase() !== outgoing.group)) return;
    if (asked.finish) {
      this.#outgoing = undefined;
      if (args.Result === false) throw refusal(args.Error);
      return;
    }
    if (args.Result === false) outgoing.wrong++;
    const index = Number(asked.next);
    if (!(index in outgoing.blocks) || outgoing.wrong > TRIES_PER_BLOCK * outgoing.blocks.length) throw new CardError("unreadable");
    this.#socket.send(outgoing.frame(index));
  }

  #answered(method, args) {
    const call = this.#current;
    // A program that could not read the call may not know its name either.
    const isOfNobody = !method && args?.Result === false;
    if (!call || (method !== call.method && !isOfNobody)) return;
    if (typeof args?.Result !== "boolean" || (args.Result && !Array.isArray(args.Data))) throw new CardError("unreadable");
    clearTimeout(call.timer);
    this.#timers.delete(call.timer);
    this.#current = this.#outgoing = this.#incoming = undefined;
    if (args.Result) call.resolve(args.Data);
    else call.reject(refusal(args.Error));
    this.#next();
  }
}

/**
 * Signs texts, in their order, with the card in the reader; gives `cardNo`, `certificate` and `signatures`. Before the PIN is used the card's
 * number is compared with `boundCard`, where that is given. `onStep` is told "reading" and "signing" beforehand, and may throw to stop it.
 */
async function signTexts({ bridge, texts, pin, boundCard = "", onStep = () => {} }) {
  onStep("reading");
  const cardNo = await bridge.cardNumber();
  if (boundCard && cardNo !== boundCard) throw new CardError("mismatch", { card: cardNo, bound: boundCard });
  const certificate = await bridge.certificate();
  onStep("signing");
  const signatures = [];
  for (const text of texts) signatures.push(await bridge.signText(text, pin));
  return { cardNo, certificate, signatures };
}

/** Signs a challenge, which `challenge()` gets from the portal once the card is there; gives `certificate`, `challenge` and `signature`. */
async function signChallenge({ bridge, challenge, pin, onStep = () => {} }) {
  onStep("reading");
  const certificate = await bridge.certificate();
  const random = await challenge();
  onStep("signing");
  return { certificate, challenge: random, signature: await bridge.signRandom(random, pin) };
}

window.portal ??= {};
window.portal.cards = { CardBridge, CardError, checksum, split, signTexts, signChallenge };
