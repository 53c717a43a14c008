"use strict";
(() => {
  const make = (parent, tag, name, attributes = {}) => {
    const node = document.createElement(tag);
    node.className = name;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };

  // Samples of a 16-bit WAV in a data address, behind the header of 44 bytes that nbkit.views.player writes.
  const samplesOf = (address) => {
    const text = atob(address.slice(address.indexOf(",") + 1));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer, 44);
    return Float32Array.from({ length: view.byteLength >> 1 }, (_, i) => view.getInt16(2 * i, true) / 32768);
  };

  const players = [];
  let last = null; // the one that the space bar means

  const build = (figure) => {
    const audio = figure.querySelector("audio");
    const { spans } = JSON.parse(figure.querySelector("script").textContent);
    const samples = samplesOf(audio.src);
    audio.controls = false;
    audio.hidden = true;

    const row = make(figure, "div", "row");
    const button = make(row, "button", "play", { type: "button", "aria-label": "play" });
    button.textContent = "▶";
    const track = make(row, "div", "track", {
      tabindex: 0, role: "slider", "aria-label": "position in seconds", "aria-valuemin": 0,
    });
    const canvas = make(track, "canvas", "");
    const head = make(track, "div", "head");
    const time = make(row, "span", "time");
    const strip = spans.length ? make(figure, "div", "spans") : null;
    const seconds = () => audio.duration || 0;
    let end = Infinity; // where to stop: the end of a clicked span

    const show = () => {
      const at = audio.currentTime;
      head.style.left = `${seconds() ? (100 * at) / seconds() : 0}%`;
      time.textContent = `${at.toFixed(2)} / ${seconds().toFixed(2)} s`;
      track.setAttribute("aria-valuenow", at.toFixed(2));
      track.setAttribute("aria-valuemax", seconds().toFixed(2));
      if (strip) [...strip.children].forEach((node, i) =>
        node.classList.toggle("on", at > 0 && at >= spans[i][1] && at < spans[i][2]));
    };
    const tick = () => {
      if (audio.currentTime >= end) audio.pause();
      show();
      if (!audio.paused) requestAnimationFrame(tick);
    };
    const play = (from, until = Infinity) => {
      if (from !== undefined) audio.currentTime = from;
      end = until;
      audio.play().catch((error) => {
        if (error.name !== "AbortError") time.textContent = error.message; // paused before it began is no error
      });
    };
    const toggle = () => (audio.paused ? play() : audio.pause());
    const seek = (at) => {
      end = Infinity;
      audio.currentTime = Math.min(Math.max(at, 0), seconds());
      show();
    };

    audio.addEventListener("play", () => {
      players.forEach((other) => other.audio !== audio && other.audio.pause());
      last = player;
      button.textContent = "❚❚";
      button.setAttribute("aria-label", "pause");
      tick();
    });
    audio.addEventListener("pause", () => {
      button.textContent = "▶";
      button.setAttribute("aria-label", "play");
      show();
    });
    for (const name of ["loadedmetadata", "seeked", "ended"]) audio.addEventListener(name, show);
    button.addEventListener("click", toggle);
    const seekToPointer = (event) => {
      const box = track.getBoundingClientRect();
      last = player;
      seek(((event.clientX - box.left) / box.width) * seconds());
    };
    track.addEventListener("pointerdown", (event) => {
      track.setPointerCapture(event.pointerId);
      seekToPointer(event);
    });
    track.addEventListener("pointermove", (event) => event.buttons && seekToPointer(event));
    track.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key];
      if (step) {
        event.preventDefault();
        seek(audio.currentTime + step);
      }
    });

    const draw = (loudest) => {
      const scale = window.devicePixelRatio || 1;
      const width = (canvas.width = Math.round(track.clientWidth * scale));
      const height = (canvas.height = Math.round(track.clientHeight * scale));
      const pen = canvas.getContext("2d");
      pen.fillStyle = getComputedStyle(figure).getPropertyValue("--wave");
      for (let x = 0; x < width; x++) {
        const first = Math.floor((x * samples.length) / width);
        const stop = Math.max(first + 1, Math.floor(((x + 1) * samples.length) / width));
        let low = 1, high = -1;
        for (let i = first; i < stop; i++) {
          low = Math.min(low, samples[i]);
          high = Math.max(high, samples[i]);
        }
        const top = (0.5 - (0.47 * high) / loudest) * height;
        pen.fillRect(x, top, 1, Math.max(scale, (0.47 * (high - low) * height) / loudest));
      }
    };
    const placeSpans = () => {
      if (!strip || !seconds() || strip.children.length) return;
      for (const [label, from, until] of spans) {
        const node = make(strip, "button", "", { type: "button", title: `${label} ${from.toFixed(2)} s` });
        node.textContent = label;
        node.style.left = `${(100 * from) / seconds()}%`;
        node.style.width = `${(100 * (until - from)) / seconds()}%`;
        node.addEventListener("click", () => play(from, until));
      }
    };
    audio.addEventListener("loadedmetadata", placeSpans);
    placeSpans();
    show();
    const player = { audio, toggle, draw, track, peak: samples.reduce((most, s) => Math.max(most, Math.abs(s)), 0.01) };
    players.push(player);
  };

  document.querySelectorAll(".player").forEach(build);
  last = players[0];
  // One scale for the whole page: a quiet recording looks quiet beside a loud one.
  const loudest = Math.max(...players.map((player) => player.peak));
  for (const player of players) new ResizeObserver(() => player.draw(loudest)).observe(player.track);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    players.forEach((player) => player.draw(loudest)));
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target instanceof HTMLButtonElement || !last) return;
    event.preventDefault();
    last.toggle();
  });
})();
