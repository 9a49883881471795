// One connection to a screen: asks for a grant, opens the websocket with it, and shows it with noVNC in `target`.
// The grant goes into the handshake's subprotocols: neither URLs nor logs ever hold it.

export const Close = { HYPERVISOR: 4000, KICKED: 4001, MOVED: 4002, NOT_ALLOWED: 4003, UNREACHABLE: 4004, REPLACED: 4005, TOO_MANY: 4006 };

// Resolves to {token, path, mode, viewers} or throws a Refusal: no screen now (409), no right (403, 404), or no answer.
// `replaces` is the session that the new connection takes the place of.
export async function requestGrant(url, csrfToken, { viewOnly = false, replaces = "", signal } = {}) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": csrfToken, Accept: "application/json" },
      body: new URLSearchParams({ ...(viewOnly && { mode: "view" }), ...(replaces && { replaces }) }),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, {});
  }
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  if (response.redirected) throw new Refusal(401, {});
  const answer = isJson ? await response.json() : {};
  if (!response.ok) throw new Refusal(response.status, answer);
  return answer;
}

export class Refusal extends Error {
  constructor(status, answer) {
    super(answer.reason ?? "");
    this.status = status;
    this.answer = answer;
  }
}

// Events: "connect", and "close" with {code, reason} once, whether it was connected or not.
export class Viewer extends EventTarget {
  constructor(RFB, target, grant) {
    super();
    this.target = target;
    this.mode = grant.mode;
    this.session = grant.session ?? "";
    this.wholeReason = "";
    this.connected = false;
    this.closing = false;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}${grant.path}`, ["binary", `grant.${grant.token}`]);
    // Text is for us: the reason of the close that follows, when it is longer than a close frame holds.
    this.socket.addEventListener("message", (event) => this.#heard(event));
    // Ours comes before noVNC's, which clears the screen.
    this.socket.addEventListener("close", (event) => this.#closed(event.code, this.wholeReason || event.reason));
    this.rfb = new RFB(target, this.socket, { shared: true });
    this.rfb.background = "transparent";
    this.rfb.viewOnly = grant.mode === "view";
    this.rfb.addEventListener("connect", () => {
      this.connected = true;
      this.dispatchEvent(new Event("connect"));
    });
    // A protocol error inside noVNC ends it without a code of ours.
    this.rfb.addEventListener("disconnect", () => this.#closed(1006, ""));
    this.rfb.addEventListener("securityfailure", ({ detail }) => this.#closed(Close.UNREACHABLE, detail.reason ?? ""));
  }

  get canvas() {
    return this.target.querySelector("canvas");
  }

  // Without an event: the one who calls knows.
  close() {
    if (this.closing) return;
    this.closing = true;
    this.rfb.disconnect();
    if (this.socket.readyState === WebSocket.CONNECTING) this.socket.close();
  }

  #heard(event) {
    if (typeof event.data !== "string") return;
    event.stopImmediatePropagation();
    try {
      this.wholeReason = String(JSON.parse(event.data).reason ?? "");
    } catch {
      this.wholeReason = "";
    }
  }

  #closed(code, reason) {
    if (this.closing) return;
    this.closing = true;
    this.dispatchEvent(new CustomEvent("close", { detail: { code, reason } }));
    queueMicrotask(() => this.rfb?.disconnect());
  }

  // Resolves when it is connected, rejects with {code, reason} when it will not be.
  ready(timeoutMs) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.close();
        reject({ code: Close.UNREACHABLE, reason: "" });
      }, timeoutMs);
      this.addEventListener("connect", () => { clearTimeout(timer); resolve(); }, { once: true });
      this.addEventListener("close", ({ detail }) => { clearTimeout(timer); reject(detail); }, { once: true });
    });
  }
}

// Whether the next try may succeed: the host is between two states, or the console proxy restarts. A screen that cannot be
// reached at first stays so; one that could be a moment ago comes back.
export function mayPass(error, follows) {
  if (error instanceof Refusal) return error.status === 0 || error.status >= 500;
  if (error.code === Close.UNREACHABLE) return follows;
  return error.code !== undefined && ![Close.KICKED, Close.NOT_ALLOWED, Close.TOO_MANY].includes(error.code);
}

export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
