"""Clients that take the first byte of an answer and then never read again, with the buffers that a connection has on a
network: on loopback, segments of 64 kB would give the server's socket megabytes of buffer. Node can set neither.

stalled-readers.py PORT COUNT, and the request on stdin. Says "ready" once all are there; ends when it is killed.
"""

import socket
import sys
import time

SEGMENT = 1448  # of Ethernet
# Linux's smallest. The fewer segments are acknowledged before the window closes, the smaller is the server's
# congestion window, and with it the send buffer that has to fill: 100 kB instead of 440 kB with one of 8 kB.
RECEIVE_BUFFER = 2304

port, count = int(sys.argv[1]), int(sys.argv[2])
request = sys.stdin.read().encode()
sockets = []
for _ in range(count):
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    if client.recv(1) != b"H":
        sys.exit("refused")
    sockets.append(client)
print("ready", flush=True)
while True:
    time.sleep(60)
