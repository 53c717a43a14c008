"use strict";
// What is drawn of a head: tokens as words, weights as lines and as a heat map.
const FONT = '11px sans-serif, "nbkit Hangul"';
const FAINTEST = 0.02, FAINTEST_OF_ONE = 0.002;
const percent = (share) => `${(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)}\u00a0%`;

// A token in a column or a readout: the mark of a word's beginning as a faint dot.
const write = (node, token) => {
  node.replaceChildren();
  if (token.startsWith("▁")) make(node, "i", "").textContent = "·";
  node.append(token.startsWith("▁") ? token.slice(1) : token);
};
const short = (token) => {
  const text = token.replace("▁", "·"), letters = [...text];
  return letters.length > 12 ? `${letters.slice(0, 11).join("")}…` : text;
};

const tell = (node, parts) => {
  node.replaceChildren();
  for (const [text, token] of parts) token ? write(make(node, "bdi", ""), text) : node.append(text);
};

const makePictures = (colours) => {
  const [magnitude, difference] = colours.map((map) =>
    Uint32Array.from(map, (c) => (0xff000000 | ((c & 255) << 16) | (c & 0xff00) | (c >> 16)) >>> 0));
  const ramp = (map) => `linear-gradient(90deg, ${[0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) =>
    `#${colours[map][Math.min(32 * n, 255)].toString(16).padStart(6, "0")}`).join(", ")})`;
  const paint = (canvas, width, height, colourOf) => {
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    for (let k = 0; k < pixels.length; k++) pixels[k] = colourOf(k);
    canvas.getContext("2d").putImageData(image, 0, 0);
  };
  const TILE = 64;
  const pooled = (values, height, width) => {
    const step = Math.max(1, Math.ceil(Math.max(height, width) / TILE));
    const shape = [Math.ceil(width / step), Math.ceil(height / step)];
    if (step === 1) return [values, ...shape];
    const small = new Float32Array(shape[0] * shape[1]);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const at = Math.floor(y / step) * shape[0] + Math.floor(x / step), value = values[y * width + x];
        if (Math.abs(value) > Math.abs(small[at])) small[at] = value;
      }
    return [small, ...shape];
  };

  // The heat map with its tokens on both axes. Names are drawn once, colours with each head.
  // size: margin -> CSS pixels of a side.
  const matrix = (parent, map, from, to, readout, size, left) => {
    const height = from.names.length, width = to.names.length, many = Math.max(height, width);
    const outer = make(parent, "div", "outer"), wide = make(outer, "div", "wide"), box = make(wide, "div", "matrix");
    const names = make(box, "canvas", "", { "aria-hidden": true }), pen = names.getContext("2d");
    pen.font = FONT;
    const margin = 8 + Math.ceil([...from.names, ...to.names].reduce((most, name) =>
      Math.max(most, pen.measureText(short(name)).width), 0));
    const cell = Math.min(22, Math.max(many > 128 ? 1 : 3, Math.floor(size(margin) / many)));
    const scale = window.devicePixelRatio || 1, every = Math.ceil(14 / cell);
    const total = [margin + cell * width, margin + cell * height];
    box.style.cssText = `width:${total[0] + 2}px;height:${total[1] + 2}px`;
    [names.width, names.height] = total.map((side) => Math.round(scale * side));
    names.style.cssText = `left:0;top:0;width:${total[0]}px;height:${total[1]}px`;
    pen.scale(scale, scale);
    pen.fillStyle = getComputedStyle(document.body).getPropertyValue("--muted");
    pen.font = FONT;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let i = 0; i < height; i += every) pen.fillText(short(from.names[i]), margin - 5, margin + cell * (i + 0.5));
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "left";
    for (let j = 0; j < width; j += every) pen.fillText(short(to.names[j]), 5 - margin, margin + cell * (j + 0.5));
    const heat = make(box, "canvas", "heat", { role: "img", "aria-label": "weights, from rows to columns" });
    heat.style.cssText = `left:${margin}px;top:${margin}px;width:${cell * width}px;height:${cell * height}px`;
    const crosses = [make(box, "div", "cross"), make(box, "div", "cross")];
    const cross = (line, column) => {
      crosses.forEach((node) => (node.hidden = line === undefined));
      if (line === undefined) return;
      const [x, y] = [margin + cell * column, margin + cell * line];
      crosses[0].style.cssText = `left:${margin}px;top:${y - 1}px;width:${cell * width}px;height:${cell + 2}px`;
      crosses[1].style.cssText = `left:${x - 1}px;top:${margin}px;width:${cell + 2}px;height:${cell * height}px`;
    };
    cross();
    const bar = make(outer, "div", "ramp");
    const low = make(bar, "span", ""), strip = make(bar, "i", ""), high = make(bar, "span", "");
    strip.style.background = ramp(map);
    const found = { heat, values: null, cross };
    found.draw = (values, most) => {
      found.values = values;
      const top = most || 1, last = 255 / top;
      paint(heat, width, height, map
        ? (k) => difference[Math.round(127.5 + (127.5 * values[k]) / top)]
        : (k) => magnitude[Math.min(255, Math.round(values[k] * last))]);
      low.textContent = map ? `−${percent(most)}` : "0";
      high.textContent = percent(most);
    };
    heat.addEventListener("pointermove", (event) => {
      const [line, at] = [Math.floor(event.offsetY / cell), Math.floor(event.offsetX / cell)];
      if (line < 0 || at < 0 || line >= height || at >= width) return;
      cross(line, at);
      const share = found.values[line * width + at];
      tell(readout, [[`${map && share > 0 ? "+" : ""}${percent(share).replace("-", "−")}`], [" from "], [from.names[line], true], [" to "], [to.names[at], true]]);
    });
    heat.addEventListener("pointerleave", () => {
      cross();
      readout.replaceChildren();
      left();
    });
    return found;
  };

  // Lines from tokens to tokens, the stronger the wider; of one token where there is one. False where none is drawn.
  const strands = ({ canvas, row, count, values }, from, to, token, colour) => {
    const width = to.names.length, scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(130 * scale);
    canvas.height = Math.round(row * count * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.strokeStyle = colour;
    const faintest = token ? FAINTEST_OF_ONE : FAINTEST;
    const bundles = Array.from({ length: 20 }, () => []);
    for (let i = 0; i < from.names.length; i++) {
      if (token?.kind === "from" && token.index !== i) continue;
      for (let j = 0; j < width; j++) {
        if (token?.kind === "to" && token.index !== j) continue;
        const share = values[i * width + j];
        if (share >= faintest) bundles[Math.min(19, Math.floor(20 * share))].push(i, j);
      }
    }
    bundles.forEach((ends, n) => {
      const share = (n + 0.5) / 20;
      pen.globalAlpha = Math.pow(share, 0.7);
      pen.lineWidth = 0.6 + 2.4 * share;
      pen.beginPath();
      for (let k = 0; k < ends.length; k += 2) {
        pen.moveTo(2, (ends[k] + 0.5) * row);
        pen.lineTo(128, (ends[k + 1] + 0.5) * row);
      }
      pen.stroke();
    });
    return bundles.some((ends) => ends.length);
  };

  return { magnitude, difference, paint, pooled, matrix, strands };
};
