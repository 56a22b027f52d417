"use strict";
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // A link to something folded opens it.
  const reveal = () => {
    let element = null;
    try { element = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    if (!element) return;
    for (let each = element; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
    element.scrollIntoView();
    const target = element.matches("details") ? element.querySelector("summary") : element;
    target.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) reveal();
  });

  // Paper has no folds.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details.fails:not([open])");
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of folded) each.open = false; });

  for (const button of all("button[data-open]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", open);
      for (const each of all(button.dataset.open)) if (!each.closest("[hidden]")) each.open = open;
    });
  }
  reveal();
})();
