// <vp-upload data-storage-pool data-purpose data-accept>: files go into volumes, see templates/storage/upload.html.
// Each is an operation, too; the bytes go by the tus protocol to the transfer process, which asks the host how far it is.
// So a cut, a reload or a restart of anything costs nothing but the file being chosen again after a reload.

import { bytes, duration, rate } from "./units.js";
import { visible } from "./words.js";

// A request carries so much. A cut costs nothing (the host says what it has), but a proxy before ours may buffer a request.
const CHUNK_BYTES = 256 * 1024 * 1024;
const AT_ONCE = 2;
const RETRY_MS = [0, 500, 1000, 2000, 3000, ...Array(5000).fill(4000)];
const LOOK_MS = 700;
const SPEED_MS = 5000;
// The offset is not where we are (409), somebody else sends or the volume is being made (423): it passes.
const PASSING = new Set([0, 409, 423]);

// Uploads go on while one looks at other pages of ours: they belong to the storage pool, not to the element that shows them.
const queues = new Map();

class Queue {
  #rows = new Map(); // by name
  owner = null;

  constructor(storagePool) {
    this.storagePool = storagePool;
    window.addEventListener("beforeunload", (event) => { if (this.#isBusy) event.preventDefault(); });
    window.addEventListener("online", () => this.#rows.forEach((row) => row.wake()));
  }

  // An element that shows them; the last one does.
  attach(owner) {
    this.owner = owner;
    for (const row of this.#rows.values()) owner.list.append(row.element);
    this.#findUnfinished();
  }

  add(files, expected) {
    for (const file of files) {
      this.#rows.get(file.name)?.remove();
      const row = new Row(this, file.name, file.size);
      this.#rows.set(file.name, row);
      row.take(file, expected);
    }
    this.next();
  }

  // Begin as many as may go at once.
  next() {
    const rows = [...this.#rows.values()];
    const free = AT_ONCE - rows.filter((row) => row.isActive).length;
    rows.filter((row) => row.isWaiting).slice(0, Math.max(0, free)).forEach((row) => row.begin());
  }

  forget(row) {
    if (this.#rows.get(row.name) === row) this.#rows.delete(row.name);
    this.next();
  }

  get #isBusy() {
    return [...this.#rows.values()].some((row) => row.isActive || row.isWaiting);
  }

  // What was under way when the browser left.
  async #findUnfinished() {
    const answer = await ask(`/storage/${this.storagePool}/uploads/`).catch(() => null);
    for (const upload of answer?.uploads ?? []) {
      if (this.#rows.has(upload.name)) continue;
      const row = new Row(this, upload.name, upload.length_bytes);
      this.#rows.set(upload.name, row);
      row.showUnfinished(upload);
    }
  }
}

class VpUpload extends HTMLElement {
  connectedCallback() {
    this.end = new AbortController();
    const { signal } = this.end;
    this.list = this.querySelector(".vp-uploads");
    const input = this.querySelector("input[type=file]");
    input.addEventListener("change", () => { this.add([...input.files]); input.value = ""; }, { signal });
    for (const kind of ["dragenter", "dragover"]) this.addEventListener(kind, (event) => this.#over(event), { signal });
    for (const kind of ["dragleave", "drop"]) this.addEventListener(kind, () => this.classList.remove("is-over"), { signal });
    this.addEventListener("drop", (event) => this.#dropped(event), { signal });
    this.#attach();
  }

  disconnectedCallback() {
    this.end.abort();
  }

  static observedAttributes = ["data-storage-pool"];

  attributeChangedCallback(_name, before) {
    if (this.isConnected && before !== null) this.#attach();
  }

  words(name) {
    return this.dataset[`word${name[0].toUpperCase()}${name.slice(1)}`] ?? "";
  }

  add(files) {
    const field = this.querySelector(".vp-upload-sha256");
    const expected = files.length === 1 ? field.value.trim() : "";
    if (expected) field.value = "";
    this.#queue.add(files, expected);
  }

  get #queue() {
    const storagePool = this.dataset.storagePool;
    if (!queues.has(storagePool)) queues.set(storagePool, new Queue(storagePool));
    return queues.get(storagePool);
  }

  #attach() {
    this.list.replaceChildren();
    if (this.dataset.storagePool) this.#queue.attach(this);
  }

  #over(event) {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    this.classList.add("is-over");
  }

  #dropped(event) {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    this.add([...event.dataTransfer.files]);
  }
}

class Row {
  #queue;
  #file = null;
  #expected = "";
  #upload = null; // tus's
  #token = "";
  #state = "waiting";
  #marks = [];
  #timer = 0;

  constructor(queue, name, size) {
    this.#queue = queue;
    const owner = queue.owner;
    this.name = name;
    this.size = size;
    this.element = owner.querySelector("template").content.firstElementChild.cloneNode(true);
    this.element.querySelector("bdi").textContent = visible(name);
    this.bar = this.element.querySelector("progress");
    this.bar.setAttribute("aria-label", visible(name));
    for (const button of this.element.querySelectorAll("button")) {
      button.addEventListener("click", () => this[button.dataset.act]());
    }
    owner.list.append(this.element);
    this.#show("waiting");
  }

  #words(name) {
    return this.#queue.owner.words(name);
  }

  get isWaiting() {
    return this.#state === "waiting" && this.#file !== null;
  }

  get isActive() {
    return ["uploading", "retrying"].includes(this.#state);
  }

  take(file, expected) {
    this.#file = file;
    this.#expected = expected;
  }

  async begin() {
    this.#show("uploading");
    const form = new URLSearchParams({
      name: this.name,
      length: this.size,
      sha256: this.#expected,
      purpose: this.#queue.owner.dataset.purpose,
      fingerprint: `${this.size}-${this.#file.lastModified}`,
    });
    try {
      const told = await ask(`/storage/${this.#queue.storagePool}/uploads/`, { method: "POST", body: form });
      this.#token = told.token;
      // Cancelled or paused while we asked.
      if (this.isActive) this.#send(told.url);
    } catch (error) {
      this.#fail(error.signedOut ? this.#words("signedOut") : error.reason || this.#words("unanswered"));
    }
  }

  #send(url) {
    this.#marks = [];
    this.#upload = new window.tus.Upload(this.#file, {
      uploadUrl: url,
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_MS,
      storeFingerprintForResuming: false,
      removeFingerprintOnSuccess: false,
      onProgress: (sent) => this.#showProgress(sent),
      onSuccess: () => this.#watch(),
      onError: () => this.#watch(),
      onShouldRetry: (error) => this.#mayRetry(error),
    });
    this.#upload.start();
  }

  #mayRetry(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    const passes = PASSING.has(status) || status >= 500;
    if (passes && status !== 409) this.#show("retrying");
    return passes;
  }

  #showProgress(sent) {
    const now = performance.now();
    this.#marks.push([now, sent]);
    while (this.#marks.length > 2 && now - this.#marks[0][0] > SPEED_MS) this.#marks.shift();
    const [at, before] = this.#marks[0];
    const speed = now > at ? Math.max(0, sent - before) / ((now - at) / 1000) : 0;
    this.#show("uploading");
    this.bar.value = (100 * sent) / this.size;
    const parts = [`${bytes(sent)} / ${bytes(this.size)}`];
    if (speed > 0) parts.push(rate(speed), duration((this.size - sent) / speed));
    this.#say(parts.join(" · "));
  }

  // Sent, or ended by the server: what has become of it, its own record says.
  async #watch() {
    this.#upload = null;
    const told = await ask(`/storage/uploads/${this.#token}/`).catch((error) => error);
    if (told.signedOut) return this.#fail(this.#words("signedOut"));
    if (["failed", "discarded"].includes(told.state)) return this.#fail(told.problem);
    if (["done", "mismatched"].includes(told.state) && told.volume !== null) return this.#finish(told);
    this.#show("checking");
    this.#timer = setTimeout(() => this.#watch(), LOOK_MS);
  }

