// The page's script: what the stream tells is drawn, what the person does is one request. Ids are larger than numbers
// can be here, so they stay strings.

const TITLES = { telegram: "Telegram", discord: "Discord" };
const TOAST_MS = 4000;
const main = document.querySelector("main");
const who = document.querySelector("#who");
const dialog = document.querySelector("#dialog");
const columns = {};
let overview = { bots: {}, chats: {} };
let stream = null;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function person() {
  return { id: Number(who.elements.id.value), name: who.elements.name.value, language: who.elements.language.value };
}

function toast(text) {
  const shown = element("p", { textContent: text });
  document.querySelector("#toasts").append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}

// Acts

async function act(name, wanted, body = null) {
  const said = JSON.stringify({ who: person(), ...wanted });
  const url = body ? `/${name}?${new URLSearchParams({ act: said, name: body.name })}` : `/${name}`;
  const response = await fetch(url, { method: "POST", body: body ?? said });
  if (!response.ok && response.status !== 409) return toast(await response.text());
  const answer = await response.json();
  if (answer.error) return toast(answer.error.split("; there is")[0]);
  if (answer.form) return ask(answer.form, wanted.platform);
  if (answer.url) return offer(answer.url);
  if (answer.alert) return tell(answer.text);
  if (answer.text) toast(answer.text);
}

function open(title, ...children) {
  const form = dialog.querySelector("form");
  form.replaceChildren(element("h3", { textContent: title }), ...children);
  dialog.showModal();
  return form;
}

function tell(text) {
  open(text, element("div", { className: "line" }, element("button", { textContent: "OK" })));
}

function offer(url) {
  const link = element("a", { href: url, textContent: url, target: "_blank", rel: "noopener noreferrer" });
  open("A link", element("p", {}, /^https?:/.test(url) ? link : document.createTextNode(url)),
    element("div", { className: "line" }, element("button", { textContent: "Close" })));
}

function ask(form, platform) {
  const inputs = form.fields.map((field) => {
    const input = element(field.long ? "textarea" : "input", {
      name: field.id, value: field.value, required: field.required, placeholder: field.placeholder,
      minLength: field.min_length, maxLength: field.max_length,
    });
    return element("label", {}, field.label, input);
  });
  const opened = open(form.title, ...inputs, element("div", { className: "line" },
    element("button", { type: "button", textContent: "Cancel", onclick: () => dialog.close() }),
    element("button", { textContent: "Submit" })));
  opened.onsubmit = () => {
    const fields = Object.fromEntries(new FormData(opened));
    opened.onsubmit = null;
    act("fills", { platform, form: form.key, fields });
  };
}

// Messages

