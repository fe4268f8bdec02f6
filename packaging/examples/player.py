#!/usr/bin/env python3
"""A player that is no GStreamer and tells stbeacon what it plays.

Nothing is really played: play() lives through three seconds in the life of a player, and says at each point what a
player would say there. All above it is what a player may want to take over as it is.

A player must never wait for its statistics. So:

- nothing here blocks: what the daemon does not take at once is dropped;
- all that counts is kept here as totals since the session opened, and told again and again: what was dropped is in
  the next totals, and a daemon that was restarted is told the whole session by introduce();
- where no daemon listens nothing is complained about: it is tried again 0.5 s later, then 1 s, ... 30 s.
"""

import argparse
import collections
import json
import os
import socket
import time

DEFAULT_SOCKET = "/run/stbeacon/player.sock"
MAX_DATAGRAM = 8192
COUNTERS_PERIOD = 500
FIRST_BACKOFF, LAST_BACKOFF = 500, 30000

# What the time of a session is spent on. Each millisecond belongs to one of these.
PHASES = ("startup", "playing", "paused", "rebuffering", "seeking", "ads")


def now_ms():
    """Times are told in ms of CLOCK_BOOTTIME: since the box booted, suspend included, never stepped."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Link:
    """The connection to the daemon: never waits, comes back later."""

    def __init__(self, path):
        self.path = path
        self.socket = None
        self.retry_at = 0
        self.backoff = FIRST_BACKOFF
        self.is_behind = False  # something was dropped that no totals hold
        self.sent = self.dropped = 0

    def connect_if_due(self):
        """Whether there is a new connection, whose other end knows nothing yet."""
        if self.socket or now_ms() < self.retry_at:
            return False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        try:
            self.socket.connect(self.path)
        except OSError:
            self.hang_up()
            return False
        return True

    def close(self):
        if self.socket:
            self.socket.close()

    def hang_up(self):
        self.socket.close()
        self.socket = None
        self.retry_at = now_ms() + self.backoff
        self.backoff = min(self.backoff * 2, LAST_BACKOFF)

    def send(self, message):
        """Sends a message, or drops it; says whether it was sent."""
        # A datagram of more than MAX_DATAGRAM bytes is malformed, and so is one that is not UTF-8.
        datagram = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        if self.socket and len(datagram) <= MAX_DATAGRAM:
            try:
                self.socket.send(datagram, socket.MSG_NOSIGNAL)
                self.sent += 1
                self.backoff = FIRST_BACKOFF
                return True
            except BlockingIOError:
                pass
            except OSError:  # the daemon is gone
                self.hang_up()
        self.dropped += 1
        self.is_behind = True
        return False

    def receive(self):
        """The daemon's next word, if there is one."""
        try:
            datagram = self.socket.recv(MAX_DATAGRAM) if self.socket else None
        except BlockingIOError:
            return None
        except OSError:
            datagram = b""
        if datagram:
            return json.loads(datagram)
        if datagram is not None:
            self.hang_up()
        return None


class Session:
    """One play-back: what holds now, and what it has come to since it opened."""

    number = 0

    def __init__(self, url):
        Session.number += 1
        self.url = url
        self.opened = self.settled = self.counted_at = now_ms()
        # Unique on the box until it reboots.
        self.id = f"{os.getpid()}-{self.opened}-{Session.number}"
        self.state = "playing"  # what the user asked for; that it waits for data is told by "buffering"
        self.percent = 0
        self.ad = None  # None, "load" or "start"
        self.full_screen = False
        self.bitrate = 0
        self.position = 0
        self.phase = "startup"
        self.spent = dict.fromkeys(PHASES, 0)
        self.join = None
        self.happened = dict.fromkeys(("rebuffers", "pauses", "seeks", "switches_up", "switches_down"), 0)
        self.counts = collections.Counter()  # totals since it opened ...
        self.told = collections.Counter()  # ... as counters last said

    def enter(self, phase):
        """Puts the time since the last call where it belongs, and goes on to another phase."""
        now = now_ms()
        self.spent[self.phase] += now - self.settled
        self.settled, self.phase = now, phase

    def successor(self):
        """The same play-back with totals from zero."""
        new = Session(self.url)
        for name in ("state", "percent", "ad", "full_screen", "bitrate", "position", "phase"):
            setattr(new, name, getattr(self, name))
        # The wait for the first picture is in the old books.
        new.join = None if self.join is None else 0
        # What no daemon has been told yet counts for the new one.
        new.counts = self.counts - self.told
        return new

    def totals(self):
        self.enter(self.phase)
        totals = {"started": self.phase != "startup", "bitrate": self.bitrate, **self.spent, **self.happened}
        return totals if self.join is None else {"join": self.join, **totals}


