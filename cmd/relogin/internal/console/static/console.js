// Keeps a page up to date: it is fetched again, and its parts are put in the place of the old ones,
// but for a part that somebody uses. Without this script all pages work, and are as old as they are.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  const every = 2000;
  const button = document.getElementById("pause-live");
  const state = document.getElementById("live-state");
  const news = document.getElementById("live-news");
  const verdict = () => document.querySelector("#verdict .verdict");
  let level = verdict()?.className;
  let stopped = false;
  let timer;

  const inUse = (part) => {
    const selection = document.getSelection();
    return part.contains(document.activeElement) || part.querySelector("details[open]") ||
      (selection && !selection.isCollapsed && selection.containsNode(part, true));
  };

  const swap = (fetched) => {
    for (const part of main.querySelectorAll("[data-part]")) {
      const fresh = fetched.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML && !inUse(part)) {
        const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
        part.innerHTML = fresh.innerHTML;
        part.querySelectorAll(".scroll").forEach((one, i) => { one.scrollLeft = scrolled[i] || 0; });
      }
    }
  };

  // Screen readers are told when the verdict becomes better or worse, and not of each number in it.
  const tell = () => {
    const now = verdict();
    if (now && now.className !== level) news.textContent = now.textContent;
    level = now?.className;
  };

  const refresh = async () => {
    try {
      const reply = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15000) });
      if (reply.redirected) { location.reload(); return; }
      if (!reply.ok) throw new Error(reply.statusText);
      swap(new DOMParser().parseFromString(await reply.text(), "text/html"));
      tell();
      state.textContent = "";
    } catch {
      state.textContent = state.dataset.lost;
    }
    next();
  };

  const next = () => {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(refresh, every);
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    stopped = !stopped;
    button.textContent = stopped ? button.dataset.go : button.dataset.stop;
    button.setAttribute("aria-pressed", String(stopped));
    next();
  });
  document.addEventListener("visibilitychange", next);
  next();
})();
