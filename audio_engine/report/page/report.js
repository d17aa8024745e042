// One play head for both players, the curves, the pictures and the events.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  const audio = { before: null, after: null };
  for (const each of document.querySelectorAll("audio")) audio[each.dataset.side] = each;
  if (!stage || !audio.before || !audio.after) return;
  if (!audio.before.canPlayType("audio/mpeg")) {
    document.querySelector(".cannot").hidden = false;
    return;
  }
  const duration = Number(stage.dataset.duration) || 1;
  const excerpts = JSON.parse(stage.dataset.excerpts);
  const louder = Number(stage.dataset.louder);
  const play = document.getElementById("play");
  const seek = document.getElementById("seek");
  const time = document.getElementById("time");
  const match = document.getElementById("match");
  const lanes = stage.querySelector(".lanes");
  const head = lanes.querySelector(".head");
  let side = "after";

  // A place in the recording is a place in an excerpt; excerpts lie one after the other.
  const toPlayer = (at) => {
    let best = excerpts[0];
    let far = Infinity;
    for (const each of excerpts) {
      const distance = Math.max(each.start_s - at, at - each.end_s, 0);
      if (distance < far) [best, far] = [each, distance];
    }
    const inside = Math.min(Math.max(at, best.start_s), Math.max(best.start_s, best.end_s - 0.05));
    return best.player_s + inside - best.start_s;
  };
  const toRecording = (at) => {
    let found = excerpts[0];
    for (const each of excerpts) if (each.player_s <= at + 1e-3) found = each;
    return Math.min(found.start_s + Math.max(at - found.player_s, 0), duration);
  };
  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    const rest = String(whole % 60).padStart(2, "0");
    const minutes = Math.floor(whole / 60) % 60;
    const hours = Math.floor(whole / 3600);
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };

  const show = () => {
    const at = toRecording(audio[side].currentTime);
    const share = Math.min(at / duration, 1);
    lanes.style.setProperty("--at", String(share));
    if (document.activeElement !== seek || !audio[side].paused) seek.value = String(Math.round(1000 * share));
    const text = `${clock(at)} / ${clock(duration)}`;
    if (time.textContent !== text) {
      time.textContent = text;
      seek.setAttribute("aria-valuetext", text);
    }
  };
  // Both play all the time, one of them muted: changing over leaves no gap.
  const listen = () => {
    for (const [name, each] of Object.entries(audio)) each.muted = name !== side;
    const matched = match && match.checked;
    audio.after.volume = matched && louder > 0 ? 10 ** (-louder / 20) : 1;
    audio.before.volume = matched && louder < 0 ? 10 ** (louder / 20) : 1;
  };
  const both = () => Object.values(audio);
  const go = (at) => {
    const position = toPlayer(Math.min(Math.max(at, 0), duration));
    for (const each of both()) each.currentTime = position;
    show();
  };
  const choose = (wanted) => {
    if (wanted !== side) {
      audio[wanted].currentTime = audio[side].currentTime;
      side = wanted;
    }
    stage.querySelector(`input[value=${side}]`).checked = true;
    listen();
    show();
  };
  const start = () => {
    if (audio[side].ended) go(0);
    for (const each of both()) each.play().catch(() => {});
  };
  const stop = () => { for (const each of both()) each.pause(); };

  const frame = () => {
    show();
    const other = audio[side === "after" ? "before" : "after"];
    if (Math.abs(other.currentTime - audio[side].currentTime) > 0.05) other.currentTime = audio[side].currentTime;
    if (!audio[side].paused) requestAnimationFrame(frame);
  };
  for (const each of both()) {
    each.addEventListener("seeked", show);
    each.addEventListener("play", () => {
      if (each !== audio[side]) return;
      play.textContent = play.dataset.pause;
      requestAnimationFrame(frame);
    });
    for (const name of ["pause", "ended"]) {
      each.addEventListener(name, () => {
        if (each !== audio[side]) return;
        play.textContent = play.dataset.play;
        stop();
        show();
      });
    }
  }
  play.addEventListener("click", () => (audio[side].paused ? start() : stop()));
  seek.addEventListener("input", () => go((Number(seek.value) / 1000) * duration));
  for (const each of stage.querySelectorAll("input[name=side]")) each.addEventListener("change", () => choose(each.value));
  if (match) match.addEventListener("change", listen);
  document.addEventListener("keydown", (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain && event.key.toLowerCase() === "b") choose(side === "after" ? "before" : "after");
  });
  lanes.addEventListener("click", (event) => {
    const area = event.target.closest(".area");
    if (!area) return;
    const box = area.getBoundingClientRect();
    go(((event.clientX - box.left) / box.width) * duration);
  });
  for (const each of document.querySelectorAll(".go")) {
    each.addEventListener("click", () => {
      go(Number(each.dataset.at) - 0.5);
      start();
    });
  }
  document.documentElement.classList.add("js");
  document.querySelector(".players").hidden = true;
  stage.querySelector(".transport").hidden = false;
  head.hidden = false;
  listen();
  show();
})();