class Player:
    def __init__(self, path):
        self.link = Link(path)
        self.session = None

    def tell(self, what, /, at=None, **fields):
        """Tells of what happened in the session."""
        message = {"v": 1, "type": what, "at": now_ms() if at is None else at, "session": self.session.id}
        return self.link.send({**message, **fields})

    def introduce(self):
        """Tells a daemon that knows nothing all there is to know: at the start, and after each reconnect."""
        at = now_ms()
        self.link.send({"v": 1, "type": "hello", "at": at, "pid": os.getpid(), "player": "example-python"})
        self.link.send({"v": 1, "type": "visit", "at": at, "phase": "start"})  # the viewer is in the application
        session = self.session
        self.tell("open", at=session.opened, url=session.url, proto="vod", id="233")
        self.tell("resume", totals=session.totals())
        title = 'Evening "news" – late'
        self.tell("asset", title=title, asset="n-2207", show="News", category="information", live=False)
        # What the stream tells of itself.
        codecs = {"video_codec": "H.264", "audio_codec": "AAC", "container": "MPEG-TS"}
        self.tell("tags", tags={"title": title, **codecs})
        # Values of the operator's own.
        self.tell("dimensions", dimensions={"_cd_1000": "lab", "_cd_1001": "2 rooms"})
        # `asm`: it can change to another server.
        self.tell("delivery", cdn="ExampleCDN", server_ip="192.0.2.7", connectivity="ethernet", connect_time=38, asm=True)
        self.tell_standing()

    def tell_standing(self):
        """Everything that holds now: what a daemon that has missed something has to be told again."""
        self.link.is_behind = False
        session = self.session
        if session.bitrate:
            self.tell_bitrate()
        self.tell_window()
        if session.ad:
            self.tell_ad("load")
        if session.ad == "start":
            self.tell_ad("start")
        self.tell("state", state=session.state)
        self.tell("buffering", percent=session.percent)
        self.tell_counters()

    def tell_bitrate(self):
        width, height = (1920, 1080) if self.session.bitrate > 3_000_000 else (1280, 720)
        self.tell("bitrate", bitrate=self.session.bitrate, width=width, height=height)

    def tell_window(self):
        width, height = (1920, 1080) if self.session.full_screen else (960, 540)
        self.tell("window", full_screen=self.session.full_screen, width=width, height=height)

    def tell_ad(self, phase):
        fields = {
            "load": {"title": "Soap", "kind": "mid", "server": "ads.example", "duration": 15000},
            "start": {},
            "end": {"status": "skipped"},
        }
        self.tell("ad", phase=phase, id="spot-9", **fields[phase])

    def tell_counters(self):
        session, counts = self.session, self.session.counts
        is_told = self.tell(
            "counters",
            video={"decoded": counts["pictures"], "dropped": counts["late"]},
            audio={"decoded": counts["sounds"]},
            bytes=counts["bytes"],
            discontinuities=counts["gaps"],
            ts="seen",
            position=session.position,
            duration=600_000,
        )
        if is_told:
            session.told = counts.copy()
        session.counted_at = now_ms()

    def pause(self, state):
        self.session.state = state
        self.tell("state", state=state)

    def buffer(self, percent):
        self.session.percent = percent
        self.tell("buffering", percent=percent)

    def keep_in_touch(self):
        """Connects where it is time to, and listens to the daemon's one word, "reported": it has closed the session's
        books and hangs up, since it is about to stop or the box has slept. What is played on is a new session with
        totals from zero, on a new connection."""
        if self.link.connect_if_due():
            self.introduce()
        while word := self.link.receive():
            if word.get("type") == "reported" and word.get("session") == self.session.id:
                self.session = self.session.successor()
                self.link.hang_up()

    def play(self, url, pace):
        """Three seconds in the life of a player."""
        self.session = Session(url)
        start = self.session.opened
        for tick in range(30):
            time.sleep(max(0, start + tick * pace - now_ms()) / 1000)
            self.keep_in_touch()
            self.happen(tick)
            session = self.session
            if session.phase == "playing":  # what one tick of playing comes to
                session.counts.update(pictures=5, sounds=8, bytes=session.bitrate * pace // 8000)
                session.position += pace
            if self.link.socket and self.link.is_behind:
                self.tell_standing()
            elif now_ms() - session.counted_at >= COUNTERS_PERIOD:
                self.tell_counters()
        time.sleep(max(0, start + 30 * pace - now_ms()) / 1000)
        self.keep_in_touch()
        self.tell_counters()  # once more before the end
        self.tell("close", reason="stop")
        self.link.send({"v": 1, "type": "visit", "at": now_ms(), "phase": "end"})

    def happen(self, tick):
        """What happens at one tick of thirty."""
        session = self.session
        if tick == 2:  # enough data: the first picture
            session.bitrate = 2_500_000
            self.tell_bitrate()
            self.buffer(100)
            session.enter("playing")
            session.join = session.settled - session.opened
            self.tell("first_frame")
        elif tick == 8:  # the network is slow: a rebuffer
            session.enter("rebuffering")
            session.happened["rebuffers"] += 1
            self.buffer(20)
        elif tick == 11:  # a packet was lost, and pictures were late
            session.counts.update(gaps=1, late=3)
            self.buffer(100)
            session.enter("playing")
        elif tick == 12:  # the player decides to change up ...
            self.tell("switching", bitrate=5_000_000, reasons=["bandwidth"])
        elif tick == 13:  # ... and the new rendition plays
            session.bitrate = 5_000_000
            session.happened["switches_up"] += 1
            self.tell_bitrate()
            session.full_screen = True
            self.tell_window()
            self.tell("measures", throughput=21_000_000, rtt=31.5, encoded_fps=50)
        elif tick == 15:  # an ad: told before the content is paused for it
            session.enter("ads")
            session.ad = "load"
            self.tell_ad("load")
            self.pause("paused")
        elif tick == 16:
            session.ad = "start"
            self.tell_ad("start")
        elif tick == 19:  # the viewer skips it, and the content plays again
            session.ad = None
            self.tell_ad("end")
            self.pause("playing")
            session.enter("playing")
        elif tick == 21:  # a seek ...
            session.enter("seeking")
            session.happened["seeks"] += 1
            before, session.position = session.position, 300_000
            self.tell("seek", phase="start", **{"from": before}, to=session.position)
        elif tick == 23:  # ... is over with its first picture
            self.tell("seek", phase="end", to=session.position)
            session.enter("playing")
        elif tick == 24:  # another server is nearer
            hosts = {"from": "cdn-a.example", "to": "cdn-b.example", "ip": "192.0.2.8", "kind": "alternate"}
            self.tell("server_switch", reason="low_rtt", duration=120, rtt=18, **hosts)
        elif tick == 25:  # the viewer tells friends of it
            self.tell("share", key="fbs")
        elif tick == 26:  # the viewer pauses
            session.enter("paused")
            session.happened["pauses"] += 1
            self.pause("paused")
        elif tick == 28:
            self.pause("playing")
            session.enter("playing")


def main():
    path = os.environ.get("STBEACON_SOCKET") or DEFAULT_SOCKET
    parser = argparse.ArgumentParser(
        description="Tells stbeacon of a play-back that lasts 30 × MS milliseconds.",
        epilog=f"The daemon's socket is $STBEACON_SOCKET, or else {DEFAULT_SOCKET}.",
    )
    parser.add_argument("--pace", type=int, default=100, metavar="MS", help="length of a tick [default: 100]")
    parser.add_argument("url", nargs="?", default="http://cdn-a.example/film/master.m3u8")
    arguments = parser.parse_args()
    if not 1 <= arguments.pace <= 60_000:
        parser.error("--pace is 1 to 60000")
    player = Player(path)
    player.play(arguments.url, arguments.pace)
    player.link.close()
    print(f"{player.link.sent} datagrams sent, {player.link.dropped} dropped")


if __name__ == "__main__":
    main()
