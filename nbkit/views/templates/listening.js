"use strict";
(() => {
  const test = JSON.parse(document.getElementById("test").textContent);
  const find = (what) => document.querySelector(what);
  const plays = [...document.querySelectorAll(".play")];
  const choices = [...document.querySelectorAll(".choices button")];
  const lines = find("textarea");
  const given = []; // {question, answer, seconds, played}, in the order of the questions
  let sounds = []; // an audio element a letter
  let heard = [], played = [], began = null;
  let copied = true; // whether the answers so far are anywhere else

  const show = () => {
    const number = given.length, total = test.questions.length, done = number === total;
    find("#told").textContent = done ? `All ${total} questions are answered.` : `Question ${number + 1} of ${total}`;
    find(".bar div").style.width = `${(100 * number) / total}%`;
    find("#asking").hidden = done;
    find("#after").hidden = !done;
    find("#back").disabled = find("#copy").disabled = !number;
    if (done) find("details").open = true;
    lines.value = given.map((row) => JSON.stringify({ test: test.key, ...row })).join("\n");
  };
  const enable = () => {
    plays.forEach((button, i) => {
      button.classList.toggle("heard", heard[i]);
      button.setAttribute("aria-label", `play ${test.letters[i]}${heard[i] ? ", heard" : ""}`);
    });
    const missing = test.letters.filter((_, i) => !heard[i]);
    for (const button of choices) button.disabled = missing.length > 0;
    const named = test.letters.length === 1 ? "it" : missing.join(" and ");
    const keys = `Keys: ${test.letters.length === 1 ? "p" : test.letters.join(", ").toLowerCase()} to play, ` +
      `${choices.length === 2 ? "1 or 2" : `1 to ${choices.length}`} to answer.`;
    find("#hint").textContent =
      `${missing.length ? `The answers wait until half of ${named} has been heard.` : "Listen as often as you like."} ${keys}`;
  };

  const ask = () => {
    sounds.forEach((sound) => sound.pause());
    began = null;
    played = test.letters.map(() => 0);
    heard = test.letters.map(() => false);
    sounds = (test.questions[given.length] || []).map((index, i) => {
      const sound = new Audio(`data:audio/wav;base64,${test.sounds[index]}`);
      const far = plays[i].querySelector(".far");
      far.style.width = "0";
      const look = () => {
        if (sounds[i] !== sound) return; // of a question that is answered
        far.style.width = `${(100 * sound.currentTime) / (sound.duration || 1)}%`;
        if (!heard[i] && (sound.ended || sound.currentTime >= test.heard * sound.duration)) {
          heard[i] = true;
          enable();
        }
        if (!sound.paused) requestAnimationFrame(look);
      };
      for (const name of ["play", "pause", "ended"]) sound.addEventListener(name, look);
      return sound;
    });
    show();
    enable();
  };

  const play = (i) => {
    if (!sounds[i]) return;
    sounds.forEach((sound) => sound.pause());
    began = began ?? performance.now();
    played[i] += 1;
    sounds[i].currentTime = 0;
    sounds[i].play().catch((error) => {
      if (error.name !== "AbortError") find("#hint").textContent = error.message; // paused before it began is no error
    });
  };
  const answer = (i) => {
    if (!sounds.length || choices[i].disabled) return;
    const seconds = Math.round((performance.now() - began) / 10) / 100;
    copied = false;
    given.push({ question: given.length, answer: test.answers[i], seconds, played, time: new Date().toISOString() });
    ask();
  };
  const back = () => {
    given.pop();
    ask();
  };

  plays.forEach((button, i) => button.addEventListener("click", () => play(i)));
  choices.forEach((button, i) => button.addEventListener("click", () => answer(i)));
  find("#back").addEventListener("click", back);
  find("#copy").addEventListener("click", () => {
    find("details").open = true;
    lines.select();
    find("#told").textContent = document.execCommand("copy") ? "Copied." : "Press Ctrl+C to copy what is selected.";
  });
  document.addEventListener("copy", () => (copied = true));
  window.addEventListener("beforeunload", (event) => copied || event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === lines) return;
    const letters = test.letters.length === 1 ? ["p"] : test.letters.map((letter) => letter.toLowerCase());
    const sound = letters.indexOf(event.key.toLowerCase());
    if (sound >= 0) play(sound);
    else if (event.key >= "1" && event.key <= String(choices.length)) answer(Number(event.key) - 1);
  });
  ask();
})();
