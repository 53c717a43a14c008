"use strict";
// What the speech player consists of, built once: controls, and panels below each other on one axis of seconds.
const buildParts = (body, content, longest) => {
  const all = content.rows.flat();
  const any = (name) => all.some((version) => version[name] !== null && version[name].length !== 0);

  // Controls
  const bar = make(body, "div", "bar");
  const button = make(bar, "button", "play", { type: "button", "aria-label": "play" }, "▶");
  const time = make(bar, "span", "time");
  const titles = content.rows[0].length > 1 ? content.rows[0].map(({ title }) => title) : [];
  const choices = titles.map((title, index) => {
    const node = make(bar, "button", "version", { type: "button", "aria-pressed": "false", title });
    make(node, "kbd", "", {}, `${index + 1}`);
    node.append(` ${title}`);
    return node;
  });
  const level = make(bar, "label", "level");
  const tick = make(level, "input", "", { type: "checkbox" });
  const said = make(level, "span", "");
  level.hidden = all.every((one) => !one.gain);
  make(bar, "span", "gap");
  const view = make(bar, "span", "view"); // together on a line of a narrow page
  const looper = make(view, "button", "loop", { type: "button", "aria-pressed": "false" }, "loop");
  const out = make(view, "button", "out", { type: "button", "aria-label": "zoom out" }, "−");
  const into = make(view, "button", "in", { type: "button", "aria-label": "zoom in" }, "+");
  let slider = null;
  if (content.steps.length > 1) {
    const line = make(body, "div", "steps");
    const range = { type: "range", min: 0, max: content.steps.length - 1, "aria-label": "training step" };
    slider = make(line, "input", "", range);
    const name = make(line, "output", "");
    slider.shown = (row) => {
      slider.value = row;
      name.textContent = content.steps[row];
      slider.setAttribute("aria-valuetext", content.steps[row]);
    };
  }

  // Panels, one below the other in a strip that scrolls when it is wider than the page
  const panels = make(body, "div", any("pitch") ? "panels" : "panels bare");
  const scroll = make(panels, "div", "scroll");
  const track = make(scroll, "div", "track", { role: "group", "aria-label": "the sentence over time" });
  const panel = (name, height, title) => {
    const node = make(track, "div", `panel ${name}`);
    const canvas = make(node, "canvas", "");
    canvas.style.height = `${height}px`;
    return { node, canvas, height, title };
  };
  const strip = (name, title) => {
    const node = make(track, "div", `strip ${name}`);
    roam(node, "ArrowLeft", "ArrowRight");
    return { node, title };
  };
  const most = Math.max(0, ...all.map((one) => one.tokens.length));
  const drawn = {
    wave: panel("wave", 72, "wave"),
    mel: any("mel") ? panel("mel", 132, "Hz") : null,
    words: any("words") ? strip("words", "words") : null,
    tokens: any("tokens") ? strip("tokens", "tokens") : null,
    truth: any("truth") ? strip("truth", "true") : null,
    path: any("tokens") ? panel("path", Math.min(Math.max(9 * most, 120), 320), "path") : null,
    seconds: panel("seconds", 18, "seconds"),
  };
  const head = make(track, "div", "head", {
    tabindex: 0, role: "slider", "aria-label": "position in seconds", "aria-valuemin": 0,
    "aria-valuemax": longest.toFixed(2),
  });
  const marked = make(track, "div", "region");
  const help = make(body, "p", "help");
  for (const [keys, does] of [
    ["space", "play"], ["← →", "move"], ...(choices.length ? [[`1–${choices.length}`, "version"]] : []), ["+ −", "zoom"],
    ["L", "or drag: loop"], ["Esc", "end it"],
  ]) {
    make(help, "kbd", "", {}, keys);
    help.append(` ${does} · `);
  }
  help.append(drawn.tokens ? "click a token to hear it alone" : "click to move");

  return { button, time, choices, tick, said, looper, out, into, slider, panels, scroll, track, drawn, head, marked };
};
