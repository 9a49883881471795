// What machines used lately, asked for once for all elements that want it within a moment: after the first paint.

const KEEP_MS = 2000;
const AT_ONCE = 100;

const answers = new Map();
let wanted = [];

// Resolves to {at, cpu: [percent, oldest first], latest: [cpu, memoryKib, reads, writes, in, out]}; null when unknown.
export function latestUsage(uuid) {
  const known = answers.get(uuid);
  if (known) return known;
  const answer = new Promise((resolve) => {
    if (!wanted.length) requestAnimationFrame(() => setTimeout(ask, 0));
    wanted.push({ uuid, resolve });
  });
  answers.set(uuid, answer);
  setTimeout(() => answers.delete(uuid), KEEP_MS);
  return answer;
}

function ask() {
  const all = wanted;
  wanted = [];
  for (let first = 0; first < all.length; first += AT_ONCE) askFor(all.slice(first, first + AT_ONCE));
}

async function askFor(some) {
  const parameters = new URLSearchParams(some.map(({ uuid }) => ["uuid", uuid]));
  let domains = {};
  try {
    const answer = await fetch(`/vms/usage.json?${parameters}`);
    if (answer.ok) ({ domains } = await answer.json());
  } catch {
    // Without an answer the cells stay empty until the next sample comes over the socket.
  }
  for (const { uuid, resolve } of some) resolve(domains[uuid] ?? null);
}

// The same style sheet for all shadow roots of one kind.
export function sheet(css) {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}

const OFF = new Set(["shutoff", "nostate"]);

// Keeps the element's attribute `off`: whoever does not run uses nothing, whatever the last sample said.
export function followOff(element, { state }) {
  if (state !== undefined) element.toggleAttribute("off", OFF.has(state));
}
