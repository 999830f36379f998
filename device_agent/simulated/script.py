"""What is laid on simulated readers, and when: a list of presentations, from a file or from options."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_agent.simulated.field import Field
from device_agent.simulated.tag import SimulatedTag
from device_agent.simulated.type2 import MifareClassic, Ntag21x
from device_agent.simulated.type3 import FelicaNdef
from device_agent.simulated.type4 import Ntag424

DEFAULT_UID = {
    "ntag213": "04A1B2C3D4E580", "ntag215": "04A1B2C3D4E581", "ntag216": "04A1B2C3D4E582",
    "ntag424": "04DE5F1EACC040", "felica": "03FEFFE011223344", "classic": "DEADBEEF",
}  # fmt: skip
DEFAULT_URL = "https://komgick.example/t#{uid}"
DEFAULT_SUN_URL = "https://komgick.example/t#e={e}&c={c}"


@dataclass(frozen=True, slots=True)
class Presentation:
    """One tag laid on one reader for `hold` seconds, then nothing for `gap` seconds. act: the key pressed before it, if
    any.
    """

    tag: SimulatedTag
    reader: str = "door"
    hold: float = 1.0
    gap: float = 3.5
    act: str | None = None


def make_tag(kind: str, known: Mapping[str, Any]) -> SimulatedTag:
    """A simulated tag. known: uid (hex), url, and for ntag424 meta_key, file_key (hex) and counter. Raises ValueError,
    KeyError.
    """
    uid = bytes.fromhex(str(known.get("uid") or DEFAULT_UID[kind]))
    keys = {name: bytes.fromhex(str(known[name])) for name in ("meta_key", "file_key") if known.get(name)}
    if kind == "ntag424":
        return Ntag424(uid, known.get("url") or DEFAULT_SUN_URL, counter=int(known.get("counter") or 0), **keys)
    url = known.get("url") or DEFAULT_URL.format(uid=uid.hex().upper())
    match kind:
        case "felica":
            return FelicaNdef(uid, url)
        case "classic":
            return MifareClassic(uid)
        case _:
            return Ntag21x(uid, url, int(kind.removeprefix("ntag")))


def read_script(path: Path) -> list[Presentation]:
    """Presentations out of a file: a JSON array, or one JSON object per line.

    Members: tag (ntag213, ntag215, ntag216, ntag424, felica, classic), uid, url, meta_key, file_key, counter, reader,
    hold, gap, act. The same uid again is the same tag: its counter goes on. Raises ValueError, KeyError, OSError.
    """
    content = path.read_text()
    items = (
        json.loads(content)
        if content.lstrip().startswith("[")
        else [json.loads(line) for line in content.splitlines() if line.strip()]
    )
    tags: dict[str, SimulatedTag] = {}
    script = []
    for item in items:
        kind = str(item["tag"])
        uid = str(item.get("uid") or DEFAULT_UID[kind])
        tag = tags.setdefault(uid, make_tag(kind, item))
        timing = {name: float(item[name]) for name in ("hold", "gap") if name in item}
        script.append(Presentation(tag, str(item.get("reader", "door")), act=item.get("act"), **timing))
    return script


def play(
    script: Iterable[Presentation], fields: Mapping[str, Field], stopping: threading.Event,
    before: Callable[[Presentation], None], pace: float = 1.0,
) -> None:  # fmt: skip
    """Lays the tags on their readers one after another until done or stopped. pace: holds and gaps are multiplied by
    it.
    """
    for item in script:
        if stopping.is_set():
            return
        before(item)
        fields[item.reader].put(item.tag)
        stopping.wait(item.hold * pace)
        fields[item.reader].take()
        stopping.wait(item.gap * pace)
