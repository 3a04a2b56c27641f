"""A client of kin's managers: dicts, lists, queues, locks and types of one's own that live in a server process.

Pure Python, with cbor2 (Debian: python3-cbor2); docs/protocol.md says what goes over the wire.

    manager = kin_manager.connect("10.0.0.7:5000", key)
    scores = manager.create("dict")
    scores["mill"] = 3
    scores.call("add", "mill", 1)          every method can be called by its name
    token = scores.token                   bytes that stand for it; manager.open(token) elsewhere
    with manager.batch() as batch:         calls that are sent together
        results = [batch.call(scores, "get", key) for key in keys]
    [result.get() for result in results]

TCP beyond this machine goes by TLS 1.3: authority="ca.pem" names the certificates that are trusted, certificate= and private_key= are for
servers that ask for ours, host= for a name other than the address's; insecure=True allows it without. (TLS by key alone takes
external pre-shared keys of TLS 1.3, which Python's ssl has not.)

Waiting calls (get, acquire, wait, join, ...) take a timeout in seconds, None for ever, and raise TimedOut. call_limit= of connect is for all
others: a server that is stopped, or cut off, answers none.

Each thread has a connection of its own; locks belong to threads. All that this process holds is given back when it ends, or
at manager.close().
"""

import collections
import hmac
import ipaddress
import os
import secrets
import select
import socket
import ssl
import struct
import threading
import time
import weakref

import cbor2

MAGIC = b"kin manager\0"
VERSION = 1
HEAD = struct.Struct("<2sBBIQQ")
CALL, ANSWER, FAILURE, BYE = 1, 2, 3, 4
OBJECT_TAG = 0x6B696E01
MESSAGE_LIMIT = 64 << 20
GRACE = 5.0  # seconds that an answer may come later than the call's own timeout
UNTIMED = object()

NOT_FOUND, TIMED_OUT, DIED, CLOSED, OWNER_DIED, MISMATCH = -19, -4, -13, -7, -21, -12
NO_ANSWER = "the manager sent what is no answer"


class ManagerError(Exception):
    """A call failed: code (kin/error.h), message, method, and the process where."""

    def __init__(self, code, message, method="", pid=0):
        super().__init__(f"{method}: {message}" if method else message)
        self.code, self.message, self.method, self.pid = code, message, method, pid


class NotFound(ManagerError, KeyError):
    """There is no such key, index, object, type or method."""

    __str__ = Exception.__str__


class TimedOut(ManagerError, TimeoutError):
    """Not in time."""


class AuthenticationError(ManagerError):
    """One side has not proven that it has the key."""


KINDS = {NOT_FOUND: NotFound, TIMED_OUT: TimedOut}


def _mac(key, *parts):
    return hmac.new(key, b"".join(parts), "sha256").digest()


def _open_socket(address, timeout):
    if address.startswith("unix:"):
        address = address[5:]
    elif address.startswith("tcp:"):
        address = address[4:]
    elif not address.startswith(("/", "@")) and ":" not in address:
        raise ValueError(f'"{address}" is no address: "host:port", "/path" or "@name"')
    if address.startswith("@") or "/" in address or ":" not in address:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
    else:
        host, port = address.rsplit(":", 1)
        sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _is_beyond(sock):
    """Whether it leads to another machine."""
    if sock.family == socket.AF_UNIX:
        return False
    there = ipaddress.ip_address(sock.getpeername()[0].split("%")[0])
    return not (getattr(there, "ipv4_mapped", None) or there).is_loopback


