//! Many pipelines in one process, started and stopped: no deadlock, no leak, every session closed once.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Recipe, Video};
use stbeacon_tests::{Error, Player, PlayerSocket, Way, skipped};

const PIPELINES: usize = 8;

/// Starts and stops pipelines on as many threads; prints how much memory it has at a fifth of the way and at the
/// end. Half of the rounds end with the stream, half are cut off.
const PROGRAM: &str = r#"
import os, sys, threading, traceback, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
# The binding makes its classes, and their members, when they are first used, and two threads at once make two of
# one that differ. All that the threads use is used here first, without a session: nothing starts.
warm = Gst.parse_launch("fakesrc ! fakesink")
assert (warm.set_state(Gst.State.NULL), Gst.State.PLAYING > Gst.State.NULL) == (Gst.StateChangeReturn.SUCCESS, True)
bus = warm.get_bus()
bus.set_flushing(False)
bus.post(Gst.Message.new_eos(None))
message = bus.timed_pop_filtered(10 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
assert message.type == Gst.MessageType.EOS
del warm, bus, message
pipelines, rounds = int(sys.argv[1]), int(sys.argv[2])
def memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
barrier = threading.Barrier(pipelines)
def work(number):
    pipeline = Gst.parse_launch("videotestsrc num-buffers=3 ! video/x-raw,width=16,height=16 ! stbfaultenc "
        "! stbfaultdec truth-file=/dev/null ! fakesink async=%s" % ("false" if number % 2 else "true"))
    bus = pipeline.get_bus()
    for turn in range(rounds):
        pipeline.set_state(Gst.State.PLAYING)
        if turn % 2:
            message = bus.timed_pop_filtered(10 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
            if not message or message.type != Gst.MessageType.EOS:
                sys.exit("pipeline %d, turn %d: %s" % (number, turn, message))
        pipeline.set_state(Gst.State.NULL)
        if turn == rounds // 5:
            if barrier.wait() == 0:
                print("memory", memory(), flush=True)
            barrier.wait()
def run(number):
    try:
        work(number)
    except BaseException:
        # The others would wait for this one.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
threads = [threading.Thread(target=run, args=[number]) for number in range(pipelines)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("memory", memory(), flush=True)
del threads, work, run
import gc; gc.collect()
Gst.deinit()
"#;

#[rstest]
fn every_session_is_closed_exactly_once(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    const ROUNDS: usize = 500;
    let socket = PlayerSocket::listen()?;
    let player = Player::new(way)?.socket(socket.path());
    let args = [PIPELINES.to_string(), ROUNDS.to_string()];
    let finished =
        player.python(PROGRAM, args.iter().map(String::as_str))?.wait(Duration::from_secs(180))?.success()?;

    let sessions = socket.finish(Duration::from_secs(20))?;
    let mut wrong = BTreeMap::new();
    for (_, session) in &sessions {
        if (session.opens, session.closes.len()) != (1, 1) {
            *wrong.entry((session.opens, session.closes.len())).or_insert(0) += 1;
        }
    }
    assert!(wrong.is_empty(), "(opens, closes) of sessions that are not (1, 1), and how many: {wrong:?}");
    assert_eq!(sessions.len(), PIPELINES * ROUNDS, "every start is a session");

    let memory: Vec<u64> = finished
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("memory "))
        .filter_map(|kib| kib.parse().ok())
        .collect();
    let [warm, end] = memory[..] else { panic!("two figures, not {memory:?}") };
    // 3200 sessions later: 1 KiB for each would be 3 MiB.
    assert!(end < warm + 2048, "memory grew from {warm} KiB to {end} KiB");
    Ok(())
}

/// GStreamer's own leak tracer sees no object more with ours loaded than without.
#[test]
fn no_object_outlives_its_pipeline() -> Result<(), Error> {
    let alive = |way: Way| -> Result<Vec<String>, Error> {
        let player = Player::new(way)?
            .socket("/nowhere/player.sock".as_ref())
            .env("GST_TRACERS", "leaks")
            .env("GST_DEBUG", "GST_TRACER:7");
        let finished = player.python(PROGRAM, ["2", "20"])?.wait(Duration::from_secs(60))?.success()?;
        let told = finished.stderr.lines().filter(|line| line.contains("object-alive"));
        let types = told.filter_map(|line| line.split("type-name=(string)").nth(1)?.split(',').next());
        let mut types: Vec<_> = types.map(str::to_owned).collect();
        types.sort_unstable();
        Ok(types)
    };
    let unwatched = alive(Way::Unwatched)?;
    // At least the description of its messages: it is at work.
    assert!(!unwatched.is_empty());
    for way in [Way::Tracers, Way::Preload] {
        assert_eq!(alive(way)?, unwatched, "{way:?}");
    }
    Ok(())
}

/// Memory errors and lost memory with the tracer's code in the stack.
#[rstest]
fn valgrind_finds_nothing_of_ours(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        skipped("the valgrind leg", "valgrind is not installed");
        return Ok(());
    }
    let clip = Recipe::ts(Video::H264, Audio::Aac, 25).make()?;
    let socket = PlayerSocket::listen()?;
    let options =
        ["--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40", "--trace-children=no"];
    let pipeline = format!(
        "gst-launch-1.0 -q filesrc location={} ! tsdemux name=d d. ! queue ! h264parse ! avdec_h264 ! fakesink \
         d. ! queue ! aacparse ! avdec_aac ! fakesink",
        clip.path.display()
    );
    let finished = Player::new(way)?
        .socket(socket.path())
        // Scanning plug-ins is not what is looked at here.
        .env("GST_REGISTRY_FORK", "no")
        .start("valgrind", options.into_iter().chain(pipeline.split_whitespace()))?
        .wait(Duration::from_secs(240))?
        .success()?;
    socket.only_session(Duration::from_secs(20))?;
    assert!(finished.stderr.contains("Memcheck, a memory error detector"), "{}", finished.stderr);
    let found: Vec<_> =
        records(&finished.stderr).into_iter().filter(|record| record.contains("libgststbeacon.so")).collect();
    assert!(found.is_empty(), "valgrind found:\n{}", found.join("\n"));
    Ok(())
}

/// What valgrind prints between two lines that are empty but for the process id: one error, or one loss, with
/// its stack.
fn records(printed: &str) -> Vec<String> {
    let mut records = vec![String::new()];
    for line in printed.lines().filter(|line| line.starts_with("==")) {
        let text = line.trim_start_matches(|c: char| c == '=' || c.is_ascii_digit()).trim();
        match records.last_mut() {
            Some(record) if !text.is_empty() => {
                record.push_str(text);
                record.push('\n');
            }
            _ => records.push(String::new()),
        }
    }
    // Without a stack it is a heading or a summary.
    records.retain(|record| record.contains("\nby ") || record.contains("\nat "));
    records
}

#[test]
fn a_record_of_valgrind_is_recognised() {
    let printed = "==7== Memcheck, a memory error detector\n==7== \n==7== 8 bytes in 1 blocks are definitely lost\n\
        ==7==    at 0x1: malloc (vg_replace_malloc.c:393)\n==7==    by 0x2: ??? (in /x/libgststbeacon.so)\n==7== \n\
        ==7== LEAK SUMMARY:\n==7==    definitely lost: 8 bytes\n";
    let records = records(printed);
    assert!(matches!(&records[..], [one] if one.contains("libgststbeacon.so")), "{records:?}");
}