  #finish(told) {
    this.bar.value = 100;
    const digest = this.element.querySelector(".vp-upload-digest");
    digest.textContent = `SHA-256 ${told.sha256}`;
    digest.hidden = false;
    if (told.state === "mismatched") this.#fail(told.problem);
    else this.#show("done", told.sha256_expected ? this.#words("good") : "");
    const detail = { volume: told.volume, name: told.name, state: told.state };
    this.#queue.owner.dispatchEvent(new CustomEvent("vp-uploaded", { bubbles: true, detail }));
    this.#queue.next();
  }

  #fail(reason) {
    this.#show("failed");
    const problem = this.element.querySelector(".vp-upload-problem");
    problem.textContent = reason;
    problem.hidden = false;
    this.#queue.next();
  }

  showUnfinished(upload) {
    this.#token = upload.token;
    this.bar.value = (100 * upload.received_bytes) / upload.length_bytes;
    if (["checking", "received"].includes(upload.state)) this.#watch();
    else this.#show("choose", `${bytes(upload.received_bytes)} / ${bytes(upload.length_bytes)}`);
  }

  pause() {
    this.#upload?.abort();
    this.#show("paused", this.element.querySelector(".vp-upload-words").textContent.split(" · ")[0]);
    this.#queue.next();
  }

  resume() {
    this.#show("waiting");
    this.#queue.next();
  }

  // The network is back: do not wait for the next try.
  wake() {
    if (this.#state !== "retrying" || !this.#upload) return;
    const upload = this.#upload;
    upload.abort().then(() => { if (this.isActive && this.#upload === upload) upload.start(); });
  }

  async cancel() {
    const isOver = ["done", "failed"].includes(this.#state);
    this.stop();
    if (!isOver && this.#token) {
      this.#show("waiting");
      const headers = { "Tus-Resumable": "1.0.0" };
      await fetch(`/transfer/uploads/${this.#token}`, { method: "DELETE", headers }).catch(() => null);
    }
    this.remove();
    this.#queue.forget(this);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#upload?.abort();
    this.#upload = null;
    this.#file = null;
  }

  remove() {
    this.stop();
    this.element.remove();
  }

  #show(state, words = "") {
    if (state === this.#state && !words) return;
    this.#state = state;
    this.element.dataset.state = state;
    const isOver = ["done", "failed"].includes(state);
    this.#button("pause", ["uploading", "retrying"].includes(state));
    this.#button("resume", state === "paused");
    this.#button("cancel", state !== "checking", this.#words(isOver ? "close" : "cancel"));
    const label = this.#words(state);
    this.#say([label, words].filter(Boolean).join(" · "));
  }

  #say(text) {
    this.element.querySelector(".vp-upload-words").textContent = text;
  }

  #button(act, isShown, label = this.#words(act)) {
    const button = this.element.querySelector(`[data-act=${act}]`);
    button.hidden = !isShown;
    button.title = label;
    button.querySelector("span").textContent = `${label}: ${visible(this.name)}`;
  }
}

// JSON, or an error with `reason` (the server's, for people) or `signedOut`.
async function ask(url, { method = "GET", body, signal } = {}) {
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1]
    ?? JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"];
  const response = await fetch(url, { method, body, signal, headers: { "X-CSRFToken": token, Accept: "application/json" } });
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : {};
  if (response.redirected) throw Object.assign(new Error("signed out"), { signedOut: true });
  if (!response.ok || !isJson) throw Object.assign(new Error(`${response.status}`), { reason: answer.reason ?? "" });
  return answer;
}

customElements.define("vp-upload", VpUpload);
