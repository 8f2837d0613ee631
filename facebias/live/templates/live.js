"use strict";

const settings = JSON.parse(document.getElementById("settings").textContent);
const part = (name) => document.getElementById(name);
const view = part("view"), pen = view.getContext("2d");
const rows = [...part("bars").tBodies[0].rows];
const video = document.createElement("video");
const sent = document.createElement("canvas");   // what the server gets
const shown = document.createElement("canvas");  // the same moment, in more pixels
const heat = document.createElement("canvas");
const SHOWN_SIDE = 960, LONGEST_RECORDING = 300000;
const QUALITY = 0.85, RETRY = 1000, NO_FACE = "No face is found.";

let source = null;     // "camera", "photo" or null
let round = 0;         // grows with every new source, so that late answers are told from its own
let asked = null;      // the frame that is being answered; one at a time
let last = null;       // the last answer that was drawn
let timer = 0, stream = null, recorder = null;
let answered = [];     // when, in the last second

function say(text, problem = false) {
  const line = part("status");
  if (line.textContent !== text) line.textContent = text;  // or it would be read out again
  line.classList.toggle("problem", problem);
}

function clearBars() {
  for (const row of rows) {
    row.classList.remove("predicted");
    row.querySelector(".fill").style.width = "0";
    row.querySelector(".share").textContent = "–";
  }
}

function showBars(answer) {
  answer.probabilities.forEach((share, number) => {
    const row = rows[number], percent = 100 * share;
    row.classList.toggle("predicted", number === answer.predicted);
    row.querySelector(".fill").style.width = `${percent}%`;
    row.querySelector(".share").textContent = `${percent.toFixed(0)} %`;
  });
}

// --- the picture --------------------------------------------------------------------------------

