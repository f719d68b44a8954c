"""Takes files out of wheels; prints size and SHA-256 of each library as JSON.

Arguments: the folder of the wheels, the folder to fill, and a JSON object
{package: {member or "folder/": its place, or the place of its content}}.
"""

import glob
import hashlib
import json
import os
import sys
import zipfile

CHUNK = 1 << 20


def place_of(member, wanted):
    if member.endswith("/"):
        return None
    for source, place in wanted.items():
        if member == source:
            return place
        if source.endswith("/") and member.startswith(source):
            return place + member[len(source) :]
    return None


def copy(archive, member, place):
    parts = place.split("/")
    if ".." in parts or os.path.isabs(place):
        sys.exit("a wheel names a file outside of itself: " + member)
    path = os.path.join(into, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with archive.open(member) as source, open(path, "wb") as target:
        while chunk := source.read(CHUNK):
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def unpack(wheel, wanted):
    report, taken = {}, set()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            place = place_of(member, wanted)
            if place is None:
                continue
            facts = copy(archive, member, place)
            taken.add(place)
            if place.startswith("lib/"):
                report[place] = facts
    for source, place in wanted.items():
        if not any(name.startswith(place) for name in taken):
            sys.exit(f"{os.path.basename(wheel)} has no {source}")
    os.remove(wheel)
    return report


wheels, into, plan = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
report = {}
try:
    for package, wanted in plan.items():
        pattern = os.path.join(glob.escape(wheels), package.replace("-", "_") + "-*.whl")
        found = glob.glob(pattern)
        if len(found) != 1:
            sys.exit(f"{package} has {len(found)} wheels, needed 1")
        report.update(unpack(found[0], wanted))
except (OSError, zipfile.BadZipFile) as error:
    sys.exit(f"cannot unpack: {error}")
print(json.dumps(report))
