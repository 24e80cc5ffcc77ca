"""Python's `websockets` as the other end of a WebSocket: `peer.py serve`, or `peer.py ask PORT`."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

LENGTHS = [0, 1, 125, 126, 127, 4096, 65_535, 65_536, 1 << 20]


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve_for_ever():
    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print("listening on", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def ask(port):
    async with connect(f"ws://127.0.0.1:{port}/", max_size=None) as socket:
        assert not socket.protocol.extensions, "flux speaks no extension"
        for length in LENGTHS:
            text = ("0123456789€" * length)[:length]
            await socket.send(text)
            assert await socket.recv() == text, length
            await socket.send(text.encode())
            assert await socket.recv() == text.encode(), length
            # In parts: an iterator is sent as a frame for each of what it yields.
            if length:
                size = length // 5 + 1
                await socket.send([text[at : at + size] for at in range(0, length, size)])
                assert await socket.recv() == text, length
        for pong in [await socket.ping(str(number)) for number in range(1000)]:
            await pong
        await socket.close(4001, "done")
        assert (socket.close_code, socket.protocol.close_rcvd.code) == (4001, 4001)


match sys.argv[1:]:
    case ["serve"]:
        asyncio.run(serve_for_ever())
    case ["ask", port]:
        asyncio.run(ask(int(port)))
    case _:
        sys.exit(__doc__)
