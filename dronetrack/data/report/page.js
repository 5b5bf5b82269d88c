// Lets one move closer on the map: wheel, drag, pinch, buttons, keys + - 0 and arrows. Without it the picture stands whole.
"use strict";
for (const figure of document.querySelectorAll("figure.moves")) {
  const picture = figure.querySelector("svg.picture");
  const [, , width, height] = picture.getAttribute("viewBox").split(" ").map(Number);
  const closest = 200;
  let x = 0, y = 0, zoom = 1;

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const bar = figure.querySelector(".scale");

  function show() {
    x = clamp(x, 0, width - width / zoom);
    y = clamp(y, 0, height - height / zoom);
    picture.setAttribute("viewBox", `${x} ${y} ${width / zoom} ${height / zoom}`);
    for (const one of picture.querySelectorAll(".fixed"))
      one.setAttribute("transform", `translate(${one.dataset.x} ${one.dataset.y}) scale(${1 / zoom})`);
    for (const one of picture.querySelectorAll(".still"))
      one.setAttribute("transform", `translate(${x} ${y}) scale(${1 / zoom})`);
    figure.classList.toggle("near", zoom > 1);
    measure();
  }

  function measure() {
    const perPixel = bar.dataset.metresPerPx / zoom;
    const most = 150 * perPixel, power = 10 ** Math.floor(Math.log10(most));
    const metres = [5, 2, 1].map((step) => step * power).find((value) => value <= most * 1.0000001);
    const right = Number(bar.dataset.right), left = right - metres / perPixel;
    const line = bar.querySelector("path"), y0 = bar.dataset.bottom;
    line.setAttribute("d", `M${left} ${y0 - 5}v5H${right}v-5`);
    const value = metres >= 1000 ? metres / 1000 : metres;
    const words = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 2 }).format(value);
    bar.querySelector("text").textContent = `${words} ${metres >= 1000 ? "km" : "m"}`;
  }

  function zoomBy(factor, atX, atY) {
    const next = clamp(zoom * factor, 1, closest);
    x = atX - (atX - x) * zoom / next;
    y = atY - (atY - y) * zoom / next;
    zoom = next;
    show();
  }

  function place(event) {
    const box = picture.getBoundingClientRect();
    return [x + (event.clientX - box.left) / box.width * width / zoom, y + (event.clientY - box.top) / box.height * height / zoom];
  }

  const middle = () => [x + width / zoom / 2, y + height / zoom / 2];
  const acts = {
    closer: () => zoomBy(1.6, ...middle()),
    farther: () => zoomBy(1 / 1.6, ...middle()),
    whole: () => { x = 0; y = 0; zoom = 1; show(); },
  };
  for (const button of figure.querySelectorAll("button")) button.addEventListener("click", acts[button.dataset.act]);

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  figure.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const named = { "+": "closer", "=": "closer", "-": "farther", "0": "whole" }[event.key];
    const step = steps[event.key];
    if (!named && !(step && zoom > 1)) return;
    event.preventDefault();
    if (named) return acts[named]();
    x += step[0] * width / zoom / 8;
    y += step[1] * height / zoom / 8;
    show();
  });

  picture.addEventListener("wheel", (event) => {
    // A page that scrolls past is not caught: only over the focused map, or with the control key, as on a touch pad.
    if (!event.ctrlKey && !figure.contains(document.activeElement)) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * 0.0022), ...place(event));
  }, { passive: false });

  const fingers = new Map();
  picture.addEventListener("pointerdown", (event) => {
    picture.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    figure.classList.add("held");
    figure.focus({ preventScroll: true });
  });
  picture.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [fromX, fromY] = place(before), [toX, toY] = place(event);
    const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
    fingers.set(event.pointerId, event);
    if (other) {
      const gap = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      return zoomBy(gap(event) / Math.max(gap(before), 1), ...place(other));
    }
    x += fromX - toX;
    y += fromY - toY;
    show();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    picture.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) figure.classList.remove("held");
    });
  }

  figure.classList.add("ready");
  figure.querySelector(".tools").hidden = false;
  show();
}
