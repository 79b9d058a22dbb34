// The dashboard: the REST API's own answers, asked again every few seconds. What it holds of a login is gone with the page.
"use strict";

const PERIOD_MS = 5000;
const at = (id) => document.getElementById(id);
let tokens = null;
let timer = null;
let refreshing = null;

async function ask(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (tokens) headers.Authorization = `Bearer ${tokens.access}`;
  const reply = await fetch(path, { ...options, headers });
  const answer = reply.status === 204 ? null : await reply.json();
  if (reply.ok) return answer;
  const refusal = new Error(answer.detail || answer.title);
  refusal.status = reply.status;
  throw refusal;
}

const post = (path, body) => ask(path, { method: "POST", body: JSON.stringify(body) });

// An access token lasts for minutes: then its successor is fetched, once.
async function get(path) {
  try {
    return await ask(path);
  } catch (refusal) {
    if (refusal.status !== 401 || !tokens) throw refusal;
    refreshing ??= renew().finally(() => { refreshing = null; });
    await refreshing;
    return ask(path);
  }
}

async function renew() {
  const { refresh } = tokens;
  tokens = await post("/api/auth/refresh/", { refresh });
}

const number = (value) => value.toLocaleString("en");

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit ? value.toFixed(2) : value} ${units[unit]}`;
}

const time = (text) => (text ? text.replace("T", " ").replace("Z", "") : "");

// Always as text: names are members' own words.
function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function figures(id, pairs) {
  at(id).replaceChildren(
    ...pairs.map(([name, value]) => {
      const box = document.createElement("div");
      box.append(element("dt", name), element("dd", value));
      return box;
    }),
  );
}

function rows(id, list) {
  const made = list.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((cell) => element("td", cell ?? "")));
    return row;
  });
  at(id).tBodies[0].replaceChildren(...made);
}

async function show() {
  const [site, shut, log, policies, popular] = await Promise.all([
    get("/api/admin/dashboard/"),
    get("/api/security/stats/"),
    get("/api/logs/system-logs/?limit=10"),
    get("/api/admin/policies/?limit=10"),
    get("/api/torrents/popular/"),
  ]);
  figures("figures", [
    ["Members", number(site.members.active)],
    ["Torrents", number(site.torrents.open)],
    ["Awaiting moderation", number(site.torrents.pending)],
    ["Seeding", number(site.sessions.seeding)],
    ["Leeching", number(site.sessions.leeching)],
    ["Announced this hour", number(site.sessions.seen_last_hour)],
    ["Uploaded", bytes(site.uploaded)],
    ["Downloaded", bytes(site.downloaded)],
  ]);
  figures("security", [
    ["Disabled members", number(shut.disabled_members)],
    ["Revoked announce URLs", number(shut.revoked_tokens)],
    ["Ended logins", number(shut.revoked_logins)],
    ["Announces set aside", number(shut.set_aside)],
  ]);
  rows("log", log.results.map((it) => [time(it.created_at), it.actor ?? "operator", it.action, it.subject, it.detail]));
  rows("policies", policies.results.map((it) => [
    it.target ?? "everybody", `${it.download_percent} %`, `${it.upload_percent} %`, time(it.starts_at), time(it.ends_at),
  ]));
  rows("popular", popular.results.slice(0, 10).map((it) => [
    it.name, number(it.seeders), number(it.leechers), number(it.completed),
  ]));
  at("state").textContent = `as of ${new Date().toLocaleTimeString("en-GB")}`;
}

function leave(why = "") {
  clearInterval(timer);
  if (tokens) post("/api/auth/logout/", { refresh: tokens.refresh }).catch(() => {});
  tokens = null;
  at("site").hidden = at("leave").hidden = true;
  at("login").hidden = false;
  at("refusal").textContent = why;
  at("state").textContent = "";
}

async function tick() {
  try {
    await show();
  } catch (refusal) {
    if (refusal.status === 401 || refusal.status === 403) leave(refusal.message);
    else at("state").textContent = `not up to date: ${refusal.message}`;
  }
}

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  at("refusal").textContent = "";
  try {
    tokens = await post("/api/auth/login/", { username: form.username.value, password: form.password.value });
    await show();
  } catch (refusal) {
    leave(refusal.message);
    return;
  }
  form.password.value = "";
  form.hidden = true;
  at("site").hidden = at("leave").hidden = false;
  timer = setInterval(tick, PERIOD_MS);
});

at("leave").addEventListener("click", () => leave());
