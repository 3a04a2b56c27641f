"""manager_python.py SERVER ROOT - the Python client against a server in C. SERVER is manager_served, the program with the server.

Prints TAP.
"""
import gc
import hmac
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SERVER, ROOT = sys.argv[1:3]
sys.path.insert(0, f"{ROOT}/clients/python")
import certificates  # noqa: E402
import kin_manager  # noqa: E402
import cbor2  # noqa: E402

KEY = b"a key that nobody knows"
served, options = [], {}  # how servers are started now, and how they are come to


def connect(address, key=KEY, **more):
    return kin_manager.connect(address, key, **options, **more)


class Server:
    def __init__(self, address, *more):
        self.process = subprocess.Popen([SERVER, address, KEY.decode(), *more], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def fails(kind, body, *args):
    try:
        body(*args)
    except kind as error:
        return error
    raise AssertionError(f"{body} did not fail")


def nothing_left(manager, count=0):
    deadline = time.monotonic() + 10
    while manager.counts()["objects"] != count:
        assert time.monotonic() < deadline, manager.counts()
        time.sleep(0.001)


def dicts_and_lists_are_used(address):
    with connect(address) as manager:
        scores = manager.create("dict", {"mill": 3})
        scores[7] = [1, {"deep": b"\0\xff"}, None, True, 2.5, "grün", -2**63, 2**64 - 1]
        assert scores[7] == [1, {"deep": b"\0\xff"}, None, True, 2.5, "grün", -2**63, 2**64 - 1]
        assert scores["mill"] == 3 and scores.call("add", "mill", 2) == 5 and "mill" in scores and len(scores) == 2
        assert isinstance(fails(KeyError, lambda: scores["lathe"]), kin_manager.NotFound)
        assert scores.get("lathe", 9) == 9 and scores.get_many(["mill", "lathe"]) == {"mill": 5}
        scores.update({i: i * i for i in range(3000)})
        assert dict(scores.items())[2999] == 2999 * 2999 and len(list(scores)) == 3001
        del scores["mill"]
        assert "mill" not in scores
        numbers = manager.create("list", [3, 1, 2])
        numbers.append(4)
        numbers.sort()
        assert list(numbers) == [1, 2, 3, 4] and numbers[1:3] == [2, 3] and numbers[-1] == 4 and numbers.pop() == 4
        names = manager.create("Namespace")
        names.tool = "mill"
        assert names.tool == "mill"
        fails(AttributeError, lambda: names.job)
        count = manager.create("Value", "i", 5)
        count.value += 1
        assert count.value == 6
        unique = manager.create("set", [1, 1.0, 2])
        assert sorted(unique) == [1, 2]
        del scores, numbers, names, count, unique
        nothing_left(manager)


def objects_lie_in_objects(address):
    with connect(address) as manager, connect(address) as other:
        outer, inner = manager.create("dict"), manager.create("list", [1])
        outer["inner"] = inner
        token = outer.token
        del inner
        there = other.open(token)
        there["inner"].append(2)
        assert list(outer["inner"]) == [1, 2]
        del outer, there
        nothing_left(manager)


def queues_and_locks_wait(address):
    with connect(address) as manager:
        queue, lock, seen = manager.create("Queue"), manager.create("Lock"), []
        threads = [threading.Thread(target=lambda: seen.append(queue.get(10))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for i in range(5):
            queue.put(i)
        for thread in threads:
            thread.join()
        assert sorted(seen) == list(range(5)), seen
        fails(TimeoutError, queue.get, 0.01)
        with lock:
            fails(kin_manager.TimedOut, lock.acquire, 0)
        assert lock.acquire(0) is True
        lock.release()


def dead_clients_give_back(address):
    with connect(address) as manager:
        lock = manager.create("Lock")
        child = os.fork()
        if not child:
            lock.acquire()
            manager.create("dict")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert lock.acquire(10) is False  # its last owner died with it
        lock.release()
        nothing_left(manager, 1)


def own_types_are_called(address):
    with connect(address) as manager:
        tally = manager.create("Tally", 40)
        assert tally.add(2) == 42
        error = fails(kin_manager.ManagerError, tally.fail, "rain")
        assert (error.code, error.message, error.method) == (-2001, "no tally today: rain", "Tally.fail"), error
        assert "has no method" in str(fails(kin_manager.NotFound, tally.fly))


def batches_go_together(address):
    with connect(address) as manager:
        scores = manager.create("dict")
        with manager.batch() as batch:
            for i in range(500):
                batch.call(scores, "set", i, "x" * 20000)
        with manager.batch() as batch:
            results = [batch.call(scores, "get", i) for i in range(501)]  # 10 MB come back
        assert all(result.get() == "x" * 20000 for result in results[:500])
        fails(KeyError, results[500].get)
        queue = manager.create("Queue")
        batch = manager.batch()
        batch.call(queue, "get")
        fails(TimeoutError, batch.run, 0.05)
        queue.put(1)
        assert queue.get(10) == 1  # not lost with the batch that was given up


def pools_run_registered_functions(address):
    with connect(address) as manager:
        pool = manager.create("Pool", 2)
        assert pool.apply("square", 7) == 49 and pool.map("square", range(50)) == [i * i for i in range(50)]
        assert pool.starmap("square", [[3], [4]]) == [9, 16]
        result = pool.map_async("square", [1, 2, 3])
        assert result.get(20) == [1, 4, 9] and result.ready() and result.successful()
        assert list(pool.imap("square", range(20))) == [i * i for i in range(20)]
        assert sorted(pool.imap_unordered("square", range(20))) == [i * i for i in range(20)]
        assert "not an integer" in str(fails(kin_manager.ManagerError, pool.apply, "square", "x"))
        assert "registered" in str(fails(kin_manager.NotFound, pool.apply, "system", "id"))
        tag = cbor2.CBORTag(0x6B696E02, [1, 4096])  # a function by itself: for the server's family only
        assert fails(kin_manager.ManagerError, pool.apply, tag).code == -11
        pool.close()
        pool.join(20)
        del pool, result
        nothing_left(manager)


def threads_leave_no_connection(address):
    with connect(address) as manager:
        names = manager.create("dict")

        def use():
            names["x"] = 1
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def stopped_servers_are_given_up(_address):
    with Server("127.0.0.1:0", *served) as server:
        manager = connect(server.address, call_limit=0.2)
        names, queue = manager.create("dict"), manager.create("Queue")
        names["x"] = 1
        os.kill(server.process.pid, signal.SIGSTOP)
        assert fails(TimeoutError, names.call, "length").code == kin_manager.TIMED_OUT
        os.kill(server.process.pid, signal.SIGCONT)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                assert names["x"] == 1
                break
            except TimeoutError:
                pass
        fails(TimeoutError, queue.get, 0.3)  # its own timeout holds, not the limit
        del names, queue
        manager.close()


def wrong_keys_are_refused(address):
    fails(kin_manager.AuthenticationError, connect, address, KEY + b"x")
    fails(ValueError, kin_manager.connect, address, b"short")


def end_of_the_server_is_told(_address):
    with Server("127.0.0.1:0", *served) as server:
        manager = connect(server.address)
        names = manager.create("dict")
        server.process.kill()
        server.process.wait()
        assert fails(kin_manager.ManagerError, len, names).code == kin_manager.DIED
        assert fails(kin_manager.ManagerError, len, names).code == kin_manager.DIED


class CollectingSocket:
    """The collector of garbage comes while an answer is waited for."""

    def __init__(self, plain):
        self.plain = plain

    def recv_into(self, view):
        gc.collect()
        return self.plain.recv_into(view)

    def __getattr__(self, name):
        return getattr(self.plain, name)


def references_of_garbage_are_given_back_between_calls(address):
    class Ring:
        def __init__(self, proxy):
            self.proxy, self.me = proxy, self
    with connect(address) as manager:
        names = manager.create("dict")
        connection = manager.local.connection
        gc.disable()
        try:
            for i in range(50):
                Ring(manager.create("Lock"))
                connection.socket = CollectingSocket(connection.socket)
                names[i] = [i]
                connection.socket = connection.socket.plain
                assert names[i] == [i] and manager.local.connection is connection
        finally:
            gc.enable()
        nothing_left(manager, 1)
        del names
        nothing_left(manager)


class FakeServer:
    """Shows a client to `script(connection)` once it has shaken hands; or, with `hello`, says that instead of the first message."""

    def __init__(self, script=None, hello=None):
        self.script, self.hello, self.id = script, hello, os.urandom(16)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection:
            try:
                if self.hello:
                    self.hello(connection)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(2)
                    while connection.recv(4096):  # else what was sent may be lost with the end
                        pass
                    return
                first = b"kin manager\0" + bytes([1, 1, 0, 0]) + self.id + os.urandom(32) + bytes(32)
                connection.sendall(first)
                theirs = self.read(connection, 96)
                assert theirs[64:] == hmac.digest(KEY, b"kin client" + first + theirs[:64], "sha256")
                last = b"kin manager\0" + bytes([1, 1, 0, 0]) + bytes(48)
                connection.sendall(last + hmac.digest(KEY, b"kin server" + first + theirs, "sha256"))
                while True:
                    _, _, kind, size, number, _ = kin_manager.HEAD.unpack(self.read(connection, 24))
                    self.read(connection, size)
                    if kind == kin_manager.CALL:
                        self.script(connection, number)
            except (OSError, EOFError):
                pass

    @staticmethod
    def read(connection, size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def answer(number, body, kind=2, magic=b"kM", version=1, size=None):
    return kin_manager.HEAD.pack(magic, version, kind, len(body) if size is None else size, number, 0) + body


def bad_answers_are_told(_address):
    """What is no answer is an error that says so; the next call has a new connection."""
    bad = [lambda n: answer(n, b"\1", magic=b"KM"), lambda n: answer(n, b"\1", version=2), lambda n: answer(n, b"\1", kind=9),
           lambda n: answer(n, b"\1", kind=1), lambda n: answer(n + 1, b"\1"), lambda n: answer(n, b"", size=(64 << 20) + 1),
           lambda n: answer(n, b""), lambda n: answer(n, b"\1\2"), lambda n: answer(n, b"\x82\1"), lambda n: answer(n, b"\x62\xff\xff"),
           lambda n: answer(n, b"\x81" * 100000 + b"\1"), lambda n: answer(n, b"\xff"), lambda n: answer(n, b"\x1c"),
           lambda n: answer(n, b"\1\2\3", kind=3), lambda n: answer(n, b"\1\2\3\4", kind=3),
           lambda n: answer(n, cbor2.dumps([1]) * 4, kind=3), lambda n: answer(n, cbor2.dumps(-1) + cbor2.dumps("x") * 4, kind=3)]
    with FakeServer(lambda connection, number: connection.sendall(use(number))) as server:
        manager = kin_manager.connect(server.address, KEY)
        for use in bad:
            error = fails(kin_manager.ManagerError, manager.call, 0, "ping")
            assert error.code == kin_manager.MISMATCH, error
            good, use = use, lambda n: answer(n, b"\7")
            assert manager.call(0, "ping") == 7, good
        for tag in ([manager.server_id], 5, [b"another", 1, "dict"], {}):  # none of our objects: it stays what it is
            use = lambda n, tag=tag: answer(n, cbor2.dumps(cbor2.CBORTag(kin_manager.OBJECT_TAG, tag)))
            assert isinstance(manager.call(0, "ping"), cbor2.CBORTag)
        use = lambda n: answer(n, b"\7", size=2)[:25]  # and no more of it
        fails(TimeoutError, lambda: manager.call(0, "ping", timeout=0.2 - kin_manager.GRACE))
        for use in (lambda n: answer(n + 7, b"\7"), lambda n: answer(1, b"\7")):
            batch = manager.batch()
            calls = [batch.call(kin_manager.Proxy(manager, 0, "root"), "ping") for _ in range(2)]
            assert fails(kin_manager.ManagerError, batch.run, 5).code == kin_manager.MISMATCH
            fails(RuntimeError, calls[0].get)
        use = lambda n: answer(n, b"\7")
        manager.close()


def drip(connection):
    for byte in b"kin manager\0" + bytes(84):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def bad_handshakes_are_told(_address):
    good = b"kin manager\0" + bytes([1, 1, 0, 0]) + os.urandom(48) + bytes(32)
    for hello, code in ((b"HTTP/1.1 400 Bad Request\r\n" + bytes(96), -12), (good[:12] + bytes([2, 3]) + good[14:], -12),
                        (good[:12] + bytes([0, 0]) + good[14:], -12), (good[:14] + b"\3" + good[15:], -8),
                        (good[:14] + b"\4" + good[15:], -11), (good[:95], -13), (b"", -13),
                        (good + good, -11), (good + good[:14] + b"\1" + good[15:], -11)):
        with FakeServer(hello=lambda connection: connection.sendall(hello)) as server:
            assert fails(kin_manager.ManagerError, kin_manager.connect, server.address, KEY).code == code, hello
    for hello in (lambda connection: time.sleep(2), drip):  # one that says nothing, and one that takes its time
        with FakeServer(hello=hello) as server:
            began = time.monotonic()
            fails(TimeoutError, lambda: kin_manager.connect(server.address, KEY, connect_timeout=0.3))
            assert time.monotonic() - began < 1.5


def new_server_is_connected_to_anew(_address):
    with Server("127.0.0.1:0", *served) as server:
        manager, port = connect(server.address), server.address.rsplit(":", 1)[1]
        manager.create("dict")["x"] = 1
        server.process.kill()
        server.process.wait()
        fails(kin_manager.ManagerError, manager.counts)
    with Server("127.0.0.1:" + port, *served) as server:  # another one at the same address is not taken for it
        assert "another one is there now" in str(fails(kin_manager.ManagerError, manager.counts))
        with connect(server.address) as again:
            assert again.create("list", [7])[0] == 7


def certificates_are_checked(address):
    """By TLS only."""
    stranger = {**options, "authority": options["authority"].replace("authority.pem", "stranger.pem")}
    error = fails(kin_manager.AuthenticationError, lambda: kin_manager.connect(address, KEY, **stranger))
    assert "unable to get local issuer certificate" in str(error), error
    error = fails(kin_manager.AuthenticationError, lambda: connect(address, host="lathe.example"))
    assert "Hostname mismatch" in str(error), error
    with connect(address, host="mill.example") as manager:
        assert manager.create("list", [7])[0] == 7
        large = os.urandom(5_000_000)
        assert manager.create("Value", "y", large).value == large
    directory = os.path.dirname(options["authority"])
    with Server("127.0.0.1:0", directory, "ask") as server:
        fails(kin_manager.AuthenticationError, connect, server.address)
        with connect(server.address, certificate=f"{directory}/client.pem", private_key=f"{directory}/client.key") as manager:
            assert manager.create("list", [7])[0] == 7
    with Server("127.0.0.1:0") as plain:
        assert fails(kin_manager.ManagerError, connect, plain.address).code == -12


TESTS = [dicts_and_lists_are_used, objects_lie_in_objects, queues_and_locks_wait, dead_clients_give_back,
         own_types_are_called, batches_go_together, pools_run_registered_functions, threads_leave_no_connection,
         stopped_servers_are_given_up, wrong_keys_are_refused, end_of_the_server_is_told, new_server_is_connected_to_anew,
         references_of_garbage_are_given_back_between_calls]
ONCE = [bad_answers_are_told, bad_handshakes_are_told]


def run(number, test, server, way):
    """Whether it went well."""
    name = f"{number} - manager from Python, {test.__name__} at {way}"
    try:
        test(server.address)
        print(f"ok {name}", flush=True)
        return True
    except Exception:
        print(f"not ok {name}")
        print("".join(f"#   {line}\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
        return False


def main():
    failed = number = 0
    print(f"1..{3 * len(TESTS) + 1 + len(ONCE)}")
    with tempfile.TemporaryDirectory(prefix="kin-tls-") as directory:
        certificates.make(directory, "IP:127.0.0.1,DNS:mill.example")
        for address, way in (("@kin-test-%d" % os.getpid(), "a Unix socket"), ("127.0.0.1:0", "TCP"), ("127.0.0.1:0", "TLS")):
            if way == "TLS":
                served.append(directory)
                options["authority"] = f"{directory}/authority.pem"
            with Server(address, *served) as server:
                for test in TESTS + (ONCE if way == "TCP" else [certificates_are_checked] if way == "TLS" else []):
                    number += 1
                    failed += not run(number, test, server, way)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.alarm(120)
    sys.exit(main())
