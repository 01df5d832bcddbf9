// The link to the process that serves the page: frames come as a length, facts as JSON, and raw numbers.

const WAITS = [250, 500, 1000, 2000, 5000];

export class Link {
  constructor(take, changed) {
    this.take = take;
    this.changed = changed;
    this.tries = 0;
    this.frames = 0;
    this.view = null;
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/frames`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.tries = 0;
      this.changed(true);
      if (this.view) this.socket.send(this.view);
    };
    this.socket.onmessage = (event) => {
      const facts = decode(event.data);
      this.frames += 1;
      this.take(facts);
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send('{"op":"ack"}');
    };
    this.socket.onclose = () => {
      this.changed(false);
      if (this.tries) this.ask();
      setTimeout(() => this.open(), WAITS[Math.min(this.tries++, WAITS.length - 1)]);
    };
  }

  // A browser does not say why a WebSocket was refused; a run that has begun anew may have another token.
  async ask() {
    const answer = await fetch("/healthz").catch(() => null);
    if (answer?.status === 401 && this.socket.readyState !== WebSocket.OPEN) this.changed(false, true);
  }

  show(view) {
    this.view = JSON.stringify(view);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(this.view);
  }
}

function decode(data) {
  const length = new DataView(data).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  for (const part of facts.parts) {
    if (part.type === "raster") part.counts = new Uint16Array(data, at, part.columns * part.rows);
    else part.values = new Float32Array(data, at, part.columns * 3 * part.channels.length);
    at += part.bytes;
  }
  return facts;
}
