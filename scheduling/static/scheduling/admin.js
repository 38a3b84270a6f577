"use strict";
// Times become local, keep going, and are typed so; the dashboard refreshes itself while it is looked at; a schedule
// is previewed.
(() => {
  const born = performance.now();
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  const relative = (seconds) => {
    const [size, unit] = units.find(([size]) => Math.abs(seconds) >= size) || [1, "s"];
    const count = Math.floor(Math.abs(seconds) / size);
    if (!count) return "now";
    return seconds < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`;
  };

  const localize = (root) => {
    for (const time of root.querySelectorAll("time.when:not([title])")) {
      const when = new Date(time.dateTime);
      const today = when.toDateString() === new Date().toDateString();
      time.title = time.textContent;
      time.textContent = when.toLocaleString(undefined, today
        ? { timeStyle: "medium", hourCycle: "h23" }
        : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    }
    for (const age of root.querySelectorAll(".ago[data-age]:not([data-born])")) age.dataset.born = performance.now() - born;
  };

  const keepGoing = () => {
    for (const age of document.querySelectorAll(".ago[data-born]")) {
      age.textContent = relative(+age.dataset.age + (performance.now() - born - age.dataset.born) / 1000);
    }
  };

  const load = async (address) => {
    const answer = await fetch(address, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(answer.status);
    return answer.text();
  };

  const live = document.getElementById("live");
  const every = live ? live.dataset.every * 1000 : 0;
  let wait = every, timer = 0;

  const refresh = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const html = await load(live.dataset.src);
      if (!live.contains(document.activeElement)) {
        live.innerHTML = html;
        localize(live);
      }
      live.classList.remove("stale");
      wait = every;
    } catch {
      live.classList.add("stale");
      wait = Math.min(wait * 2, 60000);
    }
    timer = setTimeout(refresh, wait);
  };

  // A time is typed in the reader's zone, and sent in UTC; the page has it in UTC too.
  for (const input of document.querySelectorAll("input[data-local]")) {
    const zone = document.createElement("span");
    zone.className = "quiet";
    zone.textContent = ` ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
    input.after(zone);
    if (input.defaultValue) {
      const when = new Date(`${input.defaultValue}Z`);
      input.value = new Date(when - when.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    }
    input.form.addEventListener("formdata", ({ formData }) => {
      if (input.value) formData.set(input.name, new Date(input.value).toISOString());
    });
  }

  const preview = document.getElementById("preview");
  const spec = document.querySelector("[data-preview]"), zone = document.querySelector("[list=timezones]");
  const show = async () => {
    const query = new URLSearchParams({ spec: spec.value, timezone: zone.value });
    try {
      preview.innerHTML = await load(`${preview.dataset.src}?${query}`);
      localize(preview);
    } catch { preview.textContent = ""; }
  };

  localize(document);
  setInterval(keepGoing, 1000);
  if (live) {
    timer = setTimeout(refresh, every);
    document.addEventListener("visibilitychange", refresh);
  }
  if (preview && spec && zone) {
    zone.closest(".form-row").after(preview);
    let typed = 0;
    for (const field of [spec, zone]) {
      field.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(show, 300); });
    }
  }
})();
