//! Playing in a box, and judging what arrived.

use std::time::{Duration, Instant};

use stbeacon_core::line::keys::Event;
use stbeacon_tests::clips::Clip;
use stbeacon_tests::report::Frames;
use stbeacon_tests::{Media, wait};

use super::checks::Checks;
use super::emulated::Emulated;
use super::image::Kind;
use super::readme::Readme;
use super::stage::{Datagrams, HURRIED, Operator, REAL_TIME, text};
use crate::footprint;

/// How long a play-back may take, under emulation, and while others use this machine.
const PLAY: Duration = Duration::from_secs(300);

/// How long a report may take after the play-back.
const REPORT: Duration = Duration::from_secs(60);

/// The port that a box listens on.
const PORT: u16 = 5004;

/// As the box's own decoders do it, as fast as they can.
const DECODE: &str = "tsdemux name=d d. ! queue ! h264parse ! openh264dec ! fakesink sync=false \
                      d. ! queue ! mpegaudioparse ! mpg123audiodec ! fakesink sync=false";

/// Whether a sink keeps the stream's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as it goes.
    Fast,
    /// In the stream's own time.
    Real,
}

/// Who looks at a box: its name in the table, the box, where it reports, and what says how it is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) whose: &'a str,
    pub(super) emulated: &'a Emulated,
    pub(super) operator: &'a Operator,
    pub(super) readme: &'a Readme,
}

/// What was there before a play-back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    reports: usize,
    lines: usize,
}

/// How long the long stream has to have played before something is done in the middle.
pub(super) const MIDDLE: Duration = Duration::from_secs(4);