def _tls_context(authority, certificate, private_key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    if certificate:
        context.load_cert_chain(certificate, private_key, password="")
    return context


class _Connection:
    def __init__(self, manager):
        self.manager = manager
        self.number = 0
        self.pid = os.getpid()
        self.under_way = False  # something was sent, and its answer has not come whole
        self._begin(manager.connect_timeout)
        self.socket = _open_socket(manager.address, manager.connect_timeout)
        try:
            self._secure()
            self._shake_hands()
        except ssl.SSLError as error:
            self.socket.close()
            trust = isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE" in (error.reason or "")
            raise (AuthenticationError if trust else ManagerError)(-11 if trust else MISMATCH, f"TLS: {error}") from error
        except BaseException:
            self.socket.close()
            raise
        self.socket.settimeout(None)

    def _secure(self):
        manager = self.manager
        if manager.tls:
            if self.socket.family == socket.AF_UNIX:
                raise ValueError(f'"{manager.address}" is no TCP address: TLS goes over TCP only')
            host = manager.host or self.manager.address.removeprefix("tcp:").rsplit(":", 1)[0].strip("[]")
            self.socket = manager.tls.wrap_socket(self.socket, server_hostname=host)
        elif not manager.insecure and _is_beyond(self.socket):
            raise AuthenticationError(-11, f'"{manager.address}" is beyond this machine, and TCP is not encrypted; '
                                      "give authority=, or insecure=True to allow that")

    def _begin(self, limit):
        self.deadline = None if limit is None else time.monotonic() + limit

    def _time_left(self):
        """For the next operation: a peer that sends byte after byte has no more time than one that sends none."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left

    def _receive(self, size):
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            self.socket.settimeout(self._time_left())
            got = self.socket.recv_into(view[at:])
            if not got:
                raise ManagerError(DIED, "the manager has ended, or closed the connection")
            at += got
        return bytes(data)

    def _shake_hands(self):
        manager = self.manager
        server = self._receive(96)
        if server[:12] != MAGIC:
            raise ManagerError(MISMATCH, "what listens there is no manager")
        self._check_verdict(server[14])
        if not server[12] <= VERSION <= server[13]:
            raise ManagerError(MISMATCH, "the manager speaks another version of the protocol")
        mine = MAGIC + bytes([VERSION, VERSION, 0, 0]) + manager.client_id + secrets.token_bytes(32)
        mine += _mac(manager.key, b"kin client", server, mine)
        self.socket.sendall(mine)
        last = self._receive(96)
        self._check_verdict(last[14])
        if not hmac.compare_digest(last[64:], _mac(manager.key, b"kin server", server, mine)):
            raise AuthenticationError(-11, "what listens there has not proven that it has the key")
        if manager.server_id is None:
            manager.server_id = server[16:32]
        elif manager.server_id != server[16:32]:
            raise ManagerError(DIED, "the manager has ended, and another one is there now")

    @staticmethod
    def _check_verdict(verdict):
        if verdict in (1, 4):
            raise AuthenticationError(-11, "the manager has another key" if verdict == 1 else
                                      "after too many failures the manager lets nobody in from here for a minute")
        if verdict:
            raise ManagerError(MISMATCH if verdict == 2 else -8, "the manager speaks another version of the protocol"
                               if verdict == 2 else "the manager has as many connections as it may have")

    def frame(self, number, method, args):
        self.number += 1
        encode = self.manager.encode
        body = cbor2.dumps(number) + cbor2.dumps(method) + b"".join(encode(arg) for arg in args)
        return HEAD.pack(b"kM", VERSION, CALL, len(body), self.number, threading.get_ident()) + body

    @staticmethod
    def read_head(data, numbers):
        """Kind, size and number of an answer, to one of those calls."""
        magic, version, kind, size, answered, _ = HEAD.unpack(data)
        if (magic != b"kM" or version != VERSION or kind not in (ANSWER, FAILURE) or size > MESSAGE_LIMIT
                or answered not in numbers):
            raise ManagerError(MISMATCH, NO_ANSWER)
        return kind, size, answered

    def read_answer(self, kind, body):
        if kind == ANSWER:
            return self.manager.decode(body, 1)[0]
        code, message, where, pid = self.manager.decode(body, 4)
        if not (isinstance(code, int) and isinstance(message, str) and isinstance(where, str)):
            raise ManagerError(MISMATCH, NO_ANSWER)
        raise KINDS.get(code, ManagerError)(code, message, where, pid)

    def call(self, number, method, args, limit):
        frame = self.frame(number, method, args)
        self.under_way = True
        self._begin(limit)
        self.socket.settimeout(limit)
        self.socket.sendall(frame)
        kind, size, _ = self.read_head(self._receive(HEAD.size), (self.number,))
        body = self._receive(size)
        self.under_way = False
        return self.read_answer(kind, body)

    def exchange(self, frames, first, limit):
        """Send frames, numbered from `first`, and receive their answers at once: (kind, body) of each, in order."""
        data, sent, got, answers = b"".join(frames), 0, bytearray(), {}
        awaited = set(range(first, first + len(frames)))
        self.under_way = True
        self._begin(limit)
        self.socket.settimeout(0)
        while awaited:
            left = self._time_left()
            pending = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
            readable, writable, _ = select.select(
                [self.socket], [self.socket] * (sent < len(data)), [], 0 if pending else left)
            if not readable and not writable and not pending:
                raise socket.timeout("timed out")
            try:
                if writable:
                    sent += self.socket.send(memoryview(data)[sent:sent + 65536])
                if readable or pending:
                    more = self.socket.recv(1 << 18)
                    if not more:
                        raise ManagerError(DIED, "the manager has ended, or closed the connection")
                    got += more
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            at = 0
            while len(got) - at >= HEAD.size:
                kind, size, answered = self.read_head(got[at:at + HEAD.size], awaited)
                if len(got) - at - HEAD.size < size:
                    break
                awaited.remove(answered)
                answers[answered] = (kind, bytes(got[at + HEAD.size:at + HEAD.size + size]))
                at += HEAD.size + size
            del got[:at]
        self.under_way = False
        return [answers[first + i] for i in range(len(frames))]

    def __del__(self):
        if hasattr(self, "socket"):
            self.close()

    def close(self):
        try:
            if self.pid == os.getpid():
                self.socket.sendall(HEAD.pack(b"kM", VERSION, BYE, 0, 0, 0))
        except OSError:
            pass
        self.socket.close()


class _Bytes:
    """As little of a file as the decoder needs."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self, size):
        self.at += size
        return self.data[self.at - size:self.at]


class Manager:
    """The connection of this process to a server. Any thread may use it; a child of a fork connects by itself."""

    def __init__(self, address, key, connect_timeout=10.0, *, call_limit=None, authority=None, certificate=None,
                 private_key=None, host=None, insecure=False):
        if len(key) < 16:
            raise ValueError("a key has 16 bytes at least")
        if not authority and (certificate or private_key or host):
            raise ValueError("TLS needs an authority, whose certificates are trusted")
        self.tls = _tls_context(authority, certificate, private_key) if authority else None
        self.host, self.insecure = host, insecure
        self.address, self.key, self.connect_timeout = address, bytes(key), connect_timeout
        self.call_limit = call_limit
        self.server_id = None
        self._begin()
        self._connection()

    def _begin(self):
        self.client_id = secrets.token_bytes(16)
        self.local = threading.local()
        self.connections = weakref.WeakSet()  # one goes with its thread
        self.dropped = collections.deque()  # references that nobody has any more
        self.lock = threading.Lock()
        self.pid = os.getpid()
        self.home = _Connection(self)  # keeps what this process holds, also while no thread is connected

    def _connection(self):
        if self.pid != os.getpid():
            self._begin()
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = _Connection(self)
            with self.lock:
                self.connections.add(connection)
        return connection

    def call(self, number, method, *args, timeout=UNTIMED):
        """timeout: how long the method may wait in the server; None: for ever."""
        limit = self.call_limit if timeout is UNTIMED else None if timeout is None else timeout + GRACE
        return self._with_connection(lambda connection: connection.call(number, method, args, limit))

    def drop(self, number):
        """Give a reference back; after the call that this thread is in the middle of, as garbage may be collected anywhere."""
        self.dropped.append(number)
        self._give_back()

    def _give_back(self):
        while self.dropped and not getattr(self.local, "busy", False):
            try:
                number = self.dropped.popleft()
                self._use(lambda connection, number=number: connection.call(0, "unrefer", (number,), self.call_limit))
            except (IndexError, ManagerError):  # another thread took it; or the manager is gone, and with it the reference
                pass

    def _with_connection(self, use):
        try:
            return self._use(use)
        finally:
            self._give_back()

    def _use(self, use):
        connection = None
        self.local.busy = True
        try:
            connection = self._connection()
            return use(connection)
        except socket.timeout as error:
            raise TimedOut(TIMED_OUT, "the manager has not answered: it is stopped, or busy") from error
        except OSError as error:
            if isinstance(error, ManagerError):  # TimedOut is one, too
                raise
            raise ManagerError(DIED, f"the manager has ended, or closed the connection: {error}") from error
        finally:
            self.local.busy = False
            if connection and connection.under_way:  # what comes by it now would be of a call that was given up
                connection.socket.close()
                self.local.connection = None

    def batch(self):
        return Batch(self)

    def encode(self, value):
        return cbor2.dumps(value, default=self._encode_object)

    def _encode_object(self, encoder, value):
        if not isinstance(value, Proxy):
            raise TypeError(f"cannot send {value!r} to a manager")
        encoder.encode(cbor2.CBORTag(OBJECT_TAG, [self.server_id, value.number, value.type]))

    def decode(self, data, count):
        """So many items, and nothing behind them."""
        stream = _Bytes(data)
        try:
            decoder = cbor2.CBORDecoder(stream, tag_hook=self._decode_tag)
            items = [decoder.decode() for _ in range(count)]
        except Exception as error:  # whatever the decoder makes of bytes that are none
            raise ManagerError(MISMATCH, NO_ANSWER) from error
        if stream.at != len(data) or any(item is cbor2.break_marker for item in items):
            raise ManagerError(MISMATCH, NO_ANSWER)
        return items

    def _decode_tag(self, _decoder, tag):
        value = tag.value
        if tag.tag == OBJECT_TAG and isinstance(value, (list, tuple)) and len(value) == 3 and value[0] == self.server_id:
            return Token(self, *value[1:])
        return tag

    def _proxy(self, token):
        return TYPES.get(token.type, Proxy)(self, token.number, token.type)

    def create(self, kind, *args):
        """A new object of that type: "dict", "list", "Queue", ..., or one that the server's program registered."""
        return self._proxy(self.call(0, "create", kind, *args))

    def open(self, token, hold=None):
        """A proxy from a token: what a container gave, or the bytes of Proxy.token."""
        if isinstance(token, bytes):
            server, number, _type = cbor2.loads(token)
            if server != self.server_id:
                raise ManagerError(MISMATCH, "the object is of another manager")
        else:
            number = token.number
        return self._proxy(self.call(0, "refer", number, hold))

    def counts(self):
        names = ("objects", "references", "clients", "waiting", "bytes", "held", "calls")
        return dict(zip(names, self.call(0, "counts")))

    def shutdown(self):
        self.call(0, "shutdown")

    def close(self):
        """Give back all that this process holds."""
        with self.lock:
            for connection in [*self.connections, self.home]:
                connection.close()
            self.connections.clear()
        self.local = threading.local()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


connect = Manager


class Batch:
    """Calls that are sent together, and answered by one journey: at the end of `with`, or by run()."""

    def __init__(self, manager):
        self.manager, self.calls, self.results = manager, [], []

    def call(self, proxy, method, *args):
        self.calls.append((proxy.number, method, args))
        self.results.append(BatchResult())
        return self.results[-1]

    def run(self, limit=None):
        calls, results, self.calls, self.results = self.calls, self.results, [], []
        if not calls:
            return

        def exchange(connection):
            first = connection.number + 1
            frames = [connection.frame(*call) for call in calls]
            for result, answer in zip(results, connection.exchange(frames, first, limit)):
                result.answer, result.connection = answer, connection
        self.manager._with_connection(exchange)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.run(self.manager.call_limit)


class BatchResult:
    answer = connection = None

    def get(self):
        """What the call has returned; or it raises its error."""
        if self.answer is None:
            raise RuntimeError("the batch has not run")
        value = self.connection.read_answer(*self.answer)
        return value.open() if isinstance(value, Token) else value


class Token:
    """An object as it came inside another value. open() makes a proxy of it."""

    def __init__(self, manager, number, kind):
        self.manager, self.number, self.type = manager, number, kind

    def open(self):
        return self.manager.open(self)


class Proxy:
    """Stands for an object in the manager, and holds it."""

    def __init__(self, manager, number, kind):
        self.manager, self.number, self.type = manager, number, kind
        self.owner = os.getpid()

    @property
    def token(self):
        """Bytes for other processes; this proxy has to live until they are used."""
        return cbor2.dumps([self.manager.server_id, self.number, self.type])

    def call(self, method, *args, timeout=UNTIMED):
        answer = self.manager.call(self.number, method, *args, timeout=timeout)
        return answer.open() if isinstance(answer, Token) else answer

    def release_reference(self):
        if self.owner == os.getpid():
            self.owner = None
            self.manager.call(0, "unrefer", self.number)

    def __del__(self):
        try:
            if self.owner == os.getpid():
                self.owner = None
                self.manager.drop(self.number)
        except Exception:  # the manager is gone, and with it the reference
            pass

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self.call(name, *args)

    def __repr__(self):
        return f"<{self.type} {self.number:#x} of the manager at {self.manager.address}>"


class _Pages(Proxy):
    page_size = 1000

    def _pages(self):
        following = 0
        while True:
            following, *items = self.call_plain("page", following, self.page_size)
            yield items
            if not following:
                return

    def call_plain(self, method, *args):
        """As call, but objects in the answer stay tokens."""
        return self.manager.call(self.number, method, *args)

    def __len__(self):
        return self.call("length")

    def __contains__(self, value):
        return self.call("contains", value)


class DictProxy(_Pages):
    def __getitem__(self, key):
        return self.call("get", key)

    def __setitem__(self, key, value):
        self.call("set", key, value)

    def __delitem__(self, key):
        self.call("delete", key)

    def get(self, key, other=None):
        return self.call("get_or", key, other)

    def items(self):
        for items in self._pages():
            yield from zip(items[::2], items[1::2])

    def keys(self):
        return (key for key, _ in self.items())

    def values(self):
        return (value for _, value in self.items())

    __iter__ = keys

    def update(self, *args, **more):
        self.call("set_many", dict(*args, **more))

    def get_many(self, keys):
        answer = self.call_plain("get_many", list(keys))
        return {key: value for key, there, value in zip(keys, answer[::2], answer[1::2]) if there}

    def popitem(self):
        return tuple(self.call_plain("popitem"))


class ListProxy(_Pages):
    def __getitem__(self, index):
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self.call_plain("slice", start, max(start, stop))[::step] if step > 0 else self.copy()[index]
        return self.call("get", index)

    def __setitem__(self, index, value):
        self.call("set", index, value)

    def __delitem__(self, index):
        self.call("delete", index)

    def __iter__(self):
        for items in self._pages():
            yield from items

    def copy(self):
        return self.call_plain("copy")


class SetProxy(_Pages):
    __iter__ = ListProxy.__iter__


class NamespaceProxy(Proxy):
    _own = {"manager", "number", "type", "owner"}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.call("get", name)
        except NotFound as error:
            raise AttributeError(name) from error

    def __setattr__(self, name, value):
        if name in self._own:
            object.__setattr__(self, name, value)
        else:
            self.call("set", name, value)

    def __delattr__(self, name):
        self.call("delete", name)


class ValueProxy(Proxy):
    @property
    def value(self):
        return self.call("get")

    @value.setter
    def value(self, value):
        self.call("set", value)


class QueueProxy(Proxy):
    def put(self, value, timeout=None):
        self.call("put", value, timeout, timeout=timeout)

    def get(self, timeout=None):
        return self.call("get", timeout, timeout=timeout)

    def join(self, timeout=None):
        self.call("join", timeout, timeout=timeout)

    def qsize(self):
        return self.call("length")


class LockProxy(Proxy):
    """Lock, RLock, Semaphore, Condition. acquire says False if the lock's last owner died with it."""

    def acquire(self, timeout=None):
        return self.call("acquire", timeout, timeout=timeout)

    def wait(self, timeout=None):
        return self.call("wait", timeout, timeout=timeout)

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *_):
        self.call("release")


