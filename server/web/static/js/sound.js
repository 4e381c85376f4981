// The bell of the wall. Browsers keep a page silent until somebody has touched it; a wall that
// is silent without saying so is dangerous, so the button shows "blocked" until then.

/** Tones in Hz per level, played one after the other. @type {Record<string, number[]>} */
const TONES = {
  1: [880, 660, 880, 660, 880, 660],
  2: [784, 587, 784, 587],
  3: [659, 523],
  4: [523],
};
const WISH = "kakou.sound";

export class Bell {
  /** @param {HTMLElement} button */
  constructor(button) {
    this.button = button;
    this.wanted = localStorage.getItem(WISH) === "on";
    /** @type {AudioContext | null} */
    this.context = null;
    button.addEventListener("click", () => this.toggle());
    // any touch of the page may lift the browser's block
    for (const kind of ["pointerdown", "keydown"]) {
      document.addEventListener(kind, () => { if (this.wanted) this.wake(); });
    }
    if (this.wanted) this.wake();
    this.show();
  }

  toggle() {
    // a blocked bell is already wanted: the click that lifts the block must not switch it off
    if (!(this.wanted && this.button.dataset.sound === "blocked")) this.wanted = !this.wanted;
    localStorage.setItem(WISH, this.wanted ? "on" : "off");
    if (this.wanted) this.wake().then(() => this.ring(4));
    this.show();
  }

  async wake() {
    this.context ??= new AudioContext();
    this.context.onstatechange = () => this.show();
    if (this.context.state !== "running") {
      // refused without a gesture: stays "blocked", which the button shows
      await Promise.race([this.context.resume(), new Promise((go) => { setTimeout(go, 300); })]);
    }
    this.show();
  }

  show() {
    const running = this.context?.state === "running";
    const state = !this.wanted ? "off" : running ? "on" : "blocked";
    this.button.dataset.sound = state;
    this.button.setAttribute("aria-pressed", String(state === "on"));
    const label = this.button.querySelector("span");
    const texts = this.button.dataset;
    if (label) {
      label.textContent =
        (state === "on" ? texts.textOn : state === "off" ? texts.textOff : texts.textBlocked) ?? "";
    }
  }

  /** Ring for an alert of this level; counts rings for whoever watches. @param {number} level */
  ring(level) {
    if (!this.wanted || !this.context || this.context.state !== "running") return;
    const tones = TONES[level] ?? TONES[4];
    let at = this.context.currentTime + 0.01;
    for (const hertz of tones) {
      const tone = this.context.createOscillator();
      const gain = this.context.createGain();
      tone.type = "triangle";
      tone.frequency.value = hertz;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.28, at + 0.015);
      gain.gain.linearRampToValueAtTime(0, at + 0.17);
      tone.connect(gain).connect(this.context.destination);
      tone.start(at);
      tone.stop(at + 0.18);
      at += 0.18;
    }
    this.button.dataset.rings = String(Number(this.button.dataset.rings ?? 0) + 1);
  }
}