impl View<'_> {
    pub(super) fn before(&self) -> Result<Before, String> {
        let lines = self.operator.lines.lines().map_err(text)?.len();
        Ok(Before { reports: self.operator.reports.media().len(), lines })
    }

    /// Puts a clip into the box, and has the box's player start it.
    pub(super) fn start_file(&self, clip: &Clip, pace: Pace) -> Result<String, String> {
        let name = clip.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = format!("/tmp/media/{name}");
        self.emulated.put(&clip.path, &to)?;
        let sync = pace == Pace::Real;
        let uri = format!("file://{to}");
        match self.emulated.kind() {
            Kind::Deb => {
                let env = format!("VIDEO=fakesink sync={sync}\nAUDIO=fakesink sync={sync}\nURI={uri}\n");
                self.emulated.write("/run/player.env", &env)?;
                self.emulated.sh("systemctl start player")?;
            }
            // The player's start script of an image without systemd takes the settings in.
            Kind::Ipk => self.emulated.start_as_player(&format!(
                "{}; rm -f /tmp/player.rc; \
                 gst-play-1.0 --no-interactive --videosink='fakesink sync={sync}' --audiosink='fakesink sync={sync}' {uri} \
                 > /tmp/player.log 2>&1; echo $? > /tmp/player.rc",
                self.readme.command("set -a;")?
            ))?,
        }
        Ok(uri)
    }

    /// Waits until the box's player has ended, and well.
    pub(super) fn wait_played(&self) -> Result<(), String> {
        let ended = match self.emulated.kind() {
            Kind::Deb => {
                "case $(systemctl is-active player) in active | activating | deactivating) exit 1 ;; esac; \
                          systemctl show --property=Result,ExecMainStatus --value player | tr '\\n' ' '"
            }
            Kind::Ipk => "test -s /tmp/player.rc && cat /tmp/player.rc",
        };
        let said = wait::until("the player to end", PLAY, || self.emulated.sh(ended).ok()).map_err(text)?;
        // A unit that went well has the result "success" and the status 0, in whichever order.
        let well = said.split_whitespace().all(|word| matches!(word, "0" | "success"));
        if well { Ok(()) } else { Err(format!("the player failed: {}", said.trim())) }
    }

    /// The one report of the play-back, and no other.
    pub(super) fn report(&self, before: Before) -> Result<Media, String> {
        let media = self.operator.reports.wait_for_media(before.reports + 1, REPORT).map_err(text)?;
        match media.get(before.reports..) {
            Some([media]) => Ok(media.clone()),
            other => Err(format!("not one report but {other:?}")),
        }
    }

    /// Plays a file as fast as it goes, and judges its report and its lines.
    pub(super) fn file(&self, checks: &mut Checks, what: &str, clip: &Clip, gaps: u64) -> Result<(), String> {
        let before = self.before()?;
        let start = Instant::now();
        let uri = self.start_file(clip, Pace::Fast)?;
        self.wait_played()?;
        let media = self.report(before)?;
        println!("  {what}: {:.1} s", start.elapsed().as_secs_f64());
        checks.equal(self.whose, &format!("{what}: url"), &uri, &media.url);
        self.judge(checks, what, clip, gaps, &media);
        self.lines(checks, what, before)
    }

    /// The figures of a clip that was decoded whole.
    pub(super) fn judge(&self, checks: &mut Checks, what: &str, clip: &Clip, gaps: u64, media: &Media) {
        let pictures = Frames::clean(clip.video_frames);
        checks.equal(
            self.whose,
            &format!("{what}: pictures decoded, dropped, failed"),
            &pictures,
            &media.video,
        );
        let sound = clip.audio_frames.iter().sum();
        if gaps == 0 {
            let sound = Frames::clean(sound);
            checks.equal(self.whose, &format!("{what}: frames of sound"), &sound, &media.audio);
        } else {
            // What a gap costs the sound depends on where its frames lie in the packets.
            let within = (1..=sound).contains(&media.audio.frames_decoded);
            checks.holds(
                self.whose,
                &format!("{what}: no more sound than was left"),
                within,
                &format!("{media:?}"),
            );
        }
        checks.equal(self.whose, &format!("{what}: discontinuities"), &gaps, &media.discontinuties);
    }

    /// The lines of the play-back: it began, showed its first picture, and ended.
    fn lines(&self, checks: &mut Checks, what: &str, before: Before) -> Result<(), String> {
        let expected = [Event::Init, Event::PlayStart, Event::Complete];
        let events = wait::until("the lines", REPORT, || match self.operator.events(before.lines) {
            Ok(events) => events.contains(&Event::Complete).then_some(Ok(events)),
            Err(error) => Some(Err(error)),
        });
        let mut events = events.map_err(text)??;
        // The visit may be over by now, or not.
        events.retain(|event| *event != Event::Visit);
        checks.equal(self.whose, &format!("{what}: lines"), &expected.to_vec(), &events);
        Ok(())
    }

    /// Plays a stream that comes over the network.
    pub(super) fn udp(&self, checks: &mut Checks, clip: &Clip, lossy: bool) -> Result<(), String> {
        // What is hurried is timed by its arrival, which is uneven then: the other half of what a network does.
        let (what, pace) = if lossy { ("UDP with losses", HURRIED) } else { ("UDP", REAL_TIME) };
        let datagrams = Datagrams::of(clip, lossy)?;
        let before = self.before()?;
        let start = Instant::now();
        self.emulated.start_as_player(&format!(
            "{}; exec gst-launch-1.0 udpsrc port={PORT} num-buffers={} \
             buffer-size=1000000 caps=video/mpegts,systemstream=true,packetsize=188 ! {DECODE} > /tmp/player.log 2>&1",
            self.readme.command("set -a;")?,
            datagrams.count()
        ))?;
        let bound = format!("grep -q ':{PORT:04X} ' /proc/net/udp");
        wait::until("the player to bind its port", REPORT, || self.emulated.sh(&bound).ok()).map_err(text)?;
        datagrams.send(&self.emulated.address, PORT, pace)?;
        let media = self.report(before)?;
        println!("  {what}: {:.1} s", start.elapsed().as_secs_f64());
        if lossy {
            checks.equal(
                self.whose,
                &format!("{what}: discontinuities"),
                &datagrams.discontinuities,
                &media.discontinuties,
            );
        } else {
            let pictures = Frames::clean(clip.video_frames);
            checks.equal(
                self.whose,
                &format!("{what}: pictures decoded, dropped, failed"),
                &pictures,
                &media.video,
            );
            let sound = Frames::clean(clip.audio_frames.iter().sum());
            checks.equal(self.whose, &format!("{what}: frames of sound"), &sound, &media.audio);
            checks.equal(self.whose, &format!("{what}: discontinuities"), &0, &media.discontinuties);
        }
        self.lines(checks, what, before)
    }

    /// Plays the long clip, does something in the middle, and has every frame reported once all the same.
    pub(super) fn in_the_middle<T>(
        &self,
        checks: &mut Checks,
        what: &str,
        clip: &Clip,
        act: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let before = self.before()?;
        self.start_file(clip, Pace::Real)?;
        // A point in the middle of play, not a wait for something.
        std::thread::sleep(MIDDLE);
        let start = Instant::now();
        let done = act()?;
        println!("  {what}: {:.1} s", start.elapsed().as_secs_f64());
        checks.holds(
            self.whose,
            &format!("{what}: it still plays"),
            self.is_playing(),
            "the stream was over before it was done",
        );
        self.wait_played()?;
        self.judge_parts(checks, what, clip, before)?;
        Ok(done)
    }

    /// A daemon that is told to stop closes its sessions, and the next one opens them anew: two reports, in which each
    /// frame is counted once.
    fn judge_parts(
        &self,
        checks: &mut Checks,
        what: &str,
        clip: &Clip,
        before: Before,
    ) -> Result<(), String> {
        let decoded = |of: fn(&Media) -> Frames| {
            let media = self.operator.reports.media();
            media.iter().skip(before.reports).map(|part| of(part).frames_decoded).sum::<u64>()
        };
        let sound = clip.audio_frames.iter().sum::<u64>();
        let whole = || decoded(|m| m.video) >= clip.video_frames && decoded(|m| m.audio) >= sound;
        let arrived = wait::until("every frame to be reported", REPORT, || whole().then_some(()));
        // What arrived is looked at below, and so is what did not.
        let _ = arrived;
        let found = (decoded(|m| m.video), decoded(|m| m.audio));
        checks.equal(
            self.whose,
            &format!("{what}: pictures and sound, each once"),
            &(clip.video_frames, sound),
            &found,
        );
        let parts = self.operator.reports.media().len() - before.reports;
        checks.holds(
            self.whose,
            &format!("{what}: one or two reports"),
            (1..=2).contains(&parts),
            &parts.to_string(),
        );
        Ok(())
    }

    fn is_playing(&self) -> bool {
        let script = match self.emulated.kind() {
            Kind::Deb => "systemctl is-active --quiet player",
            Kind::Ipk => "test ! -e /tmp/player.rc",
        };
        self.emulated.sh(script).is_ok()
    }

    /// What the kernel counts, and what was reported of it by netlink.
    pub(super) fn network(&self, checks: &mut Checks, gateway: &str) -> Result<(), String> {
        let counter = |name: &str| {
            let text = self.emulated.sh(&format!("cat /sys/class/net/eth0/statistics/{name}"))?;
            text.trim().parse::<u64>().map_err(|e| format!("{name}: {e}"))
        };
        let low = (counter("rx_bytes")?, counter("tx_packets")?);
        let seen = self.operator.reports.network().len();
        let newest = self.operator.reports.wait_for("a network report", REPORT, |receiver| {
            // The one after the next: the next one may have been sampled already.
            receiver.network().get(seen + 1).cloned()
        });
        let newest = newest.map_err(text)?;
        let high = (counter("rx_bytes")?, counter("tx_packets")?);
        let found = (newest.name.as_str(), newest.ip.as_str(), newest.gateway.as_str());
        checks.equal(
            self.whose,
            "netlink: name, address, gateway",
            &("eth0", &*self.emulated.address, gateway),
            &found,
        );
        let stat = newest.stat;
        let right = (low.0..=high.0).contains(&stat.received_bytes)
            && (low.1..=high.1).contains(&stat.sent_total_packets);
        checks.holds(
            self.whose,
            "netlink: counters between those of /sys before and after",
            right,
            &format!("{stat:?} is not between {low:?} and {high:?}"),
        );
        Ok(())
    }

    /// What the daemon takes. The emulator's own memory and thread are told apart; what it adds to the wake-ups cannot be.
    pub(super) fn footprint(&self, checks: &mut Checks) -> Result<(), String> {
        let pid = self.emulated.daemon().ok_or("no daemon runs")?;
        let of = |field: &str| {
            let script =
                format!("cat /proc/{pid}/task/*/status | sed -n 's/^{field}:[^0-9]*\\([0-9]*\\).*/\\1/p'");
            let text = self.emulated.sh(&script)?;
            Ok::<Vec<u64>, String>(text.lines().filter_map(|line| line.parse().ok()).collect())
        };
        let switches = || of("voluntary_ctxt_switches").map(|all| all.iter().sum::<u64>());
        let first = switches()?;
        let start = Instant::now();
        std::thread::sleep(Duration::from_secs(5));
        let woken = switches()?.saturating_sub(first);
        let rate = f64::from(u32::try_from(woken).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64();
        // Until it is on the disk, the program file that was installed a moment ago counts as written to.
        let memory = Memory::of(&self.emulated.sh(&format!("sync; cat /proc/{pid}/smaps"))?);
        // One of them reclaims the emulator's own memory.
        let threads = of("Threads")?.first().copied().unwrap_or_default().saturating_sub(1);
        let found = format!(
            "{} kB resident, {} kB private, {threads} threads; {rate:.1} wake-ups/s, with a report every 3 s, the emulator's included",
            memory.resident, memory.private
        );
        let known = memory.resident > 0 && threads > 0;
        let within = memory.resident <= u64::from(footprint::RSS)
            && memory.private <= u64::from(footprint::PRIVATE)
            && threads <= u64::from(footprint::THREADS);
        checks.note(self.whose, "footprint", if known && within { Ok(found) } else { Err(found) });
        Ok(())
    }
}

