import { ask, at, complain, onClick, onLocalhost, text } from "/static/api.js";

async function begin() {
  const me = await ask("GET", "/auth/me").catch((error) => {
    if (error.status === 401) return location.replace("/sign-in");
    throw error;
  });
  if (!me) return;
  at("name").textContent = me.name;
  at("role").textContent = text(me.role) ?? text("no_role");
  at("place").textContent = [me.provider_id, ...me.unit_ids, me.district].filter(Boolean).join(", ") || text("everywhere");
  await showSessions();
  at("person").hidden = false;
  onClick(at("sign-out"), async () => {
    await ask("POST", "/auth/sign-out");
    location.assign("/sign-in");
  });
}

async function showSessions() {
  const { items } = await ask("GET", "/auth/sessions");
  at("sessions").replaceChildren(...items.map(sessionItem));
}

function sessionItem(session) {
  const item = document.createElement("li");
  const since = new Date(session.created_at).toLocaleString(document.documentElement.lang);
  item.textContent = `${session.current ? `${text("here")}, ` : ""}${text("since")} ${since} – ${session.agent} `;
  if (!session.current) {
    const end = Object.assign(document.createElement("button"), { type: "button", textContent: text("end") });
    onClick(end, async () => {
      await ask("DELETE", `/auth/sessions/${session.session_id}`);
      await showSessions();
    });
    item.append(end);
  }
  return item;
}

if (!onLocalhost()) begin().catch(complain);
