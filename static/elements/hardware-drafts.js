// What was typed in the forms of machines' hardware and is not applied: kept as long as the page is, per machine and part,
// so that it is there again when one comes back. In memory only: it may be a password.

const PLACES = new Map();
// No change of the part: when it would apply, what it was made of, and the page's own.
const BESIDE = new Set(["when", "base_sha256", "csrfmiddlewaretoken"]);

// The drafts of one machine, each under its part and how that is shown: "disk:vda details".
export function draftsOf(place) {
  if (!PLACES.has(place)) PLACES.set(place, new Map());
  return PLACES.get(place);
}

// All that a form would send of a part, as one text.
export function written(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => !BESIDE.has(name) && !name.startsWith("was-")));
}

export function draftOf(form, atFirst) {
  return { atFirst, base: form.elements.base_sha256.value, fields: new Map(fields(form).map((one) => [nameOf(one), stateOf(one)])) };
}

// Into a form that has come anew. What it was made of stays what it was, unless the part is the same as then.
export function fill(form, draft, atFirst) {
  if (atFirst !== draft.atFirst) form.elements.base_sha256.value = draft.base;
  for (const field of fields(form)) {
    const state = draft.fields.get(nameOf(field));
    if (state === undefined || state === stateOf(field)) continue;
    if (field.name.startsWith("was-") && atFirst === draft.atFirst) continue;
    put(field, state);
  }
}

// Passwords, which a form that comes back with what is wrong with it has lost.
export function fillPasswords(form, draft) {
  for (const field of form.querySelectorAll("input[type=password]")) field.value ||= draft.fields.get(nameOf(field)) ?? "";
}

function fields(form) {
  return [...form.elements].filter(({ name, type }) => name && type !== "fieldset" && name !== "when" && !BESIDE.has(name));
}

function nameOf(field) {
  return isChecked(field) ? `${field.name}=${field.value}` : field.name;
}

function isChecked({ type }) {
  return type === "checkbox" || type === "radio";
}

function stateOf(field) {
  return isChecked(field) ? field.checked : field.value;
}

function put(field, state) {
  if (isChecked(field)) field.checked = state;
  else {
    if (field.tagName === "SELECT" && ![...field.options].some(({ value }) => value === state)) field.add(new Option(state, state));
    field.value = state;
  }
  // Whoever shows it otherwise, or shows others for it, hears of it.
  for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
}

window.addEventListener("beforeunload", (event) => {
  const isKept = [...PLACES.values()].some((drafts) => [...drafts.values()].some((draft) => !draft.isSent));
  if (isKept) event.preventDefault();
});
