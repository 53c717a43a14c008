"use strict";
// Weights of heads as they came, and folded: without specials, one direction only, pieces joined to words.
const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const minus = (one, two) => two.map((value, k) => value - one[k]);

const makeNumbers = (data, state) => {
  const [, heads, rows, columns] = data.models[0].weights.steps.shape;
  const looked = data.others ?? data.tokens;

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
    return [from, to];
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

  return { raw, refold, fold, entropy };
};
