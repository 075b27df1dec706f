/** What clients that mean harm do to a server on loopback, each for as long as it is told to. */
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Sockets opened at once by a flood. */
export const CROWD = 64;
/** How long an attacker waits for an answer. */
const PATIENCE_MS = 5_000;
/** Between two questions whether it goes on. */
const CHECK_MS = 20;

export interface Abuse {
  readonly port: number;
  /** The abuse lasts for as long as this says so. */
  readonly goesOn: () => boolean;
}

/** A connection that never rejects: what is refused or reset is what an attacker must expect. */
export const open = (port: number): Promise<net.Socket> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => resolve(socket));
  });

export const closed = async (socket: net.Socket): Promise<void> => {
  if (!socket.closed) await once(socket, 'close').catch(() => undefined);
};

/** Sends `bytes` over connection after connection; resolves with the status of each answer. */
export const flood = async (
  { port, goesOn }: Abuse,
  bytes: () => string | Buffer,
): Promise<Map<string, number>> => {
  const statuses = new Map<string, number>();
  let ended = 0;
  const attacker = async (): Promise<void> => {
    while (goesOn() || ended <= 2 * CROWD) {
      const socket = await open(port);
      let head = '';
      socket.on('data', (chunk: Buffer) => {
        if (head === '') head = chunk.toString('latin1', 0, 12);
        socket.destroy();
      });
      socket.write(bytes());
      socket.setTimeout(PATIENCE_MS, () => socket.destroy());
      await closed(socket);
      const status = head.slice(9, 12) || 'none';
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      ended += 1;
    }
  };
  await Promise.all(Array.from({ length: CROWD }, attacker));
  return statuses;
};

/** Keeps `count` connections open at once, each sending `first` and then a bit of `drip` every now and then. */
export const dribble = async (
  { port, goesOn }: Abuse,
  count: number,
  { first, drip }: { first: string; drip: string },
): Promise<number> => {
  const DRIP_MS = 200;
  const sockets = await Promise.all(Array.from({ length: count }, () => open(port)));
  for (const socket of sockets) {
    socket.resume();
    socket.write(first);
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(drip);
  }, DRIP_MS);
  while (goesOn()) await delay(CHECK_MS);
  clearInterval(timer);
  const cut = sockets.filter((socket) => socket.closed || !socket.writable).length;
  for (const socket of sockets) socket.destroy();
  return cut;
};

/** A frame as a client sends it, masked with zeros. */
const frame = (opcode: number, payload: Buffer): Buffer => {
  const head = Buffer.from([
    0x80 | opcode,
    0x80 | 126,
    payload.length >> 8,
    payload.length & 255,
    0,
    0,
    0,
    0,
  ]);
  return Buffer.concat([head, payload]);
};

const BAD_FRAMES: readonly Buffer[] = [
  // Reserved bits, a reserved opcode, no mask, a continuation of nothing, a control frame in parts: 1002.
  Buffer.from([0xf1, 0x81, 0, 0, 0, 0, 65]),
  Buffer.from([0x83, 0x80, 0, 0, 0, 0]),
  Buffer.from([0x81, 0x01, 65]),
  Buffer.from([0x80, 0x81, 0, 0, 0, 0, 65]),
  Buffer.from([0x09, 0x81, 0, 0, 0, 0, 65]),
  // A message of 1 TB announced: 1009.
  Buffer.from([0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  // No UTF-8: 1007.
  frame(1, Buffer.from([0xc3, 0x28, 0xa0, 0xa1])),
  // Faultless frames with nonsense in them: strikes, then 1008.
  Buffer.concat(Array.from({ length: 50 }, () => frame(1, Buffer.from('{"method":"__proto__"}')))),
];

const HANDSHAKE = `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;

/** Close code among the frames of a server, which are short and not masked; undefined where there is none yet. */
const closeCodeIn = (frames: Buffer): string | undefined => {
  let at = 0;
  while (at + 4 <= frames.length) {
    if (frames[at] === 0x88) return String(frames.readUInt16BE(at + 2));
    const length = frames.readUInt8(at + 1);
    at += length === 126 ? 4 + frames.readUInt16BE(at + 2) : 2 + length;
  }
  return undefined;
};

/** Bad frames over connection after connection; how the connections ended, by close code. */
export const webSocketFlood = async ({ port, goesOn }: Abuse): Promise<Record<string, number>> => {
  const ends: Record<string, number> = {};
  let turn = 0;
  const attacker = async (): Promise<void> => {
    while (goesOn()) {
      const bad = BAD_FRAMES[(turn += 1) % BAD_FRAMES.length] ?? Buffer.alloc(0);
      const socket = await open(port);
      let received = Buffer.alloc(0);
      let upgraded = false;
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        if (upgraded && closeCodeIn(received) !== undefined) socket.end();
        if (upgraded || !received.includes('\r\n\r\n')) return;
        upgraded = true;
        received = Buffer.alloc(0);
        socket.write(bad);
      });
      socket.on('end', () => socket.end());
      socket.setTimeout(PATIENCE_MS, () => socket.destroy());
      socket.write(HANDSHAKE);
      await closed(socket);
      const end = closeCodeIn(received) ?? 'none';
      ends[end] = (ends[end] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CROWD }, attacker));
  return ends;
};
