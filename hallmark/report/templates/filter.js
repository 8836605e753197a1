(() => {
  "use strict";
  const bar = document.getElementById("filter");
  const box = bar.querySelector("input"), red = bar.querySelector("#only-red"), all = bar.querySelector("#show-all");
  const chips = [...bar.querySelectorAll("[data-chip]")], told = bar.querySelector("output");
  const items = [...document.querySelectorAll("[data-check]")];
  const rows = items.filter((item) => item.matches("tr"));
  const groups = [...document.querySelectorAll("[data-group]")];
  const texts = new Map();
  const textOf = (item) => {
    if (!texts.has(item)) texts.set(item, `${item.dataset.check} ${item.textContent}`.toLowerCase());
    return texts.get(item);
  };
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const state = () => ({ text: box.value.trim(), red: pressed(red), verdicts: chips.filter(pressed).map((chip) => chip.dataset.chip) });

  const show = () => {
    const { text, red: onlyRed, verdicts } = state();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const active = words.length > 0 || onlyRed || verdicts.length > 0;
    for (const item of items) {
      const wanted = (!onlyRed || "red" in item.dataset) && (!verdicts.length || verdicts.includes(item.dataset.verdict));
      item.hidden = !(wanted && words.every((word) => textOf(item).includes(word)));
    }
    for (const group of groups) group.hidden = active && !group.querySelector("[data-check]:not([hidden])");
    all.disabled = !active;
    told.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} checks shown`;
  };

  // The state is part of the address, so that a link to it can be handed on.
  const keep = () => {
    const { text, red: onlyRed, verdicts } = state(), said = new URLSearchParams();
    if (text) said.set("find", text);
    if (onlyRed) said.set("red", "1");
    if (verdicts.length) said.set("verdict", verdicts.join("."));
    history.replaceState(null, "", `#${said}`);
  };
  const change = () => { show(); keep(); };

  const restore = () => {
    const hash = location.hash.slice(1);
    if (hash === "" || hash.includes("=")) {
      const said = new URLSearchParams(hash), verdicts = (said.get("verdict") ?? "").split(".");
      box.value = said.get("find") ?? "";
      press(red, said.has("red"));
      for (const chip of chips) press(chip, verdicts.includes(chip.dataset.chip));
    }
    show();
    // A link to something that is filtered away shows it.
    const target = document.getElementById(decodeURIComponent(hash));
    if (target?.closest("[hidden]")) { clear(); show(); target.scrollIntoView(); }
  };
  const clear = () => { box.value = ""; for (const button of [red, ...chips]) press(button, false); };

  box.addEventListener("input", change);
  for (const button of [red, ...chips]) button.addEventListener("click", () => { press(button, !pressed(button)); change(); });
  all.addEventListener("click", () => { clear(); change(); box.focus(); });
  bar.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", restore);
  bar.hidden = false;
  restore();
})();
