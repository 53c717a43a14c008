"use strict";
// What pages share.
const make = (parent, tag, name, attributes = {}, text = "") => {
  const node = document.createElement(tag);
  node.className = name;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  parent.append(node);
  return node;
};

// What nbkit.views.page.pack made of an array: {shape, values}, values as the typed array that its dtype asks for.
const unpack = async ({ type, shape, data }) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new globalThis[type](await new Response(stream).arrayBuffer());
  return { shape, values };
};

// One stop of the tab key for a row of buttons: from one to the next by these two keys.
const roam = (row, back, forth) => row.addEventListener("keydown", (event) => {
  const button = event.target, next = { [back]: button.previousSibling, [forth]: button.nextSibling }[event.key];
  if (![back, forth].includes(event.key) || button.parentNode !== row) return;
  event.preventDefault();
  event.stopPropagation();
  if (!next) return;
  button.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
