"use strict";
(async () => {
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const body = document.body;
  const content = JSON.parse(document.getElementById("content").textContent);
  const elements = [...document.querySelectorAll("audio")];
  for (const element of elements) element.hidden = true;
  const sound = makeSound(elements);
  const all = content.rows.flat();
  const longest = Math.max(...all.map((version) => version.seconds));

  let row = content.rows.length - 1, column = 0; // step and version
  let at = 0; // seconds, while nothing plays
  let region = null; // what loops, [start, end]
  let zoom = 1;
  let even = true; // matched in loudness
  const version = () => content.rows[row][column];
  const decibel = () => (even ? version().gain : 0);
  const {
    button, time, choices, tick, said, looper, out, into, slider, panels, scroll, track, drawn, head, marked,
  } = buildParts(body, content, longest);

  // Pictures come once, as bitmaps with a pixel a frame
  const colours = (await unpack(content.colours)).values;
  const bitmap = async (packed, flipped) => {
    const { shape: [rows, frames], values } = await unpack(packed);
    const canvas = Object.assign(document.createElement("canvas"), { width: frames, height: rows });
    const image = new ImageData(frames, rows);
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < frames; x++) {
        const value = 3 * values[(flipped ? rows - 1 - y : y) * frames + x];
        image.data.set([colours[value], colours[value + 1], colours[value + 2], 255], 4 * (y * frames + x));
      }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  };
  const mels = await Promise.all(content.mels.map((packed) => bitmap(packed, true)));
  for (const one of all) {
    if (one.scores) one.scores = await bitmap(one.scores, false);
    if (one.pitch) one.pitch = (await unpack(one.pitch)).values;
  }

  const now = () => sound.position() ?? at;
  const place = (seconds) => `${(100 * seconds) / longest}%`;

  const fill = (strip, spans, tag, name) => {
    if (!strip) return;
    strip.node.replaceChildren();
    const pixels = track.clientWidth / longest;
    for (const [label, from, until] of spans) {
      const node = make(strip.node, tag, name, tag === "button" ? { type: "button" } : {}, label);
      node.title = `${label} ${from.toFixed(2)} to ${until.toFixed(2)} s`;
      node.style.left = place(from);
      node.style.width = place(until - from);
      const least = name === "token" ? 6 + 8 * label.length : 16; // half a letter would be read as another one
      node.classList.toggle("narrow", (until - from) * pixels < least);
      if (tag !== "button") continue;
      node.tabIndex = strip.node.firstChild === node ? 0 : -1;
      node.addEventListener("click", () => play(from, until));
    }
  };
  const strips = () => {
    fill(drawn.words, version().words, "button", "word");
    fill(drawn.tokens, version().tokens, "button", "token");
    fill(drawn.truth, version().truth, "span", "");
  };

  const draw = () => {
    const colour = (name) => getComputedStyle(body).getPropertyValue(name);
    const wide = scroll.clientWidth, scale = window.devicePixelRatio || 1;
    const perSecond = track.clientWidth / longest, left = scroll.scrollLeft;
    const x = (seconds) => seconds * perSecond - left;
    for (const item of Object.values(drawn)) {
      if (!item?.canvas) continue;
      item.canvas.width = Math.round(wide * scale);
      item.canvas.height = Math.round(item.height * scale);
      item.canvas.style.width = `${wide}px`;
      item.pen = item.canvas.getContext("2d");
      item.pen.scale(scale, scale);
    }
    paint.wave(drawn.wave, version(), sound, x, wide, colour);
    if (drawn.mel) paint.mel(drawn.mel, version(), mels, x, wide, colour);
    if (drawn.path) paint.path(drawn.path, version(), x, wide, colour);
    paint.seconds(drawn.seconds, x, longest, wide, colour);
  };
  const layout = () => {
    track.style.width = `${100 * zoom}%`;
    strips();
    labels();
    draw();
    move();
  };
  const labels = () => {
    panels.querySelectorAll(".axis").forEach((node) => node.remove());
    const label = (side, top, text) => {
      const node = make(panels, "span", `axis ${side}`, {}, text);
      node.style.top = `${top - 6}px`;
      node.title = text;
    };
    for (const item of Object.values(drawn)) {
      if (!item) continue;
      const top = item.node.offsetTop, height = item.node.offsetHeight;
      if (item === drawn.mel) for (const [y, text, side] of paint.hertz(item.height, all.some(({ pitch }) => pitch))) label(side, top + y, text);
      else if (item !== drawn.path || !paint.rows(item, version(), (y, text) => label("left", top + y, text)))
        label("left", top + height / 2, item.title);
    }
  };

  const move = () => {
    const seconds = now(), tokens = version().tokens;
    head.style.left = place(seconds);
    time.textContent = `${seconds.toFixed(2)} / ${version().seconds.toFixed(2)} s`;
    head.setAttribute("aria-valuenow", seconds.toFixed(2));
    const held = tokens.findIndex(([, from, until]) => seconds >= from && seconds < until);
    head.setAttribute("aria-valuetext", `${seconds.toFixed(2)} s${held < 0 ? "" : `, ${tokens[held][0]}`}`);
    for (const [strip, spans] of [[drawn.tokens, tokens], [drawn.words, version().words]])
      if (strip) [...strip.node.children].forEach((node, i) =>
        node.classList.toggle("on", seconds > 0 && seconds >= spans[i][1] && seconds < spans[i][2]));
    marked.hidden = !region;
    if (region) [marked.style.left, marked.style.width] = [place(region[0]), place(region[1] - region[0])];
    looper.setAttribute("aria-pressed", String(Boolean(region)));
    const pixel = (seconds / longest) * track.clientWidth - scroll.scrollLeft;
    if (sound.playing() && zoom > 1 && (pixel < 0 || pixel > scroll.clientWidth))
      scroll.scrollLeft += pixel - 0.1 * scroll.clientWidth;
  };
  const run = () => {
    move();
    if (sound.playing()) requestAnimationFrame(run);
  };
  const playing = (is) => {
    button.textContent = is ? "❚❚" : "▶";
    button.setAttribute("aria-label", is ? "pause" : "play");
  };

  // Playing
  const pause = () => {
    at = now();
    sound.stop();
    playing(false);
    move();
  };
  const play = (from, until = Infinity) => {
    const { seconds } = version();
    const loop = until === Infinity ? region : null;
    const end = Math.min(until, seconds);
    let start = loop && (from < loop[0] || from >= loop[1]) ? loop[0] : from;
    if (!loop && start >= end - 0.005) start = until === Infinity ? 0 : from;
    if (start >= end) return; // a token of no frames, or one behind the end
    sound.play(version().sound, start, end, loop, decibel(), () => {
      at = until === Infinity ? seconds : end;
      playing(false);
      move();
    });
    playing(true);
    run();
  };
  const toggle = () => (sound.playing() ? pause() : play(at));
  const seek = (seconds) => {
    const target = clamp(seconds, 0, version().seconds);
    if (sound.playing()) play(target);
    at = target;
    move();
  };
  const loop = (from, until) => {
    region = until - from >= 0.02 ? [Math.max(from, 0), Math.min(until, version().seconds)] : null;
    if (region && region[1] - region[0] < 0.02) region = null;
    if (region) play(region[0]);
    else if (sound.playing()) play(now());
    move();
  };
  const toggleLoop = () => {
    if (region) return loop(0, 0);
    const spans = version().words.length ? version().words : version().tokens;
    const found = spans.find(([, from, until]) => now() >= from && now() < until);
    loop(...(found ? found.slice(1) : [0, version().seconds]));
  };

  // The same moment of another version: the same point of the same token where both know it, else the same second
  const same = (seconds, old, next) => {
    const [a, b] = [old.tokens, next.tokens];
    const alike = old.sound !== next.sound && a.length && a.length === b.length && a.every(([text], i) => text === b[i][0]);
    const held = alike ? a.findIndex(([, from, until]) => seconds >= from && seconds < until) : -1;
    if (held < 0) return clamp(seconds, 0, next.seconds);
    const share = (seconds - a[held][1]) / (a[held][2] - a[held][1]);
    return clamp(b[held][1] + share * (b[held][2] - b[held][1]), 0, next.seconds);
  };
  const show = (step, index) => {
    const old = version(), was = now(), ran = sound.playing();
    row = step;
    column = clamp(index, 0, content.rows[row].length - 1);
    at = same(was, old, version());
    if (region) region = region.map((edge) => same(edge, old, version()));
    if (region && region[1] - region[0] < 0.02) region = null;
    const other = old.sound !== version().sound; // the same sound goes on
    if (ran && other) sound.stop();
    choices.forEach((node, i) => node.setAttribute("aria-pressed", String(i === column)));
    tell();
    scroll.scrollLeft += ((at - was) / longest) * track.clientWidth;
    layout();
    slider?.shown(row);
    if (ran && other) play(at);
    playing(sound.playing());
  };
  const tell = () => {
    tick.checked = !even;
    const gain = version().gain;
    const text = `${gain > 0 ? "+" : gain < 0 ? "−" : "±"}${Math.abs(gain).toFixed(1)} dB`;
    said.textContent = `as loud as they are${even ? ` (matched now: ${text})` : ""}`;
  };

  // Zooming keeps the moment under the pointer, or the playhead, where it is
  const zoomTo = (next, seconds = now()) => {
    const x = (seconds / longest) * track.clientWidth - scroll.scrollLeft;
    zoom = clamp(next, 1, Math.max(1, 8 * longest));
    track.style.width = `${100 * zoom}%`;
    scroll.scrollLeft = (seconds / longest) * track.clientWidth - clamp(x, 0, scroll.clientWidth);
    layout();
  };
  const secondsAt = (event) => {
    const box = track.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1) * longest;
  };

  let pressed = null; // where a drag began
  track.addEventListener("pointerdown", (event) => {
    if (event.button || event.target instanceof HTMLButtonElement) return;
    pressed = { seconds: secondsAt(event), x: event.clientX, dragged: false };
    if (event.pointerType !== "touch") track.setPointerCapture(event.pointerId);
  });
  track.addEventListener("pointermove", (event) => {
    if (!pressed || event.pointerType === "touch") return;
    pressed.dragged ||= Math.abs(event.clientX - pressed.x) > 4;
    if (!pressed.dragged) return;
    const edges = [pressed.seconds, secondsAt(event)].sort((a, b) => a - b);
    marked.hidden = false;
    [marked.style.left, marked.style.width] = [place(edges[0]), place(edges[1] - edges[0])];
  });
  track.addEventListener("pointerup", (event) => {
    if (!pressed) return;
    const { seconds, dragged } = pressed;
    pressed = null;
    if (dragged) return loop(...[seconds, secondsAt(event)].sort((a, b) => a - b));
    region = null;
    seek(seconds);
  });
  track.addEventListener("pointercancel", () => (pressed = null));
  track.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomTo(zoom * 2 ** (-event.deltaY / 200), secondsAt(event));
  }, { passive: false });
  scroll.addEventListener("scroll", () => requestAnimationFrame(draw));

  button.addEventListener("click", toggle);
  choices.forEach((node, index) => node.addEventListener("click", () => show(row, index)));
  slider?.addEventListener("input", () => show(+slider.value, column));
  looper.addEventListener("click", toggleLoop);
  into.addEventListener("click", () => zoomTo(zoom * 2));
  out.addEventListener("click", () => zoomTo(zoom / 2));
  tick.addEventListener("change", () => {
    even = !tick.checked;
    sound.turn(decibel());
    tell();
  });
  const keys = {
    ArrowLeft: () => seek(now() - 0.1), ArrowRight: () => seek(now() + 0.1),
    "+": () => zoomTo(zoom * 2), "=": () => zoomTo(zoom * 2), "-": () => zoomTo(zoom / 2),
    l: toggleLoop, L: toggleLoop, Escape: () => loop(0, 0), " ": toggle,
  };
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === " " && (target instanceof HTMLButtonElement || target === tick)) return;
    if (key.startsWith("Arrow") && target === slider) return;
    const version = /^[1-9]$/.test(key) && +key <= choices.length;
    const does = version ? () => show(row, key - 1) : keys[key];
    if (!does) return;
    event.preventDefault();
    does();
  });
  new ResizeObserver(layout).observe(scroll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  show(row, column);
  body.dataset.ready = "yes";
})();
