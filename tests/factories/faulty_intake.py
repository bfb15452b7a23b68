"""Clients as processes: each posts its reports and photos through an outbox of its own, and may be killed at any moment.

Run as a program: ``python faulty_intake.py URL OUTBOX DEVICE COUNT EVERY BATCH SEED``. It fills the outbox once, sends until nothing
waits, reconciles, and prints what the reconciliation found as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from factories import served_town
from factories.photos import photo

from gridsvc.client import Client, Outbox, Unreachable


def run(url: str, path: str, device: str, count: int, every: int, batch: int, seed: int) -> dict:
    """Send ``count`` reports, a photo with each ``every``-th, and return what the reconciliation says."""
    dice = random.Random(seed)
    client = Client(url, timeout_s=10.0, patience_s=600.0, dice=random.Random(seed + 1))
    with client, Outbox(path, client, device=device) as outbox:
        for first in range(0, count, 200):
            rows = []
            for n in range(first, min(first + 200, count)):
                report_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
                body = served_town.report_body(report_id=report_id, description=f"第{n}件")
                rows.append((body, [photo(seed * 1_000_000 + n, size=(64, 48))] if every and n % every == 0 else []))
            outbox.put_many(rows)
        while True:
            try:
                # singles and batches in turn, so that both ways are met by faults
                outbox.send(batch=batch)
                found = outbox.reconcile()
            except Unreachable:
                continue
            if not outbox.counts()["reports_waiting"] and not outbox.counts()["photos_waiting"]:
                return asdict(found) | {"tries": client.tries, "counts": outbox.counts()}


if __name__ == "__main__":
    address, file, name, *numbers = sys.argv[1:]
    print(json.dumps(run(address, file, name, *map(int, numbers))))
