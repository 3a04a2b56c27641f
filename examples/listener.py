"""Processes that are no relatives talk, with a key. Beside it, listener.c, which also can be at the other side.

listener.py                   a listener and two clients, the second one with a wrong key
listener.py serve ADDRESS     only the listener, for one client and one message
listener.py ask ADDRESS       only the client
"""

import multiprocessing
import sys
from multiprocessing.connection import Client, Listener

KEY = b"secret of both"


def ask(address, key):
    try:
        with Client(address, authkey=key) as connection:
            connection.send_bytes(b"hello")
            print("client: hello,", connection.recv_bytes().decode(), flush=True)
    except multiprocessing.AuthenticationError:
        print("client: the key is wrong", flush=True)


def serve(listener):
    try:
        with listener.accept() as connection:
            connection.send_bytes(connection.recv_bytes().upper())
        return True
    except multiprocessing.AuthenticationError:
        return False


def serve_child(listener, key):
    process = multiprocessing.Process(target=ask, args=(listener.address, key))
    process.start()
    served = serve(listener)
    process.join()
    print("listener:", "served" if served else "refused", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "ask":
        ask(sys.argv[2], KEY)
    else:
        with Listener(sys.argv[2] if len(sys.argv) == 3 else None, authkey=KEY) as listener:
            if len(sys.argv) == 3:
                serve(listener)
            else:
                serve_child(listener, KEY)
                serve_child(listener, b"a guess")
