// Keys that a console's menu sends: [keysym, code] each, pressed in order and let go in reverse.

const CONTROL = [0xffe3, "ControlLeft"];
const ALT = [0xffe9, "AltLeft"];
export const KEYS = {
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((n) => [`ctrl-alt-f${n}`, [CONTROL, ALT, [0xffbd + n, `F${n}`]]])),
  "ctrl-alt-backspace": [CONTROL, ALT, [0xff08, "Backspace"]],
  "print-screen": [[0xff61, "PrintScreen"]],
  escape: [[0xff1b, "Escape"]],
};

export function sendKeys(rfb, keys) {
  for (const [keysym, code] of keys) rfb.sendKey(keysym, code, true);
  for (const [keysym, code] of [...keys].reverse()) rfb.sendKey(keysym, code, false);
}
