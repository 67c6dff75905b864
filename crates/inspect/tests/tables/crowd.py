"""Unix listeners that clients wait for: 3 for one, 9,000 for the other."""

import socket
import sys
import time

folder = sys.argv[1]
with open("/proc/sys/net/core/somaxconn", "w") as limit:
    limit.write("20000")
kept = []
for name, clients in ("few", 3), ("many", 9000):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/{name}")
    listener.listen(20000)
    kept.append(listener)
    for _ in range(clients):
        client = socket.socket(socket.AF_UNIX)
        client.connect(f"{folder}/{name}")
        kept.append(client)
print("ready", flush=True)
time.sleep(600)
