#!/usr/bin/env python3
"""Fetches every file of a tree from a web site and compares it byte for byte.

Prints "demo: ok (N files, M bytes)" and exits 0 if all are equal and there are at least 1,000.
Usage: demo_check.py URL TREE
"""

import http.client
import sys
import threading
import urllib.parse
from pathlib import Path

CONNECTIONS = 8
LEAST_FILES = 1000
SHOWN_FAULTS = 10


class Check:
    """What the connections share: files still to fetch, and what was found."""

    def __init__(self, url, tree):
        self.address = urllib.parse.urlsplit(url)
        self.tree = tree
        self.files = iter(sorted(path for path in tree.rglob("*") if path.is_file()))
        self.lock = threading.Lock()
        self.count = 0
        self.bytes = 0
        self.faults = []

    def next_file(self):
        with self.lock:
            return next(self.files, None)

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def compare(self, connection, path):
        target = "/" + urllib.parse.quote(str(path.relative_to(self.tree)))
        connection.request("GET", target)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            self.fault(f"{target}: status {response.status}")
        elif body != path.read_bytes():
            self.fault(f"{target}: {len(body)} bytes that differ from the tree's")
        else:
            with self.lock:
                self.count += 1
                self.bytes += len(body)

    def fetch_all(self):
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port,
                                                timeout=60)
        while (path := self.next_file()) is not None:
            try:
                self.compare(connection, path)
            except (OSError, http.client.HTTPException) as error:
                self.fault(f"{path}: {error!r}")
                connection.close()  # the next request opens it again
        connection.close()


def main():
    check = Check(sys.argv[1], Path(sys.argv[2]))
    threads = [threading.Thread(target=check.fetch_all) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if check.count + len(check.faults) < LEAST_FILES:
        check.fault(f"only {check.count} files in {check.tree}")
    if check.faults:
        for text in check.faults[:SHOWN_FAULTS]:
            print(f"demo: {text}", file=sys.stderr)
        print(f"demo: FAILED: {len(check.faults)} faults, {check.count} files good",
              file=sys.stderr)
        return 1
    print(f"demo: ok ({check.count} files, {check.bytes} bytes)")
    return 0


sys.exit(main())