class WaitedProxy(Proxy):
    """Event, Barrier, AsyncResult."""

    def wait(self, timeout=None):
        return self.call("wait", timeout, timeout=timeout)

    def get(self, timeout=None):
        return self.call("get", timeout, timeout=timeout)


class PoolProxy(Proxy):
    """Functions are named as the server's program has registered them: pool.map("square", range(10))."""

    def apply(self, function, *args):
        return self.call("apply", function, *args, timeout=None)

    def map(self, function, items):
        return self.manager.call(self.number, "map", function, list(items), timeout=None)

    def starmap(self, function, items):
        return self.manager.call(self.number, "starmap", function, [list(item) for item in items], timeout=None)

    def map_async(self, function, items):
        return self.call("map_async", function, list(items))

    def imap(self, function, items):
        return self.call("imap", function, list(items))

    def imap_unordered(self, function, items):
        return self.call("imap_unordered", function, list(items))

    def join(self, timeout=None):
        self.call("join", timeout, timeout=timeout)


class IteratorProxy(Proxy):
    def next(self, timeout=None):
        try:
            return self.call("next", timeout, timeout=timeout)
        except ManagerError as error:
            if error.code == CLOSED and error.method == "Iterator.next":
                raise StopIteration from error
            raise

    def __iter__(self):
        return self

    __next__ = next


TYPES = {
    "dict": DictProxy,
    "list": ListProxy,
    "Array": ListProxy,
    "set": SetProxy,
    "Namespace": NamespaceProxy,
    "Value": ValueProxy,
    "Queue": QueueProxy,
    "JoinableQueue": QueueProxy,
    "Lock": LockProxy,
    "RLock": LockProxy,
    "Semaphore": LockProxy,
    "BoundedSemaphore": LockProxy,
    "Condition": LockProxy,
    "Event": WaitedProxy,
    "Barrier": WaitedProxy,
    "AsyncResult": WaitedProxy,
    "Pool": PoolProxy,
    "Iterator": IteratorProxy,
}
