//! Counts what a channel allocates for a playing line: the line that it gives out, and nothing for its values.
//!
//! A program of its own, because a counting allocator holds for a whole program and is `unsafe` to write.

#![expect(clippy::expect_used, reason = "helpers of tests are tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use stbeacon_core::beacon::{Channel, Identity};
use stbeacon_core::line::config::{Config, builtin_text};
use stbeacon_core::player::Message;
use stbeacon_core::session::{Peer, Sessions};
use stbeacon_core::time::Millis;

thread_local! {
    /// Allocations of this thread; the test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which also counts.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting neither
// allocates nor unwinds: the counter is constant-initialised and has no destructor, and while a thread ends it is
// left alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
        // SAFETY: the caller's promise on `layout` is what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's allocator with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Lives through a minute with something of everything in each ten seconds; gives the fewest allocations that a
/// playing line took after the first ones, and how many keys that line had.
fn live(config: Config) -> (u64, usize) {
    let mut sessions = Sessions::new();
    sessions.set_journal(true);
    let mut channel = Channel::new(Identity { viewer_id: "box-1".into(), ..Identity::default() });
    channel.set_config(config, &mut || 1);
    let tell = |sessions: &mut Sessions, channel: &mut Channel, at: u64, fields: &str| {
        let text = format!(r#"{{"v":1,"at":{at},"session":"a",{fields}}}"#);
        let message = Message::decode(text.as_bytes()).expect("a message of the protocol");
        sessions.handle_message(Millis(at), Peer(1), message).expect("one that makes sense");
        while let Some(entry) = sessions.poll_entry() {
            channel.handle_entry(&entry, &mut || 1);
        }
    };
    tell(&mut sessions, &mut channel, 0, r#""type":"open","url":"http://a.example/live/ch/index.m3u8""#);
    tell(&mut sessions, &mut channel, 0, r#""type":"state","state":"playing""#);
    tell(&mut sessions, &mut channel, 0, r#""type":"first_frame""#);
    let mut costs = Vec::new();
    for ten in (0..120_000).step_by(10_000) {
        let busy = [
            r#""type":"counters","bytes":90000,"fps":25,"buffer":900,"duration":600000"#,
            r#""type":"measures","bandwidth":900000,"throughput":2000000,"encoded_fps":25,"rtt":3,"live_delay":2"#,
            r#""type":"bitrate","bitrate":900000"#,
            r#""type":"seek","phase":"start","from":9000,"to":5000"#,
            r#""type":"seek","phase":"end","from":9000,"to":5000"#,
            r#""type":"state","state":"paused""#,
            r#""type":"state","state":"playing""#,
            r#""type":"buffering","percent":0"#,
            r#""type":"buffering","percent":100"#,
            r#""type":"bitrate","bitrate":2500000"#,
        ];
        for (n, fields) in (1..).zip(busy) {
            tell(&mut sessions, &mut channel, ten + n * 100, fields);
        }
        let due = channel.poll_timeout().expect("a playing line is due");
        sessions.settle(due);
        let entries: Vec<_> = std::iter::from_fn(|| sessions.poll_entry()).collect();
        while let Some(line) = channel.poll_line() {
            channel.give_back(line);
        }
        let before = ALLOCATIONS.get();
        for entry in &entries {
            channel.handle_entry(entry, &mut || 1);
        }
        let after = ALLOCATIONS.get();
        let line = channel.poll_line().expect("a playing line");
        costs.push((after - before, line.text.split('~').count()));
        channel.give_back(line);
    }
    costs.into_iter().skip(2).min().unwrap_or_default()
}

fn often(text: &str) -> Config {
    let text = text.replace("logInterval=\"300\"", "logInterval=\"10\"").replace("\"2048\"", "\"60000\"");
    Config::parse(&text).expect("a configuration").config
}

#[test]
fn values_cost_no_allocation() {
    let all = builtin_text();
    let (start, end) = (all.find("<playing").unwrap_or(0), all.find("</playing>").unwrap_or(0));
    let one = r#"<playing eventCode="P"><dataMetrics><data key="x" name="playClockTime"/></dataMetrics>"#;
    let one = format!("{}{one}{}", &all[..start], &all[end..]);
    let (every_key, many) = live(often(&all));
    let (one_key, few) = live(often(&one));
    assert!(many > few + 50, "{many} keys against {few}");
    assert_eq!(every_key, one_key, "as many for {many} keys as for {few}");
    assert!(every_key <= 3, "{every_key} allocations for a line that is given back");
}
