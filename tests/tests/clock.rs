//! A calendar clock that is not set yet, or is stepped while something plays.
//!
//! libfaketime stands in for the calendar clock alone; the monotonic clocks are the kernel's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Recipe, Video};
use stbeacon_tests::{DaemonOptions, Error, Player, Process, Stb, Way, skipped, wait};

/// Three seconds in real time.
const SECONDS: u64 = 3;

const LIMIT: Duration = Duration::from_secs(20);

/// Before anybody has set it.
const UNSET: &str = "@1970-01-02 00:00:00";

/// 2040-01-01 00:00:00 UTC.
const NEW_YEAR: u64 = 2_208_988_800;

/// As it is.
const RIGHT: &str = "+0";

fn clip() -> Result<Clip, Error> {
    Recipe::ts(Video::H264, Audio::Aac, 25 * 3).make()
}

fn play(player: &Player, clip: &Clip) -> Result<Process, Error> {
    player
        .gst_launch(&format!("playbin uri={} video-sink=fakevideosink audio-sink=fakeaudiosink", clip.uri()))
}

/// Where Debian's multi-arch directories have it.
fn libfaketime() -> Option<PathBuf> {
    let directories = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    directories.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// A box whose calendar clock is what the file says.
fn stb(library: &Path, file: &Path, begins: &str) -> Result<Stb, Error> {
    set(file, begins)?;
    let variables = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("TZ", "UTC".to_owned()),
    ];
    let env = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Stb::start_with(|options| DaemonOptions { env, ..options })
}

fn set(file: &Path, what: &str) -> Result<(), Error> {
    fs::write(file, what).map_err(|e| Error::io("cannot set the clock", e))
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn wait_playing(stb: &Stb) -> Result<(), Error> {
    wait::until("the daemon to know of it", LIMIT, || {
        let status = stb.daemon.command(&["status", "--json"]).ok()?.stdout;
        status.contains("\"playing\"").then_some(())
    })
}

/// Waits until the session has ended, as far as the daemon knows, while its clock is not set.
fn wait_for_clock(stb: &Stb) -> Result<(), Error> {
    wait::until("the daemon to wait for the clock", LIMIT, || {
        let status = stb.daemon.command(&["status", "--json"]).ok()?.stdout;
        let waits = stb.daemon.log().contains("has ended") && status.contains("\"clock_set\":false");
        waits.then_some(())
    })
    .map_err(|e| e.with_log("daemon", &stb.daemon.log()))
}

/// No real-time clock, and NTP after the session: it is reported then, with the times at which it really was.
#[test]
fn what_was_taken_before_the_clock_was_set_is_stamped_then() -> Result<(), Error> {
    let Some(library) = libfaketime() else {
        skipped("steps of the calendar clock", "there is no libfaketime here");
        return Ok(());
    };
    let file = tempfile::NamedTempFile::new().map_err(|e| Error::io("no file", e))?;
    let stb = stb(&library, file.path(), UNSET)?;
    let before = unix_now();
    play(&stb.player(Way::Tracers)?, &clip()?)?.wait(LIMIT)?.success()?;
    let after = unix_now();
    wait_for_clock(&stb)?;
    assert!(stb.receiver.posts().is_empty(), "nothing is sent with a date of 1970");
    set(file.path(), RIGHT)?;
    let media = stb.receiver.wait_for_media(1, LIMIT)?.remove(0);
    assert!(media.begin >= before && media.end <= after + 1, "{media:?}, played {before} to {after}");
    assert!((media.end - media.begin).abs_diff(SECONDS) <= 1, "{media:?}");
    Ok(())
}

/// A leap second: the last second before the new year comes twice, or (there was none so far) not at all.
#[rstest]
#[case::inserted(-1)]
#[case::deleted(1)]
fn a_leap_second_changes_no_length(#[case] step: i64) -> Result<(), Error> {
    let Some(library) = libfaketime() else {
        skipped("leap seconds", "there is no libfaketime here");
        return Ok(());
    };
    let file = tempfile::NamedTempFile::new().map_err(|e| Error::io("no file", e))?;
    let stb = stb(&library, file.path(), RIGHT)?;
    let player = play(&stb.player(Way::Tracers)?, &clip()?)?;
    wait_playing(&stb)?;
    // It plays at 23:59:58 now…
    let ahead = NEW_YEAR - 2 - unix_now();
    set(file.path(), &format!("+{ahead}s"))?;
    let last_second = || unix_now() + ahead >= NEW_YEAR - 1;
    wait::until("23:59:59", LIMIT, || last_second().then_some(()))?;
    // … and 23:59:59 for two seconds, or for none.
    set(file.path(), &format!("+{}s", ahead.saturating_add_signed(step)))?;
    player.wait(LIMIT)?.success()?;
    let media = stb.receiver.wait_for_media(1, LIMIT)?.remove(0);
    assert!((media.end - media.begin).abs_diff(SECONDS) <= 1, "{media:?}");
    assert!(media.end.abs_diff(NEW_YEAR) <= 4, "{media:?} around {NEW_YEAR}");
    assert_eq!(stb.receiver.media().len(), 1, "neither twice nor never");
    Ok(())
}

/// However the clock is stepped in the middle, a session is as long as it was.
#[rstest]
#[case::a_second_on("+1s")]
#[case::a_second_back("-1s")]
#[case::ten_years_on("+10y")]
#[case::ten_years_back("-10y")]
fn a_step_in_mid_session_changes_no_length(#[case] step: &str) -> Result<(), Error> {
    let Some(library) = libfaketime() else {
        skipped("steps of the calendar clock", "there is no libfaketime here");
        return Ok(());
    };
    let file = tempfile::NamedTempFile::new().map_err(|e| Error::io("no file", e))?;
    let stb = stb(&library, file.path(), RIGHT)?;
    let player = play(&stb.player(Way::Tracers)?, &clip()?)?;
    wait_playing(&stb)?;
    set(file.path(), step)?;
    player.wait(LIMIT)?.success()?;
    if step == "-10y" {
        // Before this program was built: nobody has set it, as far as the daemon can know.
        wait_for_clock(&stb)?;
        set(file.path(), RIGHT)?;
    }
    let media = stb.receiver.wait_for_media(1, LIMIT)?.remove(0);
    assert!(media.end >= media.begin, "{media:?}");
    if step == "+10y" {
        assert!(media.end > unix_now() + 9 * 365 * 86_400, "the step has happened: {media:?}");
    }
    assert!((media.end - media.begin).abs_diff(SECONDS) <= 1, "{media:?}");
    assert_eq!(stb.receiver.media().len(), 1, "neither twice nor never");
    Ok(())
}
