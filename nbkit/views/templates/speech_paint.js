"use strict";
// What the panels of the speech player show. x(seconds) gives pixels; wide is what can be seen.
const paint = (() => {
  const TICKS = [500, 1000, 2000, 4000], TOP = 8000, PITCH = [50, 500];
  // Slaney's scale, the one of the features
  const slaney = (hertz) => (hertz < 1000 ? (hertz * 3) / 200 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4));
  const pitchAt = (hertz, height) => height * (1 - Math.log(hertz / PITCH[0]) / Math.log(PITCH[1] / PITCH[0]));

  const twice = (pen, colour, width) => { // a dark edge keeps a line apart from bright colours
    for (const [style, line] of [["rgba(0, 0, 0, .55)", width + 2], [colour, width]]) {
      pen.strokeStyle = style;
      pen.lineWidth = line;
      pen.stroke();
    }
  };
  const image = (pen, bitmap, from, until, height, smooth) => {
    pen.imageSmoothingEnabled = smooth;
    pen.drawImage(bitmap, from, 0, until - from, height);
  };
  const truthLines = (pen, version, x, height) => {
    pen.fillStyle = "rgba(255, 255, 255, .8)";
    for (const edge of new Set(version.truth.flatMap(([, from, until]) => [from, until]))) pen.fillRect(x(edge) - 0.5, 0, 1, height);
  };

  const wave = ({ pen, height }, version, { waves }, x, wide, colour) => {
    const { samples, rate, loudest } = waves[version.sound];
    pen.fillStyle = colour("--wave");
    const perPixel = rate / (x(1) - x(0)), start = -x(0) * perPixel;
    for (let column = 0; column < wide; column += 0.5) {
      const first = Math.floor(start + column * perPixel);
      if (first >= samples.length) break;
      const stop = Math.min(samples.length, Math.max(first + 1, Math.floor(start + (column + 0.5) * perPixel)));
      let low = 1, high = -1;
      for (let i = first; i < stop; i++) {
        low = Math.min(low, samples[i]);
        high = Math.max(high, samples[i]);
      }
      pen.fillRect(column, (0.5 - (0.47 * high) / loudest) * height, 0.5, Math.max(0.5, (0.47 * (high - low) * height) / loudest));
    }
  };

  const mel = ({ pen, height }, version, mels, x, wide, colour) => {
    const bitmap = mels[version.mel];
    if (!bitmap) return;
    image(pen, bitmap, x(0), x(bitmap.width * version.frame), height, true);
    truthLines(pen, version, x, height);
    if (!version.pitch) return;
    pen.beginPath();
    let gap = true;
    version.pitch.forEach((hertz, frame) => {
      if (hertz > 0) pen[gap ? "moveTo" : "lineTo"](x((frame + 0.5) * version.frame), pitchAt(hertz, height));
      gap = !(hertz > 0);
    });
    pen.lineJoin = pen.lineCap = "round";
    twice(pen, colour("--pitch"), 2);
  };

  const path = ({ pen, height }, version, x, wide, colour) => {
    const { tokens, scores } = version;
    if (!tokens.length) return;
    const step = height / tokens.length;
    if (scores) image(pen, scores, x(0), x(tokens.at(-1)[2]), height, false);
    pen.strokeStyle = scores ? "rgba(255, 255, 255, .9)" : colour("--wave");
    pen.lineWidth = 1;
    for (const [, from, until, first, stop] of version.truth)
      if (stop !== undefined) pen.strokeRect(x(from), first * step, x(until) - x(from), (stop - first) * step);
    pen.beginPath();
    tokens.forEach(([, from, until], row) => {
      pen.lineTo(x(from), (row + 0.5) * step);
      pen.lineTo(x(until), (row + 0.5) * step);
    });
    if (scores) return twice(pen, "#ff5a36", 1.8);
    pen.strokeStyle = colour("--played");
    pen.lineWidth = 1.8;
    pen.stroke();
  };

  const seconds = ({ pen }, x, longest, wide, colour) => {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30].find((one) => x(one) - x(0) > 56) ?? 60;
    pen.fillStyle = colour("--muted");
    pen.font = "11px sans-serif";
    for (let count = Math.max(0, Math.ceil(-x(0) / (x(step) - x(0)))); count * step <= longest; count++) {
      const left = x(count * step);
      if (left > wide) break;
      const text = (count * step).toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0);
      pen.fillRect(left, 0, 1, 4);
      const room = pen.measureText(text).width;
      pen.fillText(text, Math.min(Math.max(left - room / 2, 0), wide - room), 15);
    }
  };

  // [y, text, side] of the labels beside a mel
  const hertz = (height, pitched) => [
    ...TICKS.map((tick) => [height * (1 - slaney(tick) / slaney(TOP)), tick < 1000 ? `${tick} Hz` : `${tick / 1000} kHz`, "left"]),
    ...(pitched ? [75, 150, 300].map((tick) => [pitchAt(tick, height), `${tick} Hz`, "right"]) : []),
  ];

  // Beside the path: every token where the rows are high enough, else the words; false where there is neither
  const rows = ({ height }, { tokens, words }, label) => {
    const step = height / tokens.length;
    if (tokens.length && step >= 11) tokens.forEach(([text], row) => label((row + 0.5) * step, text));
    else if (words.length)
      for (const [text, from, until] of words) {
        const held = tokens.flatMap((token, row) => (token[1] >= from && token[2] <= until && token[2] > token[1] ? [row] : []));
        if (held.length) label(((held[0] + held.at(-1) + 1) / 2) * step, text);
      }
    else return false;
    return true;
  };

  return { wave, mel, path, seconds, hertz, rows };
})();