function outline([x, y, width, height], weight, dashed = false) {
  const thick = view.width / 320, dash = 4 * thick;
  // Black and white, so that it is seen on anything: side by side, or one after the other.
  for (const [colour, extra, offset] of [["#000", dashed ? 0 : 2, 0], ["#fff", 0, dash]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = weight * thick + extra;
    pen.setLineDash(dashed ? [dash, dash] : []);
    pen.lineDashOffset = offset;
    pen.strokeRect(x, y, width, height);
  }
}

function label(text, x, y) {
  const size = Math.round(view.width / 28), edge = size / 3;
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const width = pen.measureText(text).width + 2 * edge, height = size + 2 * edge;
  const left = Math.max(0, Math.min(x, view.width - width)), top = Math.max(0, y - height);
  pen.fillStyle = "#000c";
  pen.fillRect(left, top, width, height);
  pen.fillStyle = "#fff";
  pen.textBaseline = "top";
  pen.fillText(text, left + edge, top + edge);
}

function paintHeat(map) {
  heat.width = map.width;
  heat.height = map.height;
  const image = new ImageData(map.width, map.height);
  map.values.forEach((value, cell) => image.data.set(settings.colours[value], 4 * cell));
  heat.getContext("2d").putImageData(image, 0, 0);
}

function draw(answer) {
  last = answer;
  if (view.width !== shown.width) view.width = shown.width;
  if (view.height !== shown.height) view.height = shown.height;
  part("empty").hidden = true;
  const scale = view.width / answer.size[0], mirrored = source === "camera";
  const place = ([left, top, right, bottom]) => {
    const x = mirrored ? answer.size[0] - right : left;
    return [x, top, right - left, bottom - top].map((value) => value * scale);
  };
  pen.save();
  if (mirrored) pen.setTransform(-1, 0, 0, 1, view.width, 0);
  pen.drawImage(shown, 0, 0);
  if (answer.map && part("heat").checked) {
    const [left, top, right, bottom] = answer.crop.map((value) => value * scale);
    paintHeat(answer.map);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(heat, left, top, right - left, bottom - top);
  }
  pen.restore();
  answer.faces.slice(1).forEach((face) => outline(place(face), 0.6));
  if (!answer.crop) return;
  const given = place(answer.crop), face = place(answer.faces[0]);
  outline(given, 1, true);
  outline(face, 2);
  const percent = (100 * answer.probabilities[answer.predicted]).toFixed(0);
  label(`${settings.classes[answer.predicted]} ${percent} %`, given[0], Math.min(given[1], face[1]));
}

function clearPicture() {
  last = null;
  pen.clearRect(0, 0, view.width, view.height);
  part("empty").hidden = false;
  view.setAttribute("aria-label", "No picture yet");
  part("note").textContent = "";
  clearBars();
}

// --- frames and answers -------------------------------------------------------------------------

const socket = new WebSocket(`ws://${location.host}/frames${location.search}`);
socket.onopen = () => {
  for (const name of ["camera", "choose"]) part(name).disabled = false;
  say("Ready.");
};
socket.onmessage = (message) => receive(JSON.parse(message.data));
socket.onclose = () => {
  endSource();
  for (const name of ["camera", "choose", "record"]) part(name).disabled = true;
  say("The server has stopped, or this link is not its own. Start it again, and open the link "
    + "that it prints.", true);
};

function scaled(canvas, picture, width, height, longest, enlarged = false) {
  const whole = longest / Math.max(width, height), factor = enlarged ? whole : Math.min(1, whole);
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#808080";  // below transparent parts, as in training
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

function send() {
  clearTimeout(timer);
  if (asked || !source || socket.readyState !== WebSocket.OPEN) return;
  if (source === "camera") {
    if (!video.videoWidth) { timer = setTimeout(send, 50); return; }
    scaled(sent, video, video.videoWidth, video.videoHeight, settings.frame);
    scaled(shown, video, video.videoWidth, video.videoHeight, SHOWN_SIDE, true);
  }
  const target = part("explained").value, explained = new Uint8Array([Number(target)]);
  asked = { round, target, at: performance.now() };
  sent.toBlob((picture) => {
    if (!picture || picture.size + 1 > settings.largest) {
      asked = null;
      say("This picture is too large for the server.", true);
    } else if (socket.readyState === WebSocket.OPEN) {
      socket.send(new Blob([explained, picture]));
    }
  }, "image/jpeg", source === "photo" ? 0.95 : QUALITY);
}

function receive(answer) {
  const ours = asked !== null && asked.round === round && asked.target === part("explained").value;
  const wait = asked === null ? 0 : 1000 / settings.rate - (performance.now() - asked.at);
  asked = null;
  if (!ours) { send(); return; }
  if (answer.problem) {
    clearBars();
    draw({ size: [sent.width, sent.height], faces: [] });
    say(answer.problem, true);
  } else {
    show(answer);
  }
  if (source === "camera") timer = setTimeout(send, answer.problem ? RETRY : Math.max(0, wait));
}

function show(answer) {
  draw(answer);
  const many = answer.faces.length;
  if (many) showBars(answer); else clearBars();
  const found = many === 0 ? NO_FACE : many === 1 ? "One face."
    : `${many} faces: the largest is used.`;
  const hint = many ? "" : " Come closer, and face the camera in good light.";
  say(found + (source === "camera" ? hint : many ? "" : " Try one where it takes up more room."));
  const map = many && !answer.map ? " There is no map: nothing speaks for this label." : "";
  part("note").textContent = pace() + map;
  view.setAttribute("aria-label", many
    ? `A face, read as ${settings.classes[answer.predicted]}` : "A picture without a face");
}

function pace() {
  const now = performance.now();
  answered = [...answered.filter((at) => now - at < 1000), now];
  return source === "camera" ? `${answered.length} frames in the last second.` : "";
}

// --- the camera ---------------------------------------------------------------------------------

const REFUSALS = {
  NotAllowedError: "The camera was refused. Allow it beside the address of this page, and start it "
    + "again; or choose a photo.",
  NotFoundError: "There is no camera. Choose a photo instead.",
  NotReadableError: "The camera is in use by another program. Close that, and start it again.",
};

async function startCamera() {
  endSource();
  const mine = round;
  say("Waiting for the camera …");
  try {
    if (!navigator.mediaDevices) throw new Error("this browser gives no camera to this page");
    const opened = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false,
    });
    if (mine !== round) { opened.getTracks().forEach((track) => track.stop()); return; }
    stream = opened;
    stream.getVideoTracks()[0].onended = () => {
      endSource();
      say("The camera has stopped. Start it again.", true);
    };
    video.srcObject = stream;
    video.muted = true;
    await video.play();  // a video that is not in the page stays paused without it
  } catch (error) {
    if (mine !== round) return;
    endSource();
    say(REFUSALS[error.name] || `The camera cannot be used: ${error.message}.`, true);
    return;
  }
  source = "camera";
  part("camera").textContent = "Stop the camera";
  part("record").disabled = !window.MediaRecorder || !recordingType();
  send();
}

