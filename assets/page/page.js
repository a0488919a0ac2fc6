// Films side by side, and blind choices: names hidden, sides drawn by chance, choices counted.
(() => {
  const place = document.querySelector("#films");
  if (!place) return;
  const data = JSON.parse(document.querySelector("#scenes").textContent);
  for (const scene of data.scenes) for (const film of scene.films) {
    film.image = new Image();
    film.image.src = "data:image/webp;base64," + film.data;
    film.image.decode().then(draw);
  }
  place.innerHTML = `<div class="bar" id="normal"><select></select><button id="blind">Choose blindly</button></div>
<div class="films"></div>
<div class="bar"><button id="play">Pause</button><input type="range" min="0" value="0"><span id="at"></span></div>
<div class="bar" id="choose" hidden><button value="0">1: left is better</button><button value="1">2: right is better</button>
<button value="same">0: no difference</button><span id="trial"></span><button id="reveal">Stop and count</button></div>
<div class="wide" id="counts"></div>`;
  const find = name => place.querySelector(name);
  const scenes = find("select"), row = find(".films"), range = find("input"), choose = find("#choose");
  data.scenes.forEach((scene, number) => scenes.add(new Option(scene.title, number)));
  const several = data.scenes.some(scene => scene.films.filter(film => film.choice).length > 1);
  find("#blind").hidden = !several;
  let shown = [], playing = true, last = 0, trials = [], trial = null;
  const choices = [];

  function show(films, named) {
    shown = films; row.innerHTML = "";
    const zoom = Math.max(1, Math.floor((trial ? 384 : 256) / films[0].size[0]));
    for (const film of films) {
      const box = document.createElement("figure");
      box.innerHTML = "<figcaption></figcaption><canvas></canvas>";
      box.firstChild.textContent = named(film);
      film.canvas = box.lastChild;
      [film.canvas.width, film.canvas.height] = film.size;
      film.canvas.style.width = film.size[0] * zoom + "px";
      row.append(box);
    }
    range.max = Math.max(...films.map(film => film.count)) - 1;
    range.value = 0; draw();
  }
  function draw() {
    find("#at").textContent = `frame ${+range.value + 1} of ${+range.max + 1}`;
    for (const film of shown) {
      if (!film.image.complete) continue;
      const number = Math.min(+range.value, film.count - 1), [wide, tall] = film.size;
      film.canvas.getContext("2d").drawImage(film.image, number % film.columns * wide,
        Math.floor(number / film.columns) * tall, wide, tall, 0, 0, wide, tall);
    }
  }
  function loop(now) {
    if (playing && now - last > 1000 / data.fps) {
      last = now; range.value = +range.value >= +range.max ? 0 : +range.value + 1; draw();
    }
    requestAnimationFrame(loop);
  }
  function shuffle(list) {
    for (let i = list.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1)); [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }
  function begin() {
    trials = [];
    for (const scene of data.scenes) {
      const films = scene.films.filter(film => film.choice);
      for (let i = 0; i < films.length; i++) for (let j = i + 1; j < films.length; j++)
        trials.push(shuffle([films[i], films[j]]));
    }
    shuffle(trials); choices.length = 0; find("#counts").innerHTML = "";
    document.body.classList.add("blind"); choose.hidden = false; next();
  }
  function next() {
    if (!trials.length) return reveal();
    trial = trials.pop();
    find("#trial").textContent = `${choices.length} chosen, ${trials.length + 1} to go`;
    show(trial, film => film === trial[0] ? "left" : "right");
  }
  function pick(what) {
    choices.push({ of: trial.map(film => film.name), better: what === "same" ? null : trial[+what].name });
    next();
  }
  function reveal() {
    document.body.classList.remove("blind"); choose.hidden = true; trial = null;
    const counts = new Map();
    const count = name => counts.get(name) ?? counts.set(name, { better: 0, worse: 0, same: 0 }).get(name);
    for (const choice of choices) for (const name of choice.of)
      count(name)[choice.better === null ? "same" : choice.better === name ? "better" : "worse"]++;
    const table = document.createElement("table");
    table.innerHTML = "<tr><th></th><th>better</th><th>worse</th><th>no difference</th></tr>";
    for (const [name, one] of counts) {
      const line = table.insertRow();
      for (const value of [name, one.better, one.worse, one.same]) line.insertCell().textContent = value;
    }
    find("#counts").replaceChildren(table);
    const link = document.createElement("a");
    link.textContent = "the choices as JSON"; link.download = "choices.json";
    link.href = "data:application/json," + encodeURIComponent(JSON.stringify(choices));
    find("#counts").append(link);
    scene();
  }
  function scene() { show(data.scenes[scenes.value].films, film => film.name); }
  scenes.addEventListener("change", scene);
  range.addEventListener("input", () => { playing = false; find("#play").textContent = "Play"; draw(); });
  find("#play").addEventListener("click", event => { playing = !playing; event.target.textContent = playing ? "Pause" : "Play"; });
  find("#blind").addEventListener("click", begin);
  find("#reveal").addEventListener("click", reveal);
  choose.querySelectorAll("button[value]").forEach(button => button.addEventListener("click", () => pick(button.value)));
  addEventListener("keydown", event => { if (trial && "120".includes(event.key)) pick({ 1: "0", 2: "1", 0: "same" }[event.key]); });
  scene(); requestAnimationFrame(loop);
})();
