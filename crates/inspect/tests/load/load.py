"""Makes sockets to look at, for the stress test and for the benchmark.

    load.py [--report] TASK...

    hold=CONNECTIONS:PORT      connections that stay. The server's ends are one process's, the
                               client's another's; as many such pairs as descriptors allow
    idle=PROCESSES:DESCRIPTORS:CONNECTIONS
                               processes with so many descriptors that are no sockets, and so
                               many connections, each
    churn=RATE:NTH             so many connections a second come and go; every NTH is closed as
                               connections are and leaves a TIME_WAIT, the others are reset. With
                               0 nothing is left, for namespaces that are not ours alone
    flux=PROCESSES             so many processes at a time that open sockets, live for 10 ms to
                               4 s, and exit; always new ones

All sockets are TCP over IPv4, on addresses of the loopback network that nothing else uses:
127.77.x.y is where hold and idle listen, 127.79.0.1 where churn does. The sockets of process P of
flux have the local address 127.88.B.A (A and B are the lower two bytes of P), so that the address
tells who the owner is, whatever anyone finds; the process is named flux-P.

When everything stands, one line of JSON is printed: the processes, and with --report every socket
that stays, with the process and descriptor that hold it and its inode. When standard input ends,
all of it goes away, and a second line tells how much came and went. Every process here dies with
the one that started it.
"""

import ctypes
import json
import mmap
import os
import random
import resource
import signal
import socket
import struct
import sys
import time

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36  # linux/prctl.h
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: choose the port when both ends are known
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, no time

# Client addresses change so often that a client's port is found at once.
CONNECTIONS_OF_AN_ADDRESS = 4000

LIBC = ctypes.CDLL(None)


def start(work):
    """A child that does the work, and ends with it or with its parent."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            if os.getppid() == parent:
                work()
        except KeyboardInterrupt:
            pass
        except BaseException as error:  # It must not return into the parent's code.
            print(f"load.py: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def stay():
    while True:
        signal.pause()


def listener(address, port):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.listen(1024)
    return made


def client(source, target):
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    made.bind((source, 0))
    made.connect(target)
    return made


def connections(group, count, port):
    """A listener, and connections to it: its ends, and the clients' ends."""
    address = f"127.77.{group // 250}.{1 + group % 250}"
    server = listener(address, port)
    servers, clients = [server], []
    for number in range(count):
        source = f"127.{80 + number // CONNECTIONS_OF_AN_ADDRESS}.{group // 250}.{1 + group % 250}"
        clients.append(client(source, (address, port)))
        servers.append(server.accept()[0])
    return servers, clients


def told(sockets, report):
    """What is true of these sockets, which this process holds."""
    if not report:
        return []
    pid = os.getpid()
    return [
        {
            "pid": pid,
            "fd": held.fileno(),
            "inode": os.fstat(held.fileno()).st_ino,
            "local": "%s:%d" % held.getsockname(),
            "remote": "%s:%d" % peer(held),
        }
        for held in sockets
    ]


def peer(held):
    try:
        return held.getpeername()
    except OSError:  # A listener.
        return ("0.0.0.0", 0)


def say(pipe, **words):
    with os.fdopen(pipe, "w") as out:
        out.write(json.dumps(words) + "\n")


def heard(pipe):
    """What the other end said; None when it ended without a word."""
    # A line: children have the other end open as well, so that the end may not come.
    with os.fdopen(pipe) as lines:
        line = lines.readline()
    return json.loads(line) if line else None


def hold(group, count, port, report, pipe):
    """Server ends here, client ends in a child."""
    servers, clients = connections(group, count, port)
    reader, writer = os.pipe()

    def client_side():
        os.close(reader)
        for held in servers:
            held.close()
        LIBC.prctl(PR_SET_NAME, b"load-client")
        say(writer, sockets=told(clients, report))
        stay()

    child = start(client_side)
    os.close(writer)
    for held in clients:
        held.close()
    LIBC.prctl(PR_SET_NAME, b"load-server")
    theirs = heard(reader)["sockets"]
    say(pipe, pids=[os.getpid(), child], sockets=told(servers, report) + theirs)
    stay()


