// Draws what /health says. Chinese first, English beside it.
const ALARMS = {
  outbox_full: "磁盘已满，过车暂存内存 · the disk takes nothing, passages are held in memory",
  passages_given_up: "有过车记录被舍弃 · passages were given up",
  camera_lost: "摄像机中断 · a camera is lost",
  picture_bad: "画面异常（冻结、黑屏或失焦）· a picture is frozen, black or defocused",
  pictures_given_up: "有图片被舍弃 · pictures were given up",
  outbox_damaged: "数据库曾损坏，已另存 · a damaged database was set aside",
  disk_low: "磁盘空间不足 · little room on the disk",
  dead_letters: "有过车被中心拒收 · the server rejected passages",
  link_down: "与中心的连接中断 · the server is not reached",
  clock_off: "时钟未同步或偏差过大 · the clock is not synchronised or off",
  hot: "温度过高 · too hot",
  watchlist_stale: "布控名单过期 · the copy of the watchlist is old",
  hook_failed: "联动命令失败 · the hook failed",
  config_rejected: "新配置未生效 · the new configuration is not in force",
};

const shown = (value, unit = "") => (value === null || value === undefined ? "–" : `${value}${unit}`);
const megabytes = (bytes) => (bytes === null ? "–" : `${(bytes / 1e6).toFixed(0)} MB`);
const local = (at) => (at ? new Date(at).toLocaleString("zh-CN", { hour12: false }) : "–");

function row(cells, tag = "td") {
  const line = document.createElement("tr");
  cells.forEach((cell, place) => {
    const box = document.createElement(place === 0 ? "th" : tag);
    box.textContent = cell;
    line.append(box);
  });
  return line;
}

function draw(said) {
  document.getElementById("agent").textContent = said.agent_id;
  const verdict = document.getElementById("verdict");
  verdict.textContent = said.ok ? "正常 all is well" : "请检查 please look";
  verdict.className = said.ok ? "ok" : "bad";
  document.getElementById("alarms").replaceChildren(
    ...said.alarms.map((code) => {
      const item = document.createElement("li");
      item.className = "bad";
      item.textContent = ALARMS[code] ?? code;
      return item;
    }),
  );
  const clock = said.clock.synchronised === null ? "–" : said.clock.synchronised ? "已同步 synchronised" : "未同步 not synchronised";
  document.getElementById("box").replaceChildren(
    row(["版本 version", `${said.version} · ${said.models.detector} · ${said.models.recogniser}`]),
    row(["启动 started", local(said.started_at)]),
    row(["连接 link", said.link_fault ?? "正常 up"]),
    row(["待传 waiting", `${said.queue_passages} · ${megabytes(said.queue_pictures_bytes)} · 最早 oldest ${local(said.oldest_queued_at)}`]),
    row(["拒收 rejected", shown(said.dead_letters)]),
    row(["布控名单 watchlist", shown(said.watchlist_revision)]),
    row(["时钟 clock", `${clock} · ${shown(said.clock.offset_ms, " ms")}`]),
    row(["磁盘 disk", `${megabytes(said.disk_free_bytes)} / ${megabytes(said.disk_total_bytes)}`]),
    row(["内存 memory", megabytes(said.memory_bytes)]),
    row(["处理器 processor", said.cpu_share === null ? "–" : `${(said.cpu_share * 100).toFixed(0)} %`]),
    row(["温度 temperature", shown(said.temperature_c, " °C")]),
    row(["累计 since made", Object.entries(said.counters).map(([name, times]) => `${name} ${times}`).join(" · ")]),
  );
  document.getElementById("cameras").replaceChildren(
    row(["摄像机 camera", "状态 state", "帧率 fps", "丢帧 dropped", "过车 passages", "最近一帧 last frame"], "th"),
    ...said.cameras.map((camera) =>
      row([camera.camera_id, camera.fault ?? camera.picture ?? (camera.connected ? "正常 ok" : "结束 ended"), camera.frames_per_s, shown(camera.frames_dropped), shown(camera.passages), local(camera.last_frame_at)]),
    ),
  );
}

async function renew() {
  try {
    draw(await (await fetch("/health")).json());
  } catch {
    const verdict = document.getElementById("verdict");
    verdict.textContent = "前端程序无应答 the agent does not answer";
    verdict.className = "bad";
  }
}

renew();
setInterval(renew, 5000);
