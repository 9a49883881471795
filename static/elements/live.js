// The page's one websocket: what changed goes at once to the elements that asked for it, and to everybody as an event.
//
//   follow("domain:<uuid>", element)   element.applyChange(fields, change) now and whenever that object changes
//                                      "operations-of:<uuid>" hears of the operations on a machine
//   followUsage("<uuid>" | "h<id>", element)   element.applyUsage(epochSeconds, [cpu, memory, reads, writes, in, out])
// Both return a function that ends it. Events on document: vp:change, vp:usage, vp:resync, vp:rights, vp:connection, vp:trouble, vp:freshness.

const HEARTBEAT_MS = 10_000;
const ANSWER_MS = 6_000;
const REORDERING_MS = 500;
const RECENT_MS = 10_000;
const RETRY_MS = [200, 400, 800, 1500, 2500];
// Within this time of a page's arrival its elements' modules are loaded.
const ARRIVING_MS = 5000;

const followers = new Map();
const usageFollowers = new Map();
const recent = new Map(); // key -> {fields, at}: given to elements that a swap brings in after the message
let socket = null;
let failures = 0;
let lastSequence = null;
const ahead = new Set();
let gapTimer = 0;
let watchTimer = 0;
let heartbeatTimer = 0;
let answerTimer = 0;
let arrivedAt = performance.now();

export function follow(key, element) {
  add(followers, key, element);
  const known = recent.get(key);
  if (known && performance.now() - known.at < RECENT_MS) element.applyChange(known.fields, { op: "update", id: key.slice(key.indexOf(":") + 1), fields: known.fields });
  return () => remove(followers, key, element);
}

export function followUsage(key, element) {
  add(usageFollowers, key, element);
  watchSoon();
  return () => {
    remove(usageFollowers, key, element);
    watchSoon();
  };
}

// The machine that an element is about: its own attribute, or its row's.
export function domainOf(element) {
  return element.getAttribute("domain") ?? element.closest("[data-uuid]")?.dataset.uuid;
}

export function start() {
  if (!socket) connect();
}

function add(map, key, element) {
  const elements = map.get(key);
  if (elements) elements.add(element);
  else map.set(key, new Set([element]));
}