function endSource() {
  round += 1;
  source = null;
  clearTimeout(timer);
  stopRecording();
  if (stream) {
    stream.getTracks().forEach((track) => { track.onended = null; track.stop(); });
  }
  stream = video.srcObject = null;
  part("camera").textContent = "Start the camera";
  part("record").disabled = true;
  clearPicture();
}

part("camera").onclick = () => {
  if (source !== "camera") { startCamera(); return; }
  endSource();
  say("The camera is off.");
};

// --- photos -------------------------------------------------------------------------------------

async function usePhoto(file) {
  if (socket.readyState !== WebSocket.OPEN) return;
  endSource();
  const mine = round;
  say("Reading the photo …");
  let photo;
  try {
    photo = await createImageBitmap(file);
  } catch {
    if (mine === round) say(`${file.name} is no picture that this browser can read.`, true);
    return;
  }
  if (mine === round) {
    scaled(sent, photo, photo.width, photo.height, settings.photo);
    scaled(shown, photo, photo.width, photo.height, SHOWN_SIDE, true);
    source = "photo";
    send();
  }
  photo.close();
}

part("choose").onclick = () => part("file").click();
part("file").onchange = () => {
  if (part("file").files.length) usePhoto(part("file").files[0]);
  part("file").value = "";  // so that the same photo can be chosen again
};

function dragged(event) {
  event.preventDefault();
  part("frame").classList.toggle("over", event.type === "dragover");
}
for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, dragged);
document.addEventListener("drop", (event) => {
  const file = event.dataTransfer.files[0];
  if (file) usePhoto(file);
  else say("That was no file. Drop a photo from a folder.", true);
});

part("explained").onchange = () => { if (source === "photo") send(); };
part("heat").onchange = () => { if (last) draw(last); };

// --- recordings ---------------------------------------------------------------------------------

function recordingType() {
  const types = ["video/webm;codecs=vp9", "video/webm", "video/mp4"];
  return types.find((type) => MediaRecorder.isTypeSupported(type));
}

function startRecording() {
  const type = recordingType(), kept = [];
  recorder = new MediaRecorder(view.captureStream(30), { mimeType: type });
  recorder.ondataavailable = (event) => { if (event.data.size) kept.push(event.data); };
  recorder.onstop = () => handOver(new Blob(kept, { type }), type);
  recorder.onerror = () => say("The recording failed.", true);
  recorder.start(1000);
  setTimeout((mine) => { if (mine === recorder) stopRecording(); }, LONGEST_RECORDING, recorder);
  part("record").setAttribute("aria-pressed", "true");
  part("record").textContent = "Stop and save";
  part("saved").textContent = "";
}

function stopRecording() {
  if (recorder && recorder.state !== "inactive") recorder.stop();
  recorder = null;
  part("record").setAttribute("aria-pressed", "false");
  part("record").textContent = "Record";
}

function handOver(recording, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(recording);
  link.download = `facebias_live.${type.startsWith("video/mp4") ? "mp4" : "webm"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  part("saved").textContent = `The recording was handed to you as ${link.download}.`;
}

part("record").onclick = () => (recorder ? stopRecording() : startRecording());

// --- what is drawn once -------------------------------------------------------------------------

for (const row of rows) row.querySelector(".chance").style.left = `${100 / rows.length}%`;
{
  const brush = part("legend").getContext("2d");
  settings.colours.forEach(([red, green, blue, opacity], value) => {
    for (const [tone, top] of [["#cdcdcd", 0], ["#3c3c3c", 6]]) {
      brush.fillStyle = tone;
      brush.fillRect(value, top, 1, 6);
      brush.fillStyle = `rgba(${red}, ${green}, ${blue}, ${opacity / 255})`;
      brush.fillRect(value, top, 1, 6);
    }
  });
}