function relative(seconds) {
  const away = seconds - Date.now() / 1000;
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find(([, length]) => Math.abs(away) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(person().language, { numeric: "auto" }).format(Math.round(away / size), unit);
}

function moment(time, format) {
  if (format === "r") return relative(time);
  const shown = new Date(time * 1000);
  if (/^[tT]$/.test(format)) return shown.toLocaleTimeString(person().language);
  if (/^w?[dD]$/.test(format)) return shown.toLocaleDateString(person().language);
  return shown.toLocaleString(person().language);
}

function drawRun(run) {
  const link = /^https?:/.test(run.url);
  const part = element(link ? "a" : run.time !== null ? "time" : "span", { className: run.styles.join(" ") });
  part.textContent = run.time !== null ? moment(run.time, run.format) : run.text;
  if (run.time !== null) Object.assign(part.dataset, { time: run.time, format: run.format });
  if (link) Object.assign(part, { href: run.url, target: "_blank", rel: "noopener noreferrer" });
  if (run.styles.includes("spoiler")) part.onclick = () => part.classList.add("open");
  return part;
}

function drawMedia(media) {
  let shown;
  if (media.kind === "photo" && media.mime_type.startsWith("image/")) {
    shown = element("img", { src: media.url, alt: media.description || media.name, loading: "lazy" });
    if (media.width) Object.assign(shown, { width: media.width, height: media.height });
    shown.style.height = "auto";
  } else if (media.mime_type.startsWith("video/")) {
    shown = element("video", { src: media.url, controls: true, loop: media.kind === "animation", preload: "metadata" });
  } else {
    const kilobytes = Math.ceil(media.bytes / 1024);
    return element("a", { href: media.url, download: media.name, textContent: `${media.name} (${kilobytes} KB)` });
  }
  if (media.spoiler) {
    shown.classList.add("veiled");
    shown.onclick = () => shown.classList.remove("veiled");
  }
  return element("figure", {}, shown);
}

function drawButton(message, button, row, column) {
  const wanted = { platform: message.platform, message: message.id, row, column };
  if (button.kind === "choice") {
    const select = element("select", { disabled: !button.enabled, ariaLabel: button.label || "Choose" },
      element("option", { textContent: button.label || "Choose", value: "" }),
      ...button.choices.map((choice) => element("option", { textContent: choice.label, value: choice.value })));
    select.onchange = () => select.value && act("presses", { ...wanted, choice: select.value });
    return select;
  }
  const pressed = element("button", { type: "button", textContent: button.label, className: button.style });
  pressed.disabled = !button.enabled;
  pressed.onclick = async () => {
    pressed.disabled = true;
    await act("presses", wanted);
    pressed.disabled = !button.enabled;
  };
  return pressed;
}

function drawMeta(message, column) {
  const at = new Date(message.at * 1000).toLocaleTimeString(person().language, { timeStyle: "short" });
  const bits = [message.caused_by, message.author, at, message.edited ? "edited" : "", message.hidden ? "only you see this" : ""];
  const reply = element("button", { type: "button", textContent: "reply", onclick: () => column.replyTo(message) });
  const menu = (column.bots.find((bot) => bot.id === column.botOf(message))?.menu ?? [])
    .filter((command) => command.on === "message")
    .map((command) => element("button", {
      type: "button", textContent: command.name,
      onclick: () => act("uses", { platform: message.platform, message: message.id, bot: column.botOf(message), text: command.name }),
    }));
  return element("div", { className: "meta" }, bits.filter(Boolean).join(" · "), reply, ...menu);
}

function drawInvoice(message) {
  const { title, description, amount, paid } = message.invoice;
  const pay = element("button", { type: "button", textContent: paid ? "Paid" : `Pay ${amount} Stars (play money)`, disabled: paid });
  pay.onclick = () => act("pays", { platform: message.platform, message: message.id });
  return element("div", { className: "buttons" }, element("strong", { textContent: title }), description, pay);
}

function draw(message, column) {
  const quoted = message.reply_to && column.messages.get(message.reply_to);
  const text = element("div", { className: "text" }, ...message.runs.map(drawRun));
  if (message.thinking) text.classList.add("thinking");
  return element("li", { className: message.bot ? "message" : "message own", id: `${message.platform}-${message.id}` },
    drawMeta(message, column),
    quoted ? element("div", { className: "quoted", textContent: quoted.runs.map((run) => run.text).join("") }) : null,
    message.media.length ? element("div", { className: "media" }, ...message.media.map(drawMedia)) : null,
    text,
    message.invoice ? drawInvoice(message) : null,
    message.buttons.length ? element("div", { className: "buttons" }, ...message.buttons.map((row, y) =>
      element("div", {}, ...row.map((button, x) => drawButton(message, button, y, x))))) : null);
}

// Columns

class Column {
  constructor(platform) {
    this.platform = platform;
    this.messages = new Map();
    this.reply = null;
    this.photo = null;
    this.chosen = 0;
    const made = document.querySelector("#column").content.cloneNode(true).firstElementChild;
    made.dataset.platform = platform;
    made.querySelector("h2").textContent = TITLES[platform] ?? platform;
    main.append(made);
    for (const name of ["chats", "log", "composer", "suggestions", "reply", "photo"]) this[`${name}Part`] = made.querySelector(`.${name}`);
    this.text = made.querySelector("textarea");
    this.file = made.querySelector("input[type=file]");
    this.listen();
  }

  get bots() { return overview.bots[this.platform] ?? []; }
  get key() { return this.chatsPart.value; }
  get chat() { return (overview.chats[this.platform] ?? []).find((chat) => keyOf(chat) === this.key); }
  get bot() { return this.chat?.bot ?? this.bots[0]?.id; }
  botOf(message) { return message.bot ?? this.bot; }

  listen() {
    this.chatsPart.onchange = () => { this.replyTo(null); this.drawAll(); };
    this.composerPart.onsubmit = (event) => { event.preventDefault(); this.send(); };
    this.text.oninput = () => this.suggest();
    this.text.onkeydown = (event) => this.typed(event);
    this.text.onblur = () => setTimeout(() => { this.suggestionsPart.hidden = true; }, 150);
    this.file.onchange = () => this.attach(this.file.files[0] ?? null);
    this.replyPart.querySelector("button").onclick = () => this.replyTo(null);
    this.photoPart.querySelector("button").onclick = () => this.attach(null);
  }

  update() {
    const before = this.key;
    const options = (overview.chats[this.platform] ?? []).map((chat) => {
      const bot = this.bots.find((one) => one.id === chat.bot);
      return element("option", { value: keyOf(chat), textContent: `${chat.title}${bot && !bot.connected ? " (away)" : ""}` });
    });
    this.chatsPart.replaceChildren(...options);
    if ([...this.chatsPart.options].some((option) => option.value === before)) this.chatsPart.value = before;
    if (this.key !== before) this.drawAll();
  }

  take(message) {
    if (message.deleted) this.messages.delete(message.id);
    else this.messages.set(message.id, message);
    if (message.chat !== this.key) return;
    const there = document.getElementById(`${message.platform}-${message.id}`);
    if (message.deleted) return there?.remove();
    if (there) return there.replaceWith(draw(message, this));
    this.place(message);
    if (message.asks) this.replyTo(message);
  }

  place(message) {
    const log = this.logPart;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    let into = log;
    if (message.album) {
      into = log.querySelector(`[data-album="${message.album}"]`) ?? element("ul", { className: "album" });
      into.dataset.album = message.album;
      log.append(into);
    }
    into.append(draw(message, this));
    if (atEnd || !message.bot) log.scrollTop = log.scrollHeight;
  }

  drawAll() {
    this.logPart.replaceChildren();
    for (const message of [...this.messages.values()].sort((one, other) => (BigInt(one.id) < BigInt(other.id) ? -1 : 1)))
      if (message.chat === this.key) this.place(message);
  }

  replyTo(message) {
    this.reply = message;
    this.replyPart.hidden = !message;
    this.replyPart.querySelector("span").textContent = message ? `Reply to ${message.author}` : "";
    if (message) this.text.focus();
  }

  attach(file) {
    this.photo = file;
    this.photoPart.hidden = !file;
    this.photoPart.querySelector("span").textContent = file ? `Picture: ${file.name}` : "";
    if (!file) this.file.value = "";
  }

  send() {
    const text = this.text.value.trim();
    if ((!text && !this.photo) || !this.bot) return;
    const wanted = { platform: this.platform, bot: this.bot, text };
    if (!this.chat?.bot) wanted.group = this.chat.id;
    if (this.reply) wanted.message = this.reply.id;
    if (this.photo) act("sends_photo", wanted, this.photo);
    else act("says", wanted);
    this.text.value = "";
    this.suggestionsPart.hidden = true;
    this.replyTo(null);
    this.attach(null);
  }

  suggest() {
    const typed = this.text.value;
    const menu = this.bots.find((bot) => bot.id === this.bot)?.menu ?? [];
    const fitting = typed.startsWith("/") && !typed.includes(" ")
      ? menu.filter((command) => command.on === "chat" && command.name.startsWith(typed.slice(1))) : [];
    this.chosen = 0;
    this.suggestionsPart.hidden = !fitting.length;
    this.suggestionsPart.replaceChildren(...fitting.map((command, index) => {
      const options = command.options.map((option) => `${option}:`).join(" ");
      const line = element("li", { role: "option", ariaSelected: String(index === 0) },
        element("strong", { textContent: `/${command.name}` }), element("span", { textContent: `${command.description} ${options}` }));
      line.onmousedown = (event) => { event.preventDefault(); this.complete(command); };
      line.dataset.name = command.name;
      return line;
    }));
  }

  complete(command) {
    this.text.value = `/${command.name} `;
    this.suggestionsPart.hidden = true;
    this.text.focus();
  }

  typed(event) {
    const lines = [...this.suggestionsPart.children];
    if (!this.suggestionsPart.hidden && ["ArrowDown", "ArrowUp", "Tab", "Escape"].includes(event.key)) {
      event.preventDefault();
      if (event.key === "Escape") this.suggestionsPart.hidden = true;
      else if (event.key === "Tab") this.complete({ name: lines[this.chosen].dataset.name });
      else this.chosen = (this.chosen + (event.key === "ArrowDown" ? 1 : lines.length - 1)) % lines.length;
      lines.forEach((line, index) => { line.ariaSelected = String(index === this.chosen); });
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.composerPart.requestSubmit();
    }
  }
}

function keyOf(chat) {
  return chat.bot ? `bot:${chat.bot}` : `group:${chat.id}`;
}

// The stream

function connect() {
  stream?.close();
  stream = new EventSource(`/events?${new URLSearchParams(person())}`);
  const state = document.querySelector("#state");
  stream.onopen = () => { // everything is told anew, also after a break
    state.textContent = "";
    for (const column of Object.values(columns)) { column.messages.clear(); column.drawAll(); }
  };
  stream.onerror = () => { state.textContent = "The connection is lost; trying again."; };
  stream.addEventListener("overview", (event) => {
    overview = JSON.parse(event.data);
    for (const platform of Object.keys(overview.bots)) (columns[platform] ??= new Column(platform)).update();
  });
  stream.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    columns[message.platform]?.take(message);
  });
}

who.onchange = () => who.reportValidity() && connect();
who.onsubmit = (event) => event.preventDefault();
for (const button of document.querySelectorAll(".switch button")) {
  button.onclick = () => {
    main.dataset.shown = button.dataset.shows;
    for (const other of document.querySelectorAll(".switch button")) other.ariaPressed = String(other === button);
  };
}
setInterval(() => {
  for (const shown of document.querySelectorAll("time[data-time]")) shown.textContent = moment(Number(shown.dataset.time), shown.dataset.format);
}, 1000);
connect();