function remove(map, key, element) {
  const elements = map.get(key);
  if (!elements) return;
  elements.delete(element);
  if (!elements.size) map.delete(key);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}${document.body.dataset.live}`);
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => closed(event.code);
}

const receivers = {
  changes: (message) => {
    for (const change of message.changes) apply(change);
    count(message.seq);
  },
  usage: (message) => {
    tell(usageFollowers.get(`h${message.hypervisor}`), message.at, message.host);
    for (const [uuid, values] of Object.entries(message.domains)) tell(usageFollowers.get(uuid), message.at, values);
    document.dispatchEvent(new CustomEvent("vp:usage", { detail: message }));
  },
  hello: (message) => {
    failures = 0;
    const missed = lastSequence === null ? startedBehind(message.seq) : lastSequence !== message.seq;
    lastSequence = message.seq;
    ahead.clear();
    connection(true);
    trouble(message);
    receivers.freshness({ stale: {}, silent: {} });
    sendWatch();
    heartbeat();
    if (missed) resync();
  },
  freshness: (message) => document.dispatchEvent(new CustomEvent("vp:freshness", { detail: message })),
  rights: () => document.dispatchEvent(new CustomEvent("vp:rights")),
  pong: (message) => {
    clearTimeout(answerTimer);
    trouble(message);
    compare(message.seq);
  },
};

function receive(message) {
  receivers[message.type]?.(message);
}

function startedBehind(sequence) {
  const rendered = renderedSequence();
  return rendered !== null && rendered !== sequence;
}

// Something was told between the page's rendering and the coming to life of an element that would have heard it:
// elements ask this when they are connected, and look anew.
export function isBehind() {
  const rendered = renderedSequence();
  return rendered !== null && lastSequence !== null && rendered < lastSequence && performance.now() - arrivedAt < ARRIVING_MS;
}

function renderedSequence() {
  const rendered = document.getElementById("main")?.dataset.seq;
  return rendered === undefined || rendered === "" ? null : Number(rendered);
}

function apply(change) {
  const key = `${change.what}:${change.id}`;
  remember(key, change);
  const elements = followers.get(key);
  if (elements) for (const element of [...elements]) element.applyChange(change.fields, change);
  const onDomain = change.what === "operation" && followers.get(`operations-of:${change.fields.domain}`);
  if (onDomain) for (const element of [...onDomain]) element.applyChange(change.fields, change);
  document.dispatchEvent(new CustomEvent("vp:change", { detail: change }));
}

function remember(key, change) {
  const now = performance.now();
  const known = recent.get(key);
  const fields = known && now - known.at < RECENT_MS ? { ...known.fields, ...change.fields } : change.fields;
  recent.delete(key); // to the end: the map is in order of age
  recent.set(key, { fields, at: now });
  for (const [oldest, { at }] of recent) {
    if (now - at < RECENT_MS) break;
    recent.delete(oldest);
  }
}

function tell(elements, at, values) {
  if (elements && values?.length) for (const element of [...elements]) element.applyUsage(at, values);
}

// Messages may overtake one another by a little; a number that stays missing means that one was lost.
function count(sequence) {
  if (lastSequence === null) {
    lastSequence = sequence;
    return;
  }
  if (sequence <= lastSequence) {
    countedAnew(sequence);
    return;
  }
  ahead.add(sequence);
  while (ahead.delete(lastSequence + 1)) lastSequence += 1;
  if (!ahead.size) {
    clearTimeout(gapTimer);
    gapTimer = 0;
  } else if (!gapTimer) {
    gapTimer = setTimeout(gapStays, REORDERING_MS);
  }
}

// All up to lastSequence had come: Redis forgot its numbers, and what was sent while it was away is lost.
function countedAnew(sequence) {
  clearTimeout(gapTimer);
  gapTimer = 0;
  ahead.clear();
  lastSequence = sequence;
  resync();
}

// With each heartbeat: has something been sent that never came? Without Redis nothing comes; then the page looks itself.
function compare(sequence) {
  if (sequence === null) resync();
  else if (sequence < lastSequence) countedAnew(sequence);
  else if (sequence > lastSequence) {
    setTimeout(() => {
      if (lastSequence < sequence) countedAnew(sequence);
    }, REORDERING_MS);
  }
}

function gapStays() {
  gapTimer = 0;
  lastSequence = Math.max(lastSequence, ...ahead);
  ahead.clear();
  resync();
}

export function resync() {
  recent.clear();
  document.dispatchEvent(new CustomEvent("vp:resync"));
}

function watchSoon() {
  clearTimeout(watchTimer);
  watchTimer = setTimeout(sendWatch, 60);
}

function sendWatch() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const keys = [...usageFollowers.keys()];
  const hypervisors = keys.filter((key) => /^h\d+$/.test(key)).map((key) => Number(key.slice(1)));
  const domains = keys.filter((key) => !/^h\d+$/.test(key));
  socket.send(JSON.stringify({ watch: domains, watch_hypervisors: hypervisors }));
}

function heartbeat() {
  clearInterval(heartbeatTimer);
  heartbeatTimer = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send('{"ping":1}');
    clearTimeout(answerTimer);
    answerTimer = setTimeout(() => abandon(socket), ANSWER_MS);
  }, HEARTBEAT_MS);
}

// A dead link may take minutes to close; do not wait for it.
function abandon(dead) {
  dead.onclose = null;
  dead.onmessage = null;
  dead.close();
  closed(1006);
}

function closed(code) {
  clearInterval(heartbeatTimer);
  clearTimeout(answerTimer);
  connection(false);
  if (code === 4401) {
    location.reload();
    return;
  }
  const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2);
  failures += 1;
  if (failures % 5 === 0) leaveIfSignedOut();
  setTimeout(connect, wait);
}

async function leaveIfSignedOut() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    if (answer.type === "opaqueredirect") location.reload();
  } catch {
    // No server either: the retries go on.
  }
}

function connection(connected) {
  document.dispatchEvent(new CustomEvent("vp:connection", { detail: { connected } }));
}

// What is wrong with the server's database; nothing, most of the time.
function trouble(message) {
  document.dispatchEvent(new CustomEvent("vp:trouble", { detail: { text: message.trouble ?? "" } }));
}

// A migration changes whose samples are needed; the server knows where the machine is now.
document.addEventListener("vp:change", ({ detail }) => {
  if (detail.what === "domain" && "hypervisor" in detail.fields && usageFollowers.has(detail.id)) watchSoon();
});
// A page that comes back from the background looks at once whether its socket still lives.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && socket?.readyState === WebSocket.OPEN) socket.send('{"ping":1}');
});

// A page that htmx brought in was rendered while the socket went on.
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.target?.id !== "main") return;
  arrivedAt = performance.now();
  if (isBehind()) resync();
});

// Not before the other modules have run: what comes first must find them listening.
if (document.body?.dataset.live) {
  if (document.readyState === "complete") start();
  else document.addEventListener("DOMContentLoaded", start, { once: true });
}
