"""Connections that stay, and others that come and go as fast as they can until this is ended.

Says "ready" when those that stay are all there: 500 of them, to port 2345.
"""

import socket
import struct
import sys

stay = socket.socket()
stay.bind(("127.0.0.1", 2345))
stay.listen(16)
kept = []
for _ in range(500):
    client = socket.create_connection(stay.getsockname())
    kept.append((client, stay.accept()[0]))
print("ready", flush=True)

go = socket.socket()
go.bind(("127.0.0.2", 2346))
go.listen(64)
open_now = []
number = 0
while True:
    client = socket.socket()
    # Most are reset, so that TIME_WAIT does not use up the ports.
    if number % 8:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.connect(go.getsockname())
    open_now.append((client, go.accept()[0]))
    number += 1
    if len(open_now) > 30:
        for end in open_now.pop(0):
            end.close()
