"use strict";
// What nbkit.views.page.pack made of an array: {shape, values}, values as the typed array that its dtype asks for.
const unpack = async ({ type, shape, data }) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new globalThis[type](await new Response(stream).arrayBuffer());
  return { shape, values };
};