def idle(group, descriptors, count, report, pipe):
    servers, clients = connections(group, count, 4000)
    null = os.open("/dev/null", os.O_RDONLY)
    for _ in range(descriptors // 4):
        os.pipe()
        os.dup(null)
        os.dup(null)
    LIBC.prctl(PR_SET_NAME, b"load-idle")
    say(pipe, pids=[os.getpid()], sockets=told(servers + clients, report))
    stay()


def churn(rate, nth, counts, pipe):
    server = listener("127.79.0.1", 4001)
    LIBC.prctl(PR_SET_NAME, b"load-churn")
    say(pipe, pids=[os.getpid()], sockets=[])
    begun = time.monotonic()
    number = 0
    while True:
        ahead = number - (time.monotonic() - begun) * rate
        if ahead > 0:
            time.sleep(max(ahead / rate, 0.001))
        number += 1
        mine = client(f"127.79.1.{1 + number % 250}", ("127.79.0.1", 4001))
        theirs, _ = server.accept()
        if nth == 0 or number % nth:
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        mine.close()
        theirs.close()
        struct.pack_into("q", counts, 0, number)


def flux(at_a_time, counts, pipe):
    say(pipe, pids=[os.getpid()], sockets=[])
    alive = 0
    number = 0
    while True:
        if alive == at_a_time:
            os.wait()
            alive -= 1
        start(flicker)
        alive += 1
        number += 1
        struct.pack_into("q", counts, 8, number)


def flicker():
    pid = os.getpid()
    LIBC.prctl(PR_SET_NAME, b"flux-%d" % pid)
    address = f"127.88.{pid >> 8 & 255}.{pid & 255}"
    server = listener(address, 0)
    mine = client(address, server.getsockname())
    theirs, _ = server.accept()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    # From 10 ms to 4 s, as many of each order: however long a look takes, some die in it.
    time.sleep(0.01 * 400 ** random.random())
    mine.close()
    theirs.close()


def groups(task, report, counts):
    """What each process of a task does: functions of the pipe it reports to."""
    name, _, numbers = task.partition("=")
    numbers = [int(number) for number in numbers.split(":")]
    if name == "hold":
        count, port = numbers
        # Both ends are one process's until it has forked.
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2
        needed = -(-count // most)
        for part in range(needed):
            share = count * (part + 1) // needed - count * part // needed
            yield lambda group, pipe, share=share: hold(group, share, port, report, pipe)
    elif name == "idle":
        processes, descriptors, count = numbers
        for _ in range(processes):
            yield lambda group, pipe: idle(group, descriptors, count, report, pipe)
    elif name == "churn":
        yield lambda group, pipe: churn(*numbers, counts, pipe)
    elif name == "flux":
        yield lambda group, pipe: flux(*numbers, counts, pipe)
    else:
        sys.exit(f"load.py: no task {task!r}")


def main(arguments):
    report = "--report" in arguments
    # Shared with the children, who count in it.
    counts = mmap.mmap(-1, 16)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The children's children are ours to wait for as well.
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)

    tasks = [task for task in arguments if task != "--report"]
    works = [work for task in tasks for work in groups(task, report, counts)]
    pids, sockets = [], []
    try:
        for group, work in enumerate(works):
            reader, writer = os.pipe()
            pids.append(start(lambda: work(group, writer)))
            os.close(writer)
            answer = heard(reader)
            if answer is None:
                sys.exit(f"load.py: group {group} did not come to stand")
            pids = list(dict.fromkeys(pids + answer["pids"]))
            sockets += answer["sockets"]
        print(json.dumps({"pids": pids, "sockets": sockets}), flush=True)
        sys.stdin.read()
        connected, started = struct.unpack("qq", counts[:16])
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        try:
            while True:
                os.wait()
        except ChildProcessError:
            pass
    print(json.dumps({"churned": connected, "started": started}), flush=True)


if __name__ == "__main__":
    parent = os.getppid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        main(sys.argv[1:])
