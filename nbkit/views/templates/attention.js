"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (name) => document.querySelector(name);
  const press = (nodes, chosen) => nodes.forEach((node) => node.setAttribute("aria-pressed", node === chosen));

  const load = async (it) => it && { steps: (await unpack(it.steps)).values, most: (await unpack(it.most)).values };
  const models = await Promise.all(data.models.map(async (model) => ({
    ...model, weights: await load(model.weights), rollout: await load(model.rollout),
  })));
  const [layers, heads, , columns] = data.models[0].weights.steps.shape;
  const state = {
    layer: data.layer, head: data.head, mode: "head", sort: "", which: 0, token: null, pinned: false,
    hide: false, join: false, whole: false, way: "",
  };
  const { raw, refold, fold, entropy } = makeNumbers(data, state);
  const { magnitude, difference, paint, pooled, matrix, strands } = makePictures(data.colours);
  let from, to; // the lines and columns now shown

  const between = () => state.which === 2;
  const thumbnail = (cell) => {
    const values = (between() ? models : [models[state.which]]).map((m) => fold(raw(m, cell.layer, cell.head)));
    const [small, width, height] = pooled(
      between() ? minus(...values) : values[0], from.names.length, to.names.length);
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
  let figures = [], built = 0; // for which width

  const column = (parent, kind, group, row) => {
    const node = make(parent, "div", `column ${kind}`, {
      role: "group", "aria-label": kind === "from" ? "tokens that look" : "tokens that are looked at",
    });
    node.style.setProperty("--row", `${row}px`);
    roam(node, "ArrowUp", "ArrowDown");
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
      return button;
    });
  };

  const heatMap = (parent, map, readout) => matrix(parent, map, from, to, readout, (margin) => {
    const room = find(".figures").clientWidth - margin - 4, beside = room - 250;
    return models.length > 1 ? Math.min(330 - margin, room) : Math.min(400, beside > 240 ? beside : room);
  }, () => figures.forEach(report));
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
      const heat = heatMap(drawn, 0, readout);
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
      figures.difference = heatMap(drawn, 1, readout);
    }
  };

  const shares = ({ values }, kind, index) => {
    const width = to.names.length;
    return kind === "from" ? values.slice(index * width, (index + 1) * width)
      : Float32Array.from(from.names, (_, i) => values[i * width + index]);
  };
  const strongest = (found, names) => [...found.keys()].sort((a, b) => found[b] - found[a]).slice(0, 4)
    .filter((k) => found[k] > 0.0005).flatMap((k, n) => [[n ? ", " : " "], [names[k], true], [` ${percent(found[k])}`]]);

  const report = (figure) => {
    const { token } = state, tint = colour(), any = strands(figure, from, to, token, tint);
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
    [from, to] = refold();
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
  for (const [name, here] of [["hide", data.special.length], ["join", data.words], ["way", data.second], ["whole", true]]) {
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
