"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (name) => document.querySelector(name);
  const make = (parent, tag, name, attributes = {}) => {
    const node = document.createElement(tag);
    node.className = name;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };
  const press = (nodes, chosen) => nodes.forEach((node) => node.setAttribute("aria-pressed", node === chosen));
  const percent = (share) => `${(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)}\u00a0%`;

  const load = async (it) => it && { steps: (await unpack(it.steps)).values, most: (await unpack(it.most)).values };
  const models = await Promise.all(data.models.map(async (model) => ({
    ...model, weights: await load(model.weights), rollout: await load(model.rollout),
  })));
  const [layers, heads, rows, columns] = data.models[0].weights.steps.shape;
  const looked = data.others ?? data.tokens;
  const state = {
    layer: data.layer, head: data.head, mode: "head", sort: "", which: 0, token: null, pinned: false,
    hide: false, join: false, whole: false, way: "",
  };

  // ---- numbers: a matrix as it was, and folded: without specials, one direction only, pieces joined to words

  const read = (packed, from, to) => {
    const values = new Float32Array((to - from) * columns);
    for (let row = from, at = 0; row < to; row++) {
      const step = packed.most[row] / 65535 / 255;
      for (let k = row * columns; k < (row + 1) * columns; k++) values[at++] = packed.steps[k] * step;
    }
    return values;
  };
  const raw = (model, layer, head, mode = "head") => {
    if (mode === "rollout") return read(model.rollout, layer * rows, (layer + 1) * rows);
    if (mode === "head") return read(model.weights, (layer * heads + head) * rows, (layer * heads + head + 1) * rows);
    const mean = new Float32Array(rows * columns);
    for (let h = 0; h < heads; h++) raw(model, layer, h).forEach((value, k) => (mean[k] += value / heads));
    return mean;
  };

  const special = new Set(data.special);
  // Which tokens of one side stand together: {of: token -> line or -1, names, full, second}.
  const side = (names, first, own) => {
    const of = new Int32Array(names.length).fill(-1), seen = new Map(), found = { of, names: [], second: -1 };
    names.forEach((name, i) => {
      const inSecond = i >= data.second;
      if (own && state.hide && special.has(i)) return;
      if (state.way && (state.way === "there") === (first ? inSecond : !inSecond)) return;
      const join = own && state.join, key = join ? data.words[i] : i;
      if (!seen.has(key)) {
        if (own && data.second && inSecond && found.second < 0) found.second = seen.size;
        seen.set(key, seen.size);
        found.names.push(join ? data.names[key] : name);
      }
      of[i] = seen.get(key);
    });
    return found;
  };
  let from, to; // the lines and columns now shown
  const refold = () => {
    from = side(data.tokens, true, true);
    to = side(looked, false, !data.others);
    from.size = new Float32Array(from.names.length);
    from.of.forEach((line) => line >= 0 && from.size[line]++);
  };
  const fold = (values) => {
    const width = to.names.length, found = new Float32Array(from.names.length * width);
    for (let i = 0; i < rows; i++) {
      const line = from.of[i];
      if (line < 0) continue;
      const part = 1 / from.size[line];
      for (let j = 0; j < columns; j++) {
        const column = to.of[j];
        if (column >= 0) found[line * width + column] += values[i * columns + j] * part;
      }
    }
    if (state.whole)
      for (let line = 0; line < from.names.length; line++) {
        const row = found.subarray(line * width, (line + 1) * width);
        const sum = row.reduce((all, share) => all + share, 0);
        if (sum >= 0.01) row.forEach((share, k) => (row[k] = share / sum));
      }
    return found;
  };
  const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const entropy = (values) => {
    let sum = 0, seen = 0;
    for (let i = 0; i < rows; i++) {
      let row = 0, mass = 0;
      for (let k = i * columns; k < (i + 1) * columns; k++)
        if (values[k] > 0) (row -= values[k] * Math.log(values[k])), (mass += values[k]);
      if (mass > 0) (sum += row), seen++;
    }
    return sum / Math.max(seen, 1);
  };

  // ---- pictures

  const [magnitude, difference] = data.colours.map((map) =>
    Uint32Array.from(map, (c) => (0xff000000 | ((c & 255) << 16) | (c & 0xff00) | (c >> 16)) >>> 0));
  const ramp = (map) => `linear-gradient(90deg, ${[0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) =>
    `#${data.colours[map][Math.min(32 * n, 255)].toString(16).padStart(6, "0")}`).join(", ")})`;
  const paint = (canvas, width, height, colourOf) => {
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    for (let k = 0; k < pixels.length; k++) pixels[k] = colourOf(k);
    canvas.getContext("2d").putImageData(image, 0, 0);
  };
  const TILE = 64;
  const pooled = (values) => {
    const height = from.names.length, width = to.names.length;
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
  const minus = (one, two) => two.map((value, k) => value - one[k]);
  const between = () => state.which === 2;
  const thumbnail = (cell) => {
    const values = (between() ? models : [models[state.which]]).map((m) => fold(raw(m, cell.layer, cell.head)));
    const [small, width, height] = pooled(between() ? minus(...values) : values[0]);
    // the square root, so that faint shares are seen too; one scale for all heads
    cell.canvas.style.imageRendering = width < 40 ? "pixelated" : ""; // smooth only where it is made smaller
    paint(cell.canvas, width, height, between()
      ? (k) => difference[Math.round(127.5 + 127.5 * Math.sign(small[k]) * Math.sqrt(Math.min(1, Math.abs(small[k]))))]
      : (k) => magnitude[Math.round(255 * Math.sqrt(Math.min(1, small[k])))]);
  };

  // ---- all heads

  const grid = find(".grid");
  const cells = [];
  for (let layer = 0; layer < layers; layer++)
    for (let head = 0; head < heads; head++) {
      const name = `layer ${layer + 1}, head ${head + 1}`;
      const button = make(grid, "button", "head-cell", { type: "button", "aria-label": name, title: name });
      const cell = { layer, head, button, canvas: make(button, "canvas", ""), label: make(button, "span", "") };
      button.addEventListener("click", () => open(layer, head));
      cells.push(cell);
    }
  let order = cells;
  const chosen = () => cells[state.layer * heads + state.head];

  const measured = ({ layer, head }) => {
    if (state.sort === "apart") return data.apart[layer][head];
    const [one, two] = models.map((m) => m.measures.find(([name]) => name === state.sort)[1][layer][head]);
    return between() ? two - one : state.which ? two : one;
  };
  const arrange = () => {
    const sorted = state.sort !== "";
    order = sorted ? [...cells].sort((a, b) => measured(b) - measured(a)) : cells;
    const size = Math.min(72, Math.max(26, Math.floor(440 / heads)));
    grid.style.gridTemplateColumns = `${sorted ? "" : "18px"} repeat(${heads}, minmax(0, ${size}px))`;
    grid.replaceChildren();
    if (!sorted) {
      make(grid, "span", "");
      for (let head = 0; head < heads; head++) make(grid, "span", "").textContent = head + 1;
    }
    order.forEach((cell, place) => {
      if (!sorted && place % heads === 0) make(grid, "span", "").textContent = cell.layer + 1;
      cell.label.textContent = sorted ? `${cell.layer + 1}·${cell.head + 1}` : "";
      const value = sorted ? `, ${select.selectedOptions[0].textContent}: ${measured(cell).toFixed(3)}` : "";
      cell.button.title = cell.button.getAttribute("aria-label") + value;
      grid.append(cell.button);
    });
    find(".scale").textContent = (sorted ? `${select.selectedOptions[0].textContent}, the most first. ` : "")
      + (between() ? "Red: more in the second model; blue: less. " : "Rows look, columns are looked at. ")
      + "The colour is the square root of the share, one scale for all heads.";
  };

  // ---- one head

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = () => {
    if (state.mode !== "head") return getComputedStyle(document.body).color;
    return `hsl(${Math.round((360 * state.head) / heads + 210) % 360} 70% ${dark.matches ? 68 : 40}%)`;
  };
  const FONT = '11px sans-serif, "nbkit Hangul"';
  const FAINTEST = 0.02, FAINTEST_OF_ONE = 0.002;
  let figures = [], built = 0; // for which width

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

  const column = (parent, kind, group, row) => {
    const node = make(parent, "div", `column ${kind}`, {
      role: "group", "aria-label": kind === "from" ? "tokens that look" : "tokens that are looked at",
    });
    node.style.setProperty("--row", `${row}px`);
    return group.names.map((name, index) => {
      const button = make(node, "button", "token", { type: "button", title: name, tabindex: index ? -1 : 0 });
      write(button, name);
      if (index === group.second) button.classList.add("second");
      const look = (pinned) => focus({ kind, index }, pinned);
      button.addEventListener("pointerenter", () => state.pinned || look(false));
      button.addEventListener("focus", () => state.pinned || look(false));
      button.addEventListener("pointerleave", () => state.pinned || focus(null, false));
      button.addEventListener("click", () =>
        state.pinned && state.token?.kind === kind && state.token.index === index ? focus(null, false) : look(true));
      button.addEventListener("keydown", (event) => {
        const next = { ArrowUp: button.previousSibling, ArrowDown: button.nextSibling }[event.key];
        if (!next) return;
        event.preventDefault();
        event.stopPropagation();
        button.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
      return button;
    });
  };

  const build = () => {
    const parent = find(".figures");
    parent.replaceChildren();
    built = parent.clientWidth;
    const count = Math.max(from.names.length, to.names.length);
    const row = count <= 30 ? 20 : count <= 72 ? 16 : 13;
    figures = models.map((model) => {
      const figure = make(parent, "figure", models.length > 1 ? "narrow" : "");
      const caption = make(figure, "figcaption", "");
      if (models.length > 1) make(caption, "b", "", { title: model.title }).textContent = model.title;
      const told = make(caption, "small", "told");
      const drawn = make(figure, "div", "drawn");
      const readout = make(drawn, "p", "readout", { "aria-live": "polite" });
      const box = make(drawn, "div", "lines");
      const one = column(box, "from", from, row);
      const canvas = make(box, "canvas", "", { "aria-hidden": true });
      const two = column(box, "to", to, row);
      canvas.style.cssText = `width:130px;height:${row * count}px`;
      const heat = matrix(drawn, 0, readout);
      return { model, told, readout, canvas, row, count, from: one, to: two, heat };
    });
    const boxes = [...parent.querySelectorAll(".lines")];
    boxes.forEach((box) => box.addEventListener("scroll", () =>
      boxes.forEach((other) => other !== box && (other.scrollTop = box.scrollTop))));
    if (models.length > 1) {
      const figure = make(parent, "figure", "narrow");
      const caption = make(figure, "figcaption", "");
      make(caption, "b", "").textContent = "difference";
      make(caption, "small", "").textContent = "the second less the first";
      const drawn = make(figure, "div", "drawn");
      const readout = make(drawn, "p", "readout short", { "aria-live": "polite" });
      figures.difference = matrix(drawn, 1, readout);
    }
  };

  // The heat map with its tokens on both axes. Names are drawn once, colours with each head.
  const matrix = (parent, map, readout) => {
    const height = from.names.length, width = to.names.length, many = Math.max(height, width);
    const outer = make(parent, "div", "outer"), wide = make(outer, "div", "wide"), box = make(wide, "div", "matrix");
    const names = make(box, "canvas", "", { "aria-hidden": true }), pen = names.getContext("2d");
    pen.font = FONT;
    const margin = 8 + Math.ceil([...from.names, ...to.names].reduce((most, name) =>
      Math.max(most, pen.measureText(short(name)).width), 0));
    const room = find(".figures").clientWidth - margin - 4, beside = room - 250;
    const side = models.length > 1 ? Math.min(330 - margin, room) : Math.min(400, beside > 240 ? beside : room);
    const cell = Math.min(22, Math.max(many > 128 ? 1 : 3, Math.floor(side / many)));
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
      figures.forEach(report);
    });
    return found;
  };

  const tell = (node, parts) => {
    node.replaceChildren();
    for (const [text, token] of parts) token ? write(make(node, "bdi", ""), text) : node.append(text);
  };

  const strands = (figure) => {
    const { canvas, row, count, values } = figure, width = to.names.length, scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(130 * scale);
    canvas.height = Math.round(row * count * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.strokeStyle = colour();
    const token = state.token, faintest = token ? FAINTEST_OF_ONE : FAINTEST;
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

  const shares = ({ values }, kind, index) => {
    const width = to.names.length;
    return kind === "from" ? values.slice(index * width, (index + 1) * width)
      : Float32Array.from(from.names, (_, i) => values[i * width + index]);
  };
  const strongest = (found, names) => [...found.keys()].sort((a, b) => found[b] - found[a]).slice(0, 4)
    .filter((k) => found[k] > 0.0005).flatMap((k, n) => [[n ? ", " : " "], [names[k], true], [` ${percent(found[k])}`]]);

  const report = (figure) => {
    const { token } = state, any = strands(figure), tint = colour();
    for (const kind of ["from", "to"]) {
      const opposite = token && token.kind !== kind ? shares(figure, token.kind, token.index) : null;
      figure[kind].forEach((button, k) => {
        button.classList.toggle("on", token?.kind === kind && token.index === k);
        const part = opposite ? Math.round(70 * Math.sqrt(opposite[k])) : 0;
        button.style.background = part > 1 ? `color-mix(in srgb, ${tint} ${part}%, transparent)` : "";
      });
    }
    if (!token) {
      tell(figure.readout, [[any ? "Lines from 2 % up. Point at a token, or click to keep it."
        : "No share reaches 2 %, so there are no lines. Point at a token to see its own."]]);
      return;
    }
    const names = { from: from.names, to: to.names }, name = names[token.kind][token.index], parts = [];
    for (const kind of ["from", "to"]) {
      // on the same tokens the other way is that of the same token, where it is not hidden
      const other = data.others ? -1 : twin(token, kind);
      if (kind !== token.kind && other < 0) continue;
      const at = kind === token.kind ? token.index : other;
      parts.push([parts.length ? "; is looked at by" : kind === "from" ? " looks at" : " is looked at by"]);
      parts.push(...strongest(shares(figure, kind, at), kind === "from" ? to.names : from.names));
    }
    tell(figure.readout, [[name, true], ...parts]);
  };
  // The line of the same token on the other side, or -1.
  const twin = (token, kind) => {
    const [own, other] = kind === "to" ? [from, to] : [to, from];
    return other.of[own.of.indexOf(token.index)];
  };

  const focus = (token, pinned) => {
    state.token = token;
    state.pinned = pinned;
    figures.forEach(report);
  };

  const show = () => {
    const name = { head: `layer ${state.layer + 1}, head ${state.head + 1}`,
      mean: `layer ${state.layer + 1}, mean of its heads`, rollout: `rollout, layers 1 to ${state.layer + 1}` };
    find("h1").textContent = name[state.mode];
    cells.forEach((cell) => (cell.button.tabIndex = cell === chosen() ? 0 : -1));
    press(cells.map((cell) => cell.button), chosen().button);
    for (const figure of figures) {
      const values = raw(figure.model, state.layer, state.head, state.mode);
      const nats = state.mode === "head" ? figure.model.measures[0][1][state.layer][state.head] : entropy(values);
      figure.told.textContent = `entropy ${nats.toFixed(2)} nats of ${Math.log(columns).toFixed(2)}, `
        + `as if spread over ${Math.exp(nats).toFixed(1)} of ${columns} tokens`;
      figure.values = fold(values);
    }
    const most = Math.max(...figures.map((figure) => largest(figure.values)));
    figures.forEach((figure) => figure.heat.draw(figure.values, most));
    if (figures.difference) {
      const apart = minus(figures[0].values, figures[1].values);
      figures.difference.draw(apart, largest(apart));
    }
    figures.forEach(report);
  };
  const open = (layer, head) => {
    Object.assign(state, { layer, head });
    show();
  };
  const again = () => {
    refold();
    focusNothing();
    build();
    cells.forEach(thumbnail);
    show();
  };
  const focusNothing = () => Object.assign(state, { token: null, pinned: false });

  // ---- controls

  const select = find(".sort");
  const option = (value, text) => (make(select, "option", "", { value }).textContent = text);
  option("", "layers and heads");
  models[0].measures.forEach(([name]) => option(name, name));
  if (models.length > 1) option("apart", "difference of the two");
  select.addEventListener("change", () => {
    state.sort = select.value;
    arrange();
  });
  const buttons = (parent, names, choose) => {
    const found = names.map((name, n) => {
      const button = make(parent, "button", "", { type: "button", title: name });
      button.textContent = name;
      button.addEventListener("click", () => {
        press(found, button);
        choose(n);
      });
      return button;
    });
    press(found, found[0]);
    parent.hidden = names.length < 2;
  };
  if (models.length > 1) buttons(find(".which"), [...models.map((model) => model.title), "difference"], (n) => {
    state.which = n;
    arrange();
    cells.forEach(thumbnail);
  });
  const modes = ["head", "mean", ...(models[0].rollout ? ["rollout"] : [])];
  buttons(find(".mode"), ["head", "mean of the layer", "rollout"].slice(0, modes.length), (n) => {
    state.mode = modes[n];
    show();
  });
  for (const [name, here] of [["hide", special.size], ["join", data.words], ["way", data.second], ["whole", true]]) {
    const input = find(`.${name}`);
    input.parentNode.hidden = !here;
    input.addEventListener("change", () => {
      state[name] = name === "way" ? input.value : input.checked;
      again();
    });
  }
  const kinds = [...new Set(data.special.map((i) => short(data.tokens[i])))];
  if (kinds.length && kinds.length < 4) find(".hide + span").textContent = `hide ${kinds.join(", ")}`;

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") focus(null, false);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads }[event.key];
    if (!step || event.target.matches("select, input, .token")) return;
    event.preventDefault();
    const place = order.indexOf(chosen()), next = order[place + step];
    const sameRow = Math.abs(step) > 1 || Math.floor(place / heads) === Math.floor((place + step) / heads);
    if (!next || !(sameRow || state.sort)) return;
    open(next.layer, next.head);
    next.button.focus({ preventScroll: event.target === document.body });
  });
  dark.addEventListener("change", again);

  // Names on canvases are drawn once, so the font must be there before.
  await document.fonts.load('11px "nbkit Hangul"', "가").catch(() => []);
  arrange();
  again();
  new ResizeObserver(() => {
    if (Math.abs(find(".figures").clientWidth - built) < 16) return;
    build();
    show();
  }).observe(find(".figures"));
  document.body.dataset.ready = "";
  performance.mark("drawn");
})();
