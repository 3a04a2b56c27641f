"""manager_far.py SERVER ROOT - a manager on one pretended host, its client on another: two network namespaces and a cable between them.

Prints TAP. Skipped where namespaces cannot be made (no root, no iproute2).
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import certificates

SERVER, ROOT = sys.argv[1:3]
KEY = "a key that nobody knows"
HERE, THERE = f"kin-a-{os.getpid()}", f"kin-b-{os.getpid()}"
CABLE = [f"kva{os.getpid() % 100000}", f"kvb{os.getpid() % 100000}"]

CLIENT = """
import sys, time
sys.path.insert(0, sys.argv[1] + "/clients/python")
import kin_manager
manager = kin_manager.connect(sys.argv[2], sys.argv[3].encode(), **eval(sys.argv[4]))
"""


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, **more)


def make_hosts():
    """Whether it could be done."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    steps = [f"netns add {HERE}", f"netns add {THERE}", f"link add {CABLE[0]} type veth peer name {CABLE[1]}"]
    for host, end, number in ((HERE, CABLE[0], 1), (THERE, CABLE[1], 2)):
        steps += [f"link set {end} netns {host}", f"-n {host} addr add 10.213.77.{number}/24 dev {end}",
                  f"-n {host} link set {end} up", f"-n {host} link set lo up"]
    return all(run("ip", *step.split()).returncode == 0 for step in steps)


def remove_hosts():
    for host in (HERE, THERE):
        run("ip", "netns", "del", host)


class Server:
    def __init__(self, *more):
        self.process = subprocess.Popen(["ip", "netns", "exec", HERE, SERVER, "10.213.77.1:0", KEY, *more],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.errors = self.process.communicate()[1]


def client(server, text, key=KEY, options="{'insecure': True}"):
    return run("ip", "netns", "exec", THERE, "/usr/bin/python3", "-c", CLIENT + text, ROOT, server.address, key, options)


def plain_tcp_beyond_the_machine_is_refused():
    with Server() as server:
        assert server.address == "", server.address
    assert "it may be reached from other machines" in server.errors, server.errors


def another_host_uses_it():
    with Server("insecure") as server:
        first = client(server, "d = manager.create('dict', {'a': 1}); print(d.call('add', 'a', 41)); "
                               "q = manager.create('Queue'); q.put([1, 2]); print(q.get(5))")
        assert first.returncode == 0 and first.stdout == "42\n[1, 2]\n", first
        left = client(server, "c = manager.counts()\nwhile c['objects']: time.sleep(0.01); c = manager.counts()\n"
                              "print(c['objects'], c['references'])")
        assert left.stdout == "0 0\n", left
        assert "is beyond this machine" in client(server, "", options="{}").stderr


def another_host_uses_it_by_tls():
    with tempfile.TemporaryDirectory(prefix="kin-tls-") as directory:
        certificates.make(directory, "IP:10.213.77.1")
        with Server(directory) as server:
            first = client(server, "d = manager.create('dict', {'a': 1}); print(d.call('add', 'a', 41), manager.home.socket.version())",
                           options=repr({"authority": f"{directory}/authority.pem"}))
            assert first.returncode == 0 and first.stdout == "42 TLSv1.3\n", first
            refused = client(server, "", options=repr({"authority": f"{directory}/stranger.pem"}))
            assert "AuthenticationError" in refused.stderr, refused


def a_wrong_key_of_another_host_keeps_only_that_host_out():
    with Server("insecure") as server:
        for _ in range(9):
            refused = client(server, "", KEY + "x")
            assert "AuthenticationError" in refused.stderr, refused
        assert "lets nobody in from here" in client(server, "").stderr
        mine = run("ip", "netns", "exec", HERE, "/usr/bin/python3", "-c", CLIENT + "print(manager.create('list', [1])[0])",
                   ROOT, server.address, KEY, "{'insecure': True}")
        assert mine.stdout == "1\n", mine


def a_client_whose_host_is_killed_gives_back():
    with Server("insecure") as server:
        holder = subprocess.Popen(["ip", "netns", "exec", THERE, "/usr/bin/python3", "-c", CLIENT +
                                   "lock = manager.create('Lock'); lock.acquire(); print('ready', flush=True); time.sleep(60)",
                                   ROOT, server.address, KEY, "{'insecure': True}"], stdout=subprocess.PIPE, text=True)
        assert holder.stdout.readline() == "ready\n"
        holder.kill()
        holder.wait()
        holder.stdout.close()
        deadline = time.monotonic() + 20
        while "0 0" not in client(server, "c = manager.counts(); print(c['held'], c['objects'])").stdout:
            assert time.monotonic() < deadline


TESTS = [plain_tcp_beyond_the_machine_is_refused, another_host_uses_it, another_host_uses_it_by_tls,
         a_wrong_key_of_another_host_keeps_only_that_host_out, a_client_whose_host_is_killed_gives_back]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    possible = make_hosts()
    try:
        for number, test in enumerate(TESTS, 1):
            name = f"{number} - manager from afar, {test.__name__}"
            if not possible:
                print(f"ok {name} # SKIP network namespaces cannot be made here")
                continue
            try:
                test()
                print(f"ok {name}")
            except Exception:
                failed += 1
                print(f"not ok {name}")
                print("".join(f"#   {line}\n" for line in traceback.format_exc().splitlines()), end="")
            sys.stdout.flush()
    finally:
        remove_hosts()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
