// <vp-hypervisor-form>: writes the connection URI while the address is typed (as hypervisor_forms.compose_uri does), follows
// a URI written by hand with the transport, and leads to the outcome of a test or the first field that was refused.

const SCHEMES = { "qemu": "unix", "qemu+unix": "unix", "qemu+ssh": "ssh", "qemu+tls": "tls", "qemu+tcp": "tcp" };

class VpHypervisorForm extends HTMLElement {
  connectedCallback() {
    this.addEventListener("input", (event) => this.changed(event));
    this.addEventListener("change", (event) => { if (event.target.name === "host") this.takeApart(); });
    this.addEventListener("htmx:afterSettle", () => this.leadOn());
    this.compose();
  }

  get form() {
    return this.querySelector("form");
  }

  changed(event) {
    if (event.target.name === "uri") this.followUri();
    else if (event.target.name !== "migration_uri") this.compose();
    if (event.target.id) this.forgetError(event.target.name);
  }

  compose() {
    const { uri, transport, host, port, username, uri_by_hand: byHand } = this.form.elements;
    uri.readOnly = !byHand.checked;
    if (byHand.checked) return;
    if (transport.value === "unix") uri.value = "qemu:///system";
    else uri.value = host.value.trim() ? composed(transport.value, host.value.trim(), port.value.trim(), username.value.trim()) : "";
  }

  // root@host, host:22 or a whole URI in the host's field, as hypervisor_forms.address_in does on the server.
  takeApart() {
    const { transport, host, port, username, uri, uri_by_hand: byHand } = this.form.elements;
    const text = host.value.trim();
    const [, scheme = "", rest] = text.match(/^(?:([a-z+]+):\/\/)?([^]*)$/i);
    const found = rest.match(/^(?:([^@/]*)@)?(\[[^\]@]*\]|[^:@/[\]]+)(?::([0-9]{1,5}))?(\/system)?$/);
    const known = SCHEMES[scheme.toLowerCase()];
    if (!found || (scheme && !known) || (!scheme && found[4])) {
      if (scheme && known) {
        byHand.checked = true;
        uri.value = text;
        this.changed({ target: uri });
      }
      return;
    }
    const [, user, machine, number] = found;
    if (!scheme && user === undefined && number === undefined && !machine.startsWith("[")) return;
    if (known) transport.value = known;
    if (user) username.value = user;
    if (number) port.value = number;
    host.value = machine.replace(/^\[|\]$/g, "");
    const note = this.querySelector("#note-host");
    if (note) note.textContent = note.dataset.takenApart ?? "";
    this.compose();
  }

  followUri() {
    const { uri, transport } = this.form.elements;
    const known = SCHEMES[uri.value.split(":", 1)[0]];
    if (known) transport.value = known;
  }

  forgetError(name) {
    const error = document.getElementById(`error-${name}`);
    if (error) error.textContent = "";
  }

  leadOn() {
    if (this.querySelector("#test-outcome")) this.querySelector(".vp-form-buttons").scrollIntoView({ block: "nearest" });
    if (!this.querySelector(".vp-form-refused")) return;
    const error = [...this.querySelectorAll(".vp-field-error")].find((candidate) => candidate.textContent.trim());
    error?.closest("details:not([open])")?.setAttribute("open", "");
    const control = error?.closest(".vp-field")?.querySelector("input, select, textarea");
    control?.focus();
    error?.scrollIntoView({ block: "center" });
  }
}

function composed(transport, host, port, username) {
  const bracketed = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const user = username && transport === "ssh" ? `${username}@` : "";
  return `qemu+${transport}://${user}${bracketed}${port ? `:${port}` : ""}/system`;
}

customElements.define("vp-hypervisor-form", VpHypervisorForm);
