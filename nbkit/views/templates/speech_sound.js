"use strict";
// Sound that starts, ends and loops on the very sample: a token lasts 30 ms, where an audio element is 20 ms late.
const makeSound = (elements) => {
  const EDGE = 0.003; // seconds in which a cut fades, or it would click
  let context = null;
  let playing = null; // {source, level, began, at}; at(seconds since it began) is a place in the sound

  // A 16-bit WAV behind the header of 44 bytes that nbkit.views.player writes.
  const waves = elements.map((element) => {
    const text = atob(element.src.slice(element.src.indexOf(",") + 1));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const rate = view.getUint32(24, true);
    const length = (bytes.length - 44) >> 1;
    const samples = Float32Array.from({ length }, (_, i) => view.getInt16(44 + 2 * i, true) / 32768);
    const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0.01);
    return { rate, samples, loudest, buffer: null };
  });

  const bufferOf = (wave) => {
    if (!wave.buffer) {
      wave.buffer = context.createBuffer(1, wave.samples.length, wave.rate);
      wave.buffer.copyToChannel(wave.samples, 0);
    }
    return wave.buffer;
  };

  const position = () => {
    if (!playing) return null;
    const passed = Math.max(0, context.currentTime - playing.began - (context.outputLatency || 0));
    return playing.at(passed);
  };

  const stop = () => {
    if (!playing) return;
    const { source, level } = playing;
    playing = null;
    source.onended = null;
    level.gain.setTargetAtTime(0, context.currentTime, EDGE);
    source.stop(context.currentTime + 5 * EDGE);
  };

  // from, until in seconds; loop is null or [start, end]; ended is called when the sound came to its end by itself
  const play = (index, from, until, loop, decibel, ended) => {
    stop();
    context ??= new AudioContext();
    context.resume();
    const source = new AudioBufferSourceNode(context, { buffer: bufferOf(waves[index]) });
    const level = new GainNode(context, { gain: 0 });
    source.connect(level).connect(context.destination);
    const began = context.currentTime + 0.01;
    const loud = 10 ** (decibel / 20);
    level.gain.setValueAtTime(0, began);
    level.gain.linearRampToValueAtTime(loud, began + EDGE);
    if (loop) Object.assign(source, { loop: true, loopStart: loop[0], loopEnd: loop[1] });
    else level.gain.setTargetAtTime(0, Math.max(began + EDGE, began + until - from - EDGE), EDGE / 3);
    source.start(began, from, ...(loop ? [] : [until - from]));
    const at = (passed) => {
      if (!loop) return Math.min(from + passed, until);
      if (from + passed < loop[1]) return from + passed;
      return loop[0] + ((from + passed - loop[0]) % (loop[1] - loop[0]));
    };
    const mine = (playing = { source, level, began, at });
    source.onended = () => {
      if (playing !== mine) return;
      playing = null;
      ended();
    };
  };

  const turn = (decibel) => playing?.level.gain.setTargetAtTime(10 ** (decibel / 20), context.currentTime, EDGE);

  return { waves, play, stop, turn, position, playing: () => playing !== null };
};
