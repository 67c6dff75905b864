"""Sockets of every family and state, in the network namespace this runs in.

Says "ready" when all are there, and keeps them until it is ended.
"""

import errno
import os
import socket
import struct
import sys
import time

kept = []


def tcp(family=socket.AF_INET, protocol=0):
    made = socket.socket(family, socket.SOCK_STREAM, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.append(made)
    return made


def listener(address, backlog=16, family=socket.AF_INET, options=()):
    made = tcp(family)
    for option in options:
        made.setsockopt(*option)
    made.bind(address)
    made.listen(backlog)
    return made


def connected(to, family=socket.AF_INET):
    made = tcp(family)
    made.connect(to)
    return made


def pair(server, to=None, family=socket.AF_INET):
    client = connected(to or server.getsockname(), family)
    accepted, _ = server.accept()
    kept.append(accepted)
    return client, accepted


def wait_for(what, port, state):
    """Waits until /proc/net/tcp shows a socket with this local port in this state."""
    for _ in range(500):
        rows = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
        if any(int(row[1].split(":")[1], 16) == port and row[3] == state for row in rows):
            return
        time.sleep(0.01)
    sys.exit(f"no {what}")


# TCP, state by state. User 1234 is nobody in particular.
server = listener(("127.0.0.1", 2345))
client, accepted = pair(server)
accepted.sendall(b"x" * 100)
connected(("127.0.0.1", 2345)).sendall(b"waits for accept")
os.seteuid(1234)
pair(listener(("127.0.0.2", 2346)))
connected(("127.0.0.2", 2346))
os.seteuid(0)

closing = listener(("127.0.0.1", 2347))
client, accepted = pair(closing)
client.shutdown(socket.SHUT_WR)
wait_for("CLOSE_WAIT", 2347, "08")
client, accepted = pair(closing)
port = client.getsockname()[1]
client.close()
wait_for("CLOSE_WAIT", 2347, "08")
accepted.close()
wait_for("TIME_WAIT", port, "06")

# With a queue for one, the third to come is not answered.
full = listener(("127.0.0.1", 2348), 0)
connected(("127.0.0.1", 2348))
for _ in range(2):
    trying = tcp()
    trying.setblocking(False)
    trying.connect_ex(("127.0.0.1", 2348))

# Half open until the client says something.
TCP_DEFER_ACCEPT = 9
listener(("127.0.0.1", 2349), options=[(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 60)])
connected(("127.0.0.1", 2349))
wait_for("SYN_RECV", 2349, "03")

# Bound and no more; and bound once, then reset by the peer.
tcp().bind(("127.0.0.1", 2350))
reset = tcp()
reset.bind(("127.0.0.1", 2351))
reset.connect(("127.0.0.1", 2347))
accepted, _ = closing.accept()
accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
accepted.close()

# IPv6: alone, with IPv4, and both on a connection.
V6ONLY = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
listener(("::1", 2352), family=socket.AF_INET6)
listener(("::", 2353), family=socket.AF_INET6, options=[(*V6ONLY, 1)])
dual = listener(("::", 2354), family=socket.AF_INET6, options=[(*V6ONLY, 0)])
pair(dual, ("127.0.0.1", 2354))
pair(dual, ("::1", 2354), socket.AF_INET6)

# UDP and its kin.
for family, address in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
    for protocol in (0, 136):
        try:
            udp = [socket.socket(family, socket.SOCK_DGRAM, protocol) for _ in range(3)]
        except OSError as error:
            # UDP-Lite was removed from Linux.
            if protocol and error.errno == errno.EPROTONOSUPPORT:
                continue
            raise
        kept += udp
        udp[0].bind((address, 2355))
        udp[1].connect((address, 2355))
        udp[1].send(b"unread")
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    kept.append(raw)
open("/proc/sys/net/ipv4/ping_group_range", "w").write("0 0")
ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
ping.bind(("127.0.0.1", 77))
kept.append(ping)

# MPTCP, where the kernel has it.
try:
    multi = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    kept.append(multi)
    multi.bind(("127.0.0.1", 2356))
    multi.listen(3)
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    client.connect(("127.0.0.1", 2356))
    kept += [client, multi.accept()[0]]
except OSError:
    pass

# Unix, with names that trouble those who read lines of words.
os.chdir(sys.argv[1])
stream = socket.socket(socket.AF_UNIX)
stream.bind(b"a (strange) \xff\xe2\x80\xae name")
stream.listen(7)
kept.append(stream)
for _ in range(3):
    client = socket.socket(socket.AF_UNIX)
    client.connect(b"a (strange) \xff\xe2\x80\xae name")
    kept.append(client)
kept.append(stream.accept()[0])
client.send(b"unread")
datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagram.bind(b"\0abstract \0 name")
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(b"\0abstract \0 name")
sender.send(b"unread")
alone = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
unbound = socket.socket(socket.AF_UNIX)
kept += [datagram, sender, alone, unbound]
kept += socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
kept += socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

# Netlink and packet.
routes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
routes.bind((4321, 1))
kept.append(routes)
kept.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
frames = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0806))
frames.bind(("lo", 0x0806))
kept.append(frames)

print("ready", flush=True)
time.sleep(600)
