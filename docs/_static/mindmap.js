// Draws the mind map of the notes from the data that the build has put into the page.

const box = document.getElementById("mindmap");
const data = JSON.parse(document.getElementById("mindmap-data").textContent);
const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

// Folds or opens every node below the given depth.
function foldBelow(node, depth) {
  node.payload = { ...node.payload, fold: depth <= 0 && node.children.length ? 1 : 0 };
  node.children.forEach((child) => foldBelow(child, depth - 1));
}

const depth = box.clientWidth < 600 ? 1 : 2; // what is open at first stays legible on a phone
foldBelow(data.root, depth);
const map = markmap.Markmap.create(
  box.querySelector("svg"),
  { ...markmap.deriveOptions(data.options), duration: still ? 0 : 300 },
  data.root,
);

const actions = {
  fit: () => map.fit(),
  open: async () => {
    foldBelow(data.root, Infinity);
    await map.setData(data.root);
    await map.fit();
  },
  fold: async () => {
    foldBelow(data.root, depth);
    await map.setData(data.root);
    await map.fit();
  },
  full: () => (document.fullscreenElement ? document.exitFullscreen() : box.requestFullscreen()),
};

// What a click has opened is moved into view, once the map has measured it.
const end = (node) => node.state.rect.x + node.state.rect.width;
box.addEventListener("click", (event) => {
  const circle = event.target.closest("circle");
  if (circle) {
    const node = d3.select(circle).datum();
    const shown = node.payload.fold ? [node] : node.children;
    setTimeout(() => {
      const widest = shown.reduce((a, b) => (end(a) > end(b) ? a : b));
      map.ensureVisible(widest, { left: 20, right: 20, top: 40, bottom: 40 });
    }, 400);
  }
});
box.querySelectorAll("button").forEach((button) => {
  button.addEventListener("click", actions[button.dataset.do]);
});
new ResizeObserver(() => map.fit()).observe(box);
