// Telegram sends a browser back with its proof behind the #, which only a script can read: it is handed to us from here.
(async () => {
  const say = (text) => { document.querySelector("p").textContent = text; };
  const proof = new URLSearchParams(location.hash.slice(1)).get("tgAuthResult");
  const state = new URLSearchParams(location.search).get("state");
  history.replaceState(null, "", location.pathname);
  try {
    const text = new TextDecoder().decode(Uint8Array.from(atob(proof.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0)));
    const answer = await fetch("/auth/telegram", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Tessera-CSRF": "1" },
      body: JSON.stringify({ state, data: JSON.parse(text) }),
    });
    const told = await answer.json();
    if (answer.ok) location.replace(told.next);
    else location.replace("/signin?error=" + encodeURIComponent(told.code));
  } catch {
    say("Telegram did not say who you are. Go back and try again.");
  }
})();