/// What an emulated program has in memory, in kB: what lies at addresses that the emulator gives to it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Memory {
    resident: u64,
    /// Written to, and nobody else's.
    private: u64,
}

// === impl Memory ===

impl Memory {
    /// The emulator's own mappings are where this machine's kernel puts any program's: above 2⁴⁴.
    const EMULATOR: u64 = 1 << 44;

    /// Of a table `/proc/PID/smaps`.
    fn of(smaps: &str) -> Self {
        let mut memory = Self::default();
        let mut emulated = false;
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            let (Some(first), second) = (words.next(), words.next()) else { continue };
            if let Some((start, _)) = first.split_once('-') {
                emulated = u64::from_str_radix(start, 16).is_ok_and(|start| start < Self::EMULATOR);
            }
            let kilobytes = second.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
            match first {
                "Rss:" if emulated => memory.resident += kilobytes,
                "Private_Dirty:" if emulated => memory.private += kilobytes,
                _ => {}
            }
        }
        memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulator_s_own_memory_is_left_out() {
        let smaps = "40001000-4003f000 r--p 00000000 00:29 1492108                            /usr/bin/stbeacon\n\
                     Size:                248 kB\nRss:                 248 kB\nPrivate_Dirty:         4 kB\n\
                     5500000000-5500040000 rw-p 00000000 00:00 0 \nRss:                   2 kB\nPrivate_Dirty:         2 kB\n\
                     7f2a64000000-7f2a64021000 rw-p 00000000 00:00 0 \nRss:               20000 kB\nPrivate_Dirty:     20000 kB\n";
        assert_eq!(Memory::of(smaps), Memory { resident: 250, private: 6 });
    }
}
