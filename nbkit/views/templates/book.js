"use strict";
(() => {
  const audio = document.querySelector("audio");
  const text = document.querySelector("main");
  const words = [...text.querySelectorAll(".word")];
  const times = JSON.parse(document.getElementById("times").textContent);
  const [button, back, place, clock, speed] =
    ["play", "back", "place", "time", "speed"].map((id) => document.getElementById(id));
  audio.controls = false;
  audio.hidden = true;
  let lit = -1; // the word that sounds, or sounded last
  let scrolledAt = -Infinity; // when a person moved the text; it is left alone for a while

  const told = (seconds) => {
    const whole = Math.floor(seconds);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  };
  // The last word that has begun at a time, by halving; -1 before the first.
  const wordAt = (at) => {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle][0] <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };
  const follow = (word) => {
    if (performance.now() - scrolledAt < 4000) return;
    const box = word.getBoundingClientRect(), frame = text.getBoundingClientRect();
    if (box.top < frame.top + 20 || box.bottom > frame.top + 0.6 * frame.height) {
      text.scrollTo({ top: text.scrollTop + box.top - frame.top - 0.25 * frame.height, behavior: "smooth" });
    }
  };
  const show = () => {
    const at = audio.currentTime, all = audio.duration || 0;
    place.max = all;
    place.value = at;
    place.setAttribute("aria-valuetext", `${told(at)} of ${told(all)}`);
    clock.textContent = `${told(at)} / ${told(all)}`;
    const now = at > 0 || !audio.paused ? wordAt(at) : -1;
    if (now !== lit) {
      const [from, to] = [Math.min(lit, now), Math.max(lit, now)];
      for (let i = Math.max(0, from); i <= to; i++) words[i].classList.toggle("heard", i < now);
      if (lit >= 0) words[lit].classList.remove("on");
      lit = now;
      if (lit >= 0) follow(words[lit]);
    }
    if (lit >= 0) words[lit].classList.toggle("on", at < times[lit][1] + 0.05);
  };
  const tick = () => {
    show();
    if (!audio.paused) requestAnimationFrame(tick);
  };
  const play = () => audio.play().catch((error) => {
    if (error.name !== "AbortError") clock.textContent = error.message; // paused before it began is no error
  });
  const toggle = () => (audio.paused ? play() : audio.pause());
  const seek = (at) => {
    audio.currentTime = Math.min(Math.max(at, 0), audio.duration || 0);
    show();
  };

  const state = (sign, name) => {
    button.textContent = sign;
    button.setAttribute("aria-label", name);
  };
  audio.addEventListener("play", () => { state("❚❚", "pause"); tick(); });
  audio.addEventListener("pause", () => { state("▶", "play"); show(); });
  for (const name of ["loadedmetadata", "seeked", "ended"]) audio.addEventListener(name, show);
  button.addEventListener("click", toggle);
  back.addEventListener("click", () => seek(audio.currentTime - 10));
  place.addEventListener("input", () => seek(Number(place.value)));
  speed.addEventListener("change", () => { audio.playbackRate = Number(speed.value); });
  for (const name of ["wheel", "touchmove"]) {
    text.addEventListener(name, () => { scrolledAt = performance.now(); }, { passive: true });
  }
  text.addEventListener("click", (event) => {
    const word = event.target.closest(".word");
    if (!word) return;
    scrolledAt = -Infinity;
    seek(times[words.indexOf(word)][0]);
    play();
  });
  document.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
    const step = { ArrowLeft: -10, ArrowRight: 10 }[event.key];
    if (event.key === " ") toggle();
    else if (step) seek(audio.currentTime + step);
    else return;
    event.preventDefault();
  });
  show();
})();
