// Exports an SVG as a standalone file with inline styles.

import { s } from "./dom.js";

const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "opacity", "font-family", "font-size", "font-weight"];

/** The SVG as a standalone XML document, on the background of the element that holds it. */
export function exported(svg, holder) {
  const copy = svg.cloneNode(true);
  const originals = [svg, ...svg.querySelectorAll("*")];
  const copies = [copy, ...copy.querySelectorAll("*")];
  for (const [index, element] of copies.entries()) {
    const style = getComputedStyle(originals[index]);
    for (const name of STYLES) {
      const value = style.getPropertyValue(name);
      if (value && value !== "none 0px") element.setAttribute(name, value);
    }
    for (const name of ["class", "tabindex", "role", "data-key", "aria-label"]) element.removeAttribute(name);
  }
  copy.querySelector("g[transform]")?.removeAttribute("transform");
  const { width, height } = svg.viewBox.baseVal;
  copy.prepend(s("rect", { width, height, fill: getComputedStyle(holder).backgroundColor }));
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
}
