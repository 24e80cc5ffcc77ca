// Node's `ws` as the other end of a WebSocket: `peer.js serve`, or `peer.js ask PORT`.
'use strict';

const assert = require('node:assert');
const { createRequire } = require('node:module');
// Installed where nothing of it gets into the repository.
const { WebSocket, WebSocketServer } = createRequire(process.env.PEERS_NODE + '/')('ws');

const LENGTHS = [0, 1, 125, 126, 127, 4096, 65535, 65536, 1 << 20];

function serve() {
  // It ends connections that flood it with pings, unless told not to.
  const options = { host: '127.0.0.1', port: 0, maxPayload: 0, maxPendingAutoPongs: 0 };
  const server = new WebSocketServer(options, () => {
    console.log('listening on', server.address().port);
  });
  server.on('connection', (socket) => {
    socket.on('message', (message, binary) => socket.send(message, { binary }));
  });
}

async function ask(port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  const waiting = [];
  socket.on('message', (message, binary) => waiting.shift()({ message, binary }));
  const answer = () => new Promise((resolve) => waiting.push(resolve));
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  assert.strictEqual(socket.extensions, '', 'flux speaks no extension');
  for (const length of LENGTHS) {
    const bytes = Buffer.from('0123456789€'.repeat(length).slice(0, length));
    for (const binary of [false, true]) {
      socket.send(bytes, { binary });
      let got = await answer();
      assert.strictEqual(got.binary, binary);
      assert(got.message.equals(bytes), `${length} bytes`);
      // In parts that end within characters, with pings between them.
      const size = Math.ceil(bytes.length / 5) + 1;
      for (let at = 0; at < bytes.length; at += size) {
        socket.send(bytes.subarray(at, at + size), { binary, fin: false });
        socket.ping();
      }
      socket.send(Buffer.alloc(0), { binary, fin: true });
      got = await answer();
      assert.strictEqual(got.binary, binary);
      assert(got.message.equals(bytes), `${length} bytes in parts`);
    }
  }
  let pongs = 0;
  const all = new Promise((resolve) => {
    socket.on('pong', (payload) => {
      if (payload.length > 0) {
        assert.strictEqual(String(payload), String(pongs));
        pongs += 1;
        if (pongs === 1000) resolve();
      }
    });
  });
  for (let number = 0; number < 1000; number += 1) socket.ping(String(number));
  await all;
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.close(4001, 'done');
  assert.strictEqual(await closed, 4001);
}

const [mode, port] = process.argv.slice(2);
if (mode === 'serve') {
  serve();
} else if (mode === 'ask') {
  ask(port).catch((error) => {
    console.error(error);
    process.exit(1);
  });
} else {
  console.error('usage: peer.js serve | ask PORT');
  process.exit(1);
}
