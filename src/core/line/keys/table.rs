//! The dictionary itself: one row a key.
//!
//! A row reads `Variant "key" "longName" kind, unit, events, whether it adds up, "what it says"`. The order is the
//! order of the printed list and of the built-in configuration.
//!
//! Keys and long names of the playing group are those of the published table of playing parameters; the table
//! prints `ef` for both `bucketForwardSeeks` and `bucketRebufferCounts`, its example and the otherwise dense run
//! `ea`…`em` show that the second is `eh`. Long names of the other groups are those of configuration files in
//! use. The names `visitAttempts`, `visitErrors`, `visitInterval`, `visitPlayStreamTime` and `visitUniqueTitles`
//! are in use as well, but no file seen so far says which key they stand under: `vc`, `vf`, `vg`, `vi` and `vn`
//! are the gaps they leave.

use super::{Code, Entry, Event, Events, Kind, Unit};

use Kind::{
    Ads, Buckets, ClassTimes, Codes, Decimal, Flag, Integer, OpenCodes, PauseSeek, Pauses, RateTimes,
    ReasonCounts, Rebuffers, Seeks, ServerSwitches, Shares, Size, Stints, SumCount, Text, WeightedRate,
};
use Unit::{BitsPerSecond, Bytes, FramesPerSecond, Milliseconds, Percent, Seconds};

/// Its values add up to the session's total, part by part where there are several, as long as lines are relative.
const ADDS: bool = true;
/// Its value stands for itself.
const STANDS: bool = false;
/// No unit at all.
const NONE: Unit = Unit::None;
/// A number of things.
const COUNT: Unit = Unit::Count;
/// In every line.
const EVERY: Events = Events::ALL;
const INIT: Events = Events::of(&[Event::Init]);
const START: Events = Events::of(&[Event::PlayStart]);
/// Playing lines, and the last one of a session, which carries the playing group too.
const PLAY: Events = Events::of(&[Event::Playing, Event::Complete, Event::Error]);
const FROM_START: Events = PLAY.and(Event::PlayStart);
const COMPLETE: Events = Events::of(&[Event::Complete]);
const ERROR: Events = Events::of(&[Event::Error]);
const LAST: Events = COMPLETE.and(Event::Error);
const START_AND_LAST: Events = LAST.and(Event::PlayStart);
const VISIT: Events = Events::of(&[Event::Visit]);
/// Known to the reader, in no line of the built-in configuration.
const LISTED_ONLY: Events = Events::NONE;

/// `m`: what the player was doing when the line was written.
const STATES: &[Code] = &[
    Code("I", "init"),
    Code("C", "connecting"),
    Code("IB", "initial buffering"),
    Code("PL", "playing"),
    Code("B", "rebuffering"),
    Code("SK", "seeking"),
    Code("SB", "buffering after a seek"),
    Code("PS", "paused"),
    Code("RB", "buffering after a resume"),
    Code("AL", "ad loading"),
    Code("AP", "ad playing"),
    Code("E", "ended"),
];
/// `a`: which line it is.
const EVENTS: &[Code] = &[
    Code("I", "init"),
    Code("S", "play start"),
    Code("P", "playing"),
    Code("C", "complete"),
    Code("E", "error"),
    Code("V", "visit"),
    Code("H", "heartbeat"),
    Code("F", "feedback"),
];
const LOG_TYPES: &[Code] =
    &[Code("R", "relative to the line before"), Code("C", "cumulative since the start")];
const FORMATS: &[Code] =
    &[Code("L", "HLS"), Code("P", "progressive"), Code("D", "DASH"), Code("U", "multicast or UDP")];
const DELIVERY: &[Code] = &[Code("L", "live"), Code("O", "on demand"), Code("-", "unknown")];

macro_rules! metrics {
    ($($variant:ident $key:literal $name:literal $kind:expr, $unit:expr, $events:expr, $adds:expr, $about:literal;)*) => {
        /// One value that a line can carry.
        ///
        /// Ordered as the printed list is. What there is to know about one is in its [`Metric::key`],
        /// [`Metric::name`], [`Metric::kind`], [`Metric::unit`], [`Metric::events`], [`Metric::adds_up`] and
        /// [`Metric::about`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Metric {
            $(#[doc = concat!("`", $key, "` ", $name, ": ", $about)] $variant,)*
        }

        impl Metric {
            /// Every metric there is, in the order of the printed list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(super) const fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$variant => const {
                        &Entry {
                            key: $key,
                            name: $name,
                            kind: $kind,
                            unit: $unit,
                            events: $events,
                            adds: $adds,
                            about: $about,
                        }
                    },)*
                }
            }
        }
    };
}

metrics! {
    // Every line.
    EventCode "a" "eventCode" Codes(EVENTS), NONE, EVERY, STANDS, "Which line this is.";
    BeaconId "b" "beaconId" Text, NONE, EVERY, STANDS, "The operator's account, from the configuration.";
    AttemptId "c" "attemptId" Text, NONE, EVERY, STANDS, "One attempt to play: a GUID made anew for each.";
    ViewerId "d" "viewerId" Text, NONE, EVERY, STANDS, "The box, by an id that it keeps across restarts.";
    SequenceId "e" "sequenceId" Integer, COUNT, EVERY, STANDS, "Place of the line in its attempt, from 0; the parts of a split line share it.";
    LogType "f" "logType" Codes(LOG_TYPES), NONE, EVERY, STANDS, "Whether figures count from the line before or from the start.";
    EndOfStream "g" "endOfStream" Flag, NONE, EVERY, STANDS, "1 on the line that ends the attempt, 0 on all others.";
    LogVersion "h" "logVersion" Text, NONE, EVERY, STANDS, "Version of the keys and values, from the configuration.";
    FormatVersion "i" "formatVersion" Text, NONE, EVERY, STANDS, "Version of the line format, from the configuration.";
    VisitId "k" "visitId" Text, NONE, EVERY, STANDS, "One visit: all that is played until the visit times out.";
    CurrentClockTime "w" "currentClockTime" Integer, Milliseconds, EVERY, STANDS, "Time since the attempt was initialised.";
    LogInterval "dx" "logInterval" Decimal, Seconds, EVERY, ADDS, "Time since the line before, of whatever event.";
    PageHost "ag" "pageHost" Text, NONE, EVERY, STANDS, "Host of the page that holds the player.";
    PageReferrerHost "ah" "pageReferrerHost" Text, NONE, EVERY, STANDS, "Host of the page that led to that page.";
    PlayerType "ak" "playerType" Text, NONE, EVERY, STANDS, "Kind of player.";
    Os "al" "os" Text, NONE, EVERY, STANDS, "Operating system, in short.";
    Format "am" "format" OpenCodes(FORMATS), NONE, EVERY, STANDS, "How the stream is delivered.";
    Browser "at" "browser" Text, NONE, EVERY, STANDS, "The browser or application around the player.";
    StreamUrl "aw" "streamUrl" Text, NONE, EVERY, STANDS, "Address of the stream.";
    DeliveryType "ax" "deliveryType" OpenCodes(DELIVERY), NONE, EVERY, STANDS, "Whether the stream is live.";
    PluginVersion "ay" "pluginVersion" Text, NONE, EVERY, STANDS, "Version of what makes the lines.";
    Category "cg" "category" Text, NONE, EVERY, STANDS, "Category of the title.";
    Cdn "cm" "cdn" Text, NONE, EVERY, STANDS, "Content delivery network, often told from the host by match rules.";
    Connectivity "cn" "connectivity" Text, NONE, EVERY, STANDS, "How the box is connected.";
    EventStartTime "es" "eventStartTime" Text, NONE, EVERY, STANDS, "Scheduled start of the broadcast event.";
    EventEndTime "et" "eventEndTime" Text, NONE, EVERY, STANDS, "Scheduled end of the broadcast event.";
    FullOs "os" "fullOs" Text, NONE, EVERY, STANDS, "Operating system with its version.";
    PlayerId "pd" "playerId" Text, NONE, EVERY, STANDS, "Which player of the operator's.";
    Device "sa" "device" Text, NONE, EVERY, STANDS, "Model of the box.";
    Show "sh" "show" Text, NONE, EVERY, STANDS, "Show or series that the title belongs to.";
    Title "tt" "title" Text, NONE, EVERY, STANDS, "What is watched.";

    // Init.
    PlayerReferrer "af" "playerReferrer" Text, NONE, INIT, STANDS, "Where the player itself was loaded from.";
    UserAgent "ai" "userAgent" Text, NONE, INIT, STANDS, "User agent with which the stream is fetched.";
    PlayerVersion "aj" "playerVersion" Text, NONE, INIT, STANDS, "Version of the player.";
    BrowserSize "au" "browserSize" Size, NONE, INIT, STANDS, "Size of the player's window.";
    BeaconVersion "az" "beaconVersion" Text, NONE, INIT, STANDS, "Version of the configuration file.";
    PageReferrer "pr" "pageReferrer" Text, NONE, INIT, STANDS, "The page that led to the player's page.";
    PageUrl "pu" "pageUrl" Text, NONE, INIT, STANDS, "The page that holds the player.";

    // Stream and start.
    HostName "aa" "hostName" Text, NONE, FROM_START, STANDS, "Host that the stream comes from.";
    AppName "ab" "appName" Text, NONE, FROM_START, STANDS, "Application or directory on that host.";
    StreamName "ac" "streamName" Text, NONE, FROM_START, STANDS, "Last segment of the stream's path; of a manifest the last two.";
    Port "ad" "port" Integer, NONE, FROM_START, STANDS, "Port that the stream comes from.";
    Protocol "ae" "protocol" Text, NONE, FROM_START, STANDS, "Protocol of the stream.";
    ConnectTime "an" "connectTime" Integer, Milliseconds, START, STANDS, "Time it took to connect.";
    BufferingTime "ao" "bufferingTime" Integer, Milliseconds, START, STANDS, "Time it took to fill the buffer for the first picture.";
    StartupTime "ap" "startupTime" Integer, Milliseconds, FROM_START, STANDS, "Time from the attempt to the first picture; 0 where it was beyond the limit.";
    StreamLength "aq" "streamLength" Integer, Milliseconds, FROM_START, STANDS, "Length of the stream.";
    BytesTotal "ar" "bytesTotal" Integer, Bytes, START_AND_LAST, STANDS, "Size of the stream, where it is one file.";
    EncodedFps "as" "encodedFPS" Decimal, FramesPerSecond, START_AND_LAST, STANDS, "Frame rate that the stream was encoded with.";
    VideoSize "av" "videoSize" Size, NONE, START_AND_LAST, STANDS, "Size of the picture.";
    BucketLength "ba" "bucketLength" Integer, Seconds, FROM_START, STANDS, "Length of one part of a live stream.";
    ServerIp "bb" "serverIp" Text, NONE, FROM_START, STANDS, "Address of the server that the stream comes from.";
    ContentLength "cl" "contentLength" Text, NONE, FROM_START, STANDS, "Length of the title as the operator states it.";
    EventName "en" "eventName" Text, NONE, FROM_START, STANDS, "Name of the broadcast event.";
    IsFirstTitle "ft" "isFirstTitle" Flag, NONE, START, STANDS, "1 on the first title of a visit.";
    SubCategory "sc" "subCategory" Text, NONE, FROM_START, STANDS, "Sub-category of the title.";

    // Playing.
    PlayerState "m" "playerState" Codes(STATES), NONE, FROM_START, STANDS, "What the player is doing at the moment of the line.";
    PlayBackBitRate "n" "playBackBitRate" SumCount, BitsPerSecond, PLAY, ADDS, "Bit rate of what is shown, sampled while playing.";
    AudioBandwidth "o" "audioBandwidth" SumCount, BitsPerSecond, PLAY, ADDS, "Rate at which the audio buffer fills.";
    VideoBandwidth "p" "videoBandwidth" SumCount, BitsPerSecond, PLAY, ADDS, "Rate at which the video buffer fills.";
    DataBandwidth "q" "dataBandwidth" SumCount, BitsPerSecond, PLAY, ADDS, "Rate at which the buffer of other data fills.";
    AudioBufferLength "r" "audioBufferLength" Decimal, Milliseconds, LISTED_ONLY, STANDS, "Average fill of the audio buffer.";
    VideoBufferLength "s" "videoBufferLength" Decimal, Milliseconds, LISTED_ONLY, STANDS, "Average fill of the video buffer.";
    DataBufferLength "t" "dataBufferLength" Decimal, Milliseconds, LISTED_ONLY, STANDS, "Average fill of the buffer of other data.";
    DroppedFrames "u" "droppedFrames" Integer, COUNT, PLAY, ADDS, "Frames that were given up instead of shown.";
    CurrentStreamTime "v" "currentStreamTime" Integer, Milliseconds, FROM_START, STANDS, "Position of the stream head.";
    PlayClockTime "x" "playClockTime" Integer, Milliseconds, PLAY, ADDS, "Time spent playing.";
    PlayStreamTime "y" "playStreamTime" Integer, Milliseconds, PLAY, ADDS, "How much of the stream was shown for the first time.";
    RebufferCount "z" "rebufferCount" Integer, COUNT, PLAY, ADDS, "Interruptions by an empty buffer.";
    RebufferTime "da" "rebufferTime" Integer, Milliseconds, PLAY, ADDS, "Time spent in such interruptions.";
    AverageFps "db" "averageFPS" SumCount, FramesPerSecond, PLAY, ADDS, "Frame rate of what is shown, sampled while playing.";
    BytesLoaded "dc" "bytesLoaded" Integer, Bytes, PLAY, ADDS, "Bytes of the stream that arrived.";
    PauseCount "dd" "pauseCount" Integer, COUNT, PLAY, ADDS, "Pauses.";
    PauseDuration "de" "pauseDuration" Integer, Milliseconds, PLAY, ADDS, "Time spent in pause.";
    PauseIntervals "df" "pauseIntervalsAsString" Pauses, NONE, PLAY, STANDS, "Each pause: its position in seconds, and how long it was in ms.";
    SeekCount "dg" "seekCount" Integer, COUNT, PLAY, ADDS, "Seeks.";
    SeekTime "dh" "seekTime" Integer, Milliseconds, PLAY, ADDS, "Time from a seek until it plays again, buffering included.";
    SeekIntervals "di" "seekIntervalsAsString" Seeks, NONE, PLAY, STANDS, "Each seek: from where to where, in seconds.";
    PauseSeekSession "dj" "pauseSeekSession" PauseSeek, NONE, PLAY, STANDS, "Pauses (P), resumes (R) and seeks (S) in order, each with its position in seconds and its clock in ms.";
    BandwidthPercent "dk" "bandwidthPercent" SumCount, NONE, PLAY, ADDS, "Rate of filling divided by the smaller of bit rate and available bandwidth.";
    BufferLength "dl" "bufferLength" Decimal, Milliseconds, PLAY, STANDS, "Average fill of the buffer.";
    AverageFpsPercent "dm" "averageFPSPercent" SumCount, Percent, PLAY, ADDS, "Frame rate shown, as a share of the encoded one.";
    TotalBandwidth "dn" "totalBandwidth" SumCount, BitsPerSecond, PLAY, ADDS, "Rate at which the buffer fills.";
    ResumeBufferCount "do" "resumeBufferCount" Integer, COUNT, PLAY, ADDS, "Times that a resume had to wait for the buffer.";
    ResumeBufferTime "dp" "resumeBufferTime" Integer, Milliseconds, PLAY, ADDS, "Time spent so.";
    BytesPlayed "dq" "bytesPlayed" Integer, Bytes, PLAY, ADDS, "Bytes of the stream that were shown.";
    AvailableBandwidth "dr" "availableBandwidth" SumCount, BitsPerSecond, PLAY, ADDS, "Measured rate of the last download.";
    FullScreenClockTime "ds" "fullScreenClockTime" Integer, Milliseconds, LISTED_ONLY, ADDS, "Time spent in full-screen.";
    EncodedBitRate "dt" "encodedBitRate" Integer, BitsPerSecond, PLAY, STANDS, "Bit rate that the stream was encoded with.";
    BufferTime "du" "bufferTime" SumCount, Milliseconds, PLAY, ADDS, "Fill of the buffer, sampled.";
    IsView "dv" "isView" Flag, NONE, PLAY, STANDS, "1, once, when 5 seconds have been played.";
    IsSessionWithRebuffer "dw" "isSessionWithRebuffer" Flag, NONE, PLAY, STANDS, "1, once, at the first rebuffer beyond the configured length.";
    LiveDelay "dy" "liveDelay" SumCount, Seconds, PLAY, ADDS, "How far behind the live edge it plays.";
    Rtt "dz" "rtt" SumCount, Milliseconds, PLAY, ADDS, "Round trip time to the server.";
    BucketCount "ea" "bucketCount" Integer, COUNT, FROM_START, STANDS, "Parts that the stream is divided into.";
    BucketPlays "eb" "bucketPlays" Buckets, NONE, PLAY, ADDS, "How much of each part was played; more than 1 where it was played again.";
    BucketPauseCounts "ec" "bucketPauseCounts" Buckets, COUNT, PLAY, ADDS, "Pauses in each part.";
    BucketPauseTimes "ed" "bucketPauseTimes" Buckets, Milliseconds, PLAY, ADDS, "Time paused in each part.";
    BucketSeeks "ee" "bucketSeeks" Buckets, COUNT, PLAY, ADDS, "Seeks that began in each part.";
    BucketForwardSeeks "ef" "bucketForwardSeeks" Buckets, COUNT, PLAY, ADDS, "Seeks forward that began in each part.";
    BucketBackwardSeeks "eg" "bucketBackwardSeeks" Buckets, COUNT, PLAY, ADDS, "Seeks backward that began in each part.";
    BucketRebufferCounts "eh" "bucketRebufferCounts" Buckets, COUNT, PLAY, ADDS, "Rebuffers in each part.";
    BucketRebufferTimes "ei" "bucketRebufferTimes" Buckets, Milliseconds, PLAY, ADDS, "Time spent rebuffering in each part.";
    BucketResumeBufferCounts "ej" "bucketResumeBufferCounts" Buckets, COUNT, PLAY, ADDS, "Resumes that had to wait for the buffer, in each part.";
    BucketResumeBufferTimes "ek" "bucketResumeBufferTimes" Buckets, Milliseconds, PLAY, ADDS, "Time spent so in each part.";
    BucketSeekTimes "el" "bucketSeekTimes" Buckets, Milliseconds, PLAY, ADDS, "Time that seeks from each part took until it played again.";
    BucketFullScreenTimes "em" "bucketFullScreenTimes" Buckets, Milliseconds, PLAY, ADDS, "Time in full-screen in each part.";
    TransitionCount "fb" "transitionCount" Integer, COUNT, PLAY, ADDS, "Changes of bit rate that were completed.";
    TransitionUpSwitchCount "fd" "transitionUpSwitchCount" Integer, COUNT, PLAY, ADDS, "Those to a higher rate.";
    TransitionDownSwitchCount "fe" "transitionDownSwitchCount" Integer, COUNT, PLAY, ADDS, "Those to a lower rate.";
    TransitionTime "ff" "transitionTime" Integer, Milliseconds, PLAY, ADDS, "Time from the decision to switch until the new rate was shown.";
    UpSwitchReasonCounts "fg" "upSwitchReasonCounts" ReasonCounts, COUNT, PLAY, ADDS, "Switches up by reason: bandwidth, dropped frames, buffer, other.";
    DownSwitchReasonCounts "fh" "downSwitchReasonCounts" ReasonCounts, COUNT, PLAY, ADDS, "Switches down by reason: bandwidth, dropped frames, buffer, other.";
    TransitionStreamTimeSession "fi" "transitionStreamTimeSession" Stints, NONE, PLAY, STANDS, "Each stint at one bit rate: rate, stream head, time played, reasons, how often that rate was seen.";
    TransitionStreamTimes "fj" "transitionStreamTimes" RateTimes, NONE, PLAY, ADDS, "Time played at each bit rate, rates ascending.";
    BitRateBucketTimes "fk" "bitRateBucketTimes" ClassTimes, NONE, PLAY, ADDS, "Time played in each class of bit rates, by default U unknown, S below 1.5, Q below 2.5 and D from 2.5 Mbit/s.";
    AveragedBitRate "fl" "averagedBitRate" WeightedRate, NONE, PLAY, ADDS, "Sum of bit rate times time played, and the time played.";
    RebufferSession "rs" "rebufferSession" Rebuffers, NONE, PLAY, STANDS, "Each rebuffer: when it began after the line before, and how long it was, in ms.";
    AdSession "gb" "adSession" Ads, NONE, FROM_START, STANDS, "Each ad that ended since the line before.";
    AdCount "gc" "adCount" Integer, COUNT, PLAY, ADDS, "Ads.";
    AdPlayClockTime "gd" "adPlayClockTime" Integer, Milliseconds, PLAY, ADDS, "Time spent playing ads.";
    AdStartupTime "ge" "adStartupTime" Integer, Milliseconds, PLAY, ADDS, "Time from leaving the main stream until its ads began.";
    AdPauseTime "gf" "adPauseTime" Integer, Milliseconds, PLAY, ADDS, "Time that the main stream was paused for an ad.";
    AsmSession "ss" "asmSession" ServerSwitches, NONE, PLAY, STANDS, "Each switch to another server.";
    IsAsmEnabled "ia" "isASMEnabled" Flag, NONE, PLAY, STANDS, "Whether the player may switch servers.";
    RebufferStatus "rst" "rebufferStatus" Text, NONE, PLAY, STANDS, "Connection.Idle once a rebuffer has lasted over 30 s; sent whether it is configured or not.";
    SocialSharing "so" "socialSharing" Shares, COUNT, PLAY, ADDS, "Shares by service.";

    // End.
    ErrorCode "ca" "errorCode" Text, NONE, ERROR, STANDS, "Why playing failed.";
    EndReasonCode "xa" "endReasonCode" Text, NONE, COMPLETE, STANDS, "Why playing ended.";
    TotalRebufferTime "ta" "totalRebufferTime" Integer, Milliseconds, LAST, STANDS, "Time spent rebuffering in the whole attempt.";
    MaxPersistentBitRate "tb" "maxPersistentBitRate" Integer, BitsPerSecond, LAST, STANDS, "Highest bit rate that was played.";
    TotalAdPlayClockTime "td" "totalAdPlayClockTime" Integer, Milliseconds, LAST, STANDS, "Time spent playing ads in the whole attempt.";
    TotalAdStartCount "te" "totalAdStartCount" Integer, COUNT, LAST, STANDS, "Ads that began in the whole attempt.";
    TotalAdAbandonCount "tf" "totalAdAbandonCount" Integer, COUNT, LAST, STANDS, "Ads that were left before their end in the whole attempt.";
    TotalPlayClockTime "tx" "totalPlayClockTime" Integer, Milliseconds, LAST, STANDS, "Time spent playing in the whole attempt.";
    TotalPlayStreamTime "ty" "totalPlayStreamTime" Integer, Milliseconds, LAST, STANDS, "How much of the stream was shown in the whole attempt.";
    TotalRebufferCount "tz" "totalRebufferCount" Integer, COUNT, LAST, STANDS, "Rebuffers in the whole attempt.";

    // Visit.
    IsVisitStart "va" "isVisitStart" Flag, NONE, START_AND_LAST, STANDS, "1, once, on the first attempt of a visit.";
    IsVisitEnd "vb" "isVisitEnd" Flag, NONE, VISIT, STANDS, "1 when the visit is over.";
    VisitAttempts "vc" "visitAttempts" Integer, COUNT, VISIT, STANDS, "Attempts of the visit.";
    VisitPlays "vd" "visitPlays" Integer, COUNT, VISIT, STANDS, "Attempts of the visit that showed a picture.";
    VisitViews "ve" "visitViews" Integer, COUNT, VISIT, STANDS, "Attempts of the visit that played for 5 seconds.";
    VisitErrors "vf" "visitErrors" Integer, COUNT, VISIT, STANDS, "Attempts of the visit that failed.";
    VisitInterval "vg" "visitInterval" Integer, Milliseconds, VISIT, STANDS, "Length of the visit.";
    VisitPlayClockTime "vh" "visitPlayClockTime" Integer, Milliseconds, VISIT, STANDS, "Time spent playing in the visit.";
    VisitPlayStreamTime "vi" "visitPlayStreamTime" Integer, Milliseconds, VISIT, STANDS, "How much of its streams was shown in the visit.";
    VisitRebufferCount "vj" "visitRebufferCount" Integer, COUNT, VISIT, STANDS, "Rebuffers in the visit.";
    VisitRebufferTime "vk" "visitRebufferTime" Integer, Milliseconds, VISIT, STANDS, "Time spent rebuffering in the visit.";
    VisitMaxPersistentBitRateBucket "vl" "visitMaxPersistentBitRateBucket" Text, NONE, VISIT, STANDS, "Class of bit rates that the visit played longest.";
    VisitStartupErrors "vm" "visitStartupErrors" Integer, COUNT, VISIT, STANDS, "Attempts of the visit that failed before a picture.";
    VisitUniqueTitles "vn" "visitUniqueTitles" Integer, COUNT, VISIT, STANDS, "Different titles of the visit.";
    VisitAdPlayClockTime "vo" "visitAdPlayClockTime" Integer, Milliseconds, VISIT, STANDS, "Time spent playing ads in the visit.";
    VisitAdStartCount "vp" "visitAdStartCount" Integer, COUNT, VISIT, STANDS, "Ads that began in the visit.";
    VisitAdAbandonCount "vq" "visitAdAbandonCount" Integer, COUNT, VISIT, STANDS, "Ads that were left before their end in the visit.";

    // Split and heartbeat.
    PartNumber "za" "partNumber" Integer, COUNT, LISTED_ONLY, STANDS, "Which part of a split line this is, from 1.";
    TotalParts "zb" "totalParts" Integer, COUNT, LISTED_ONLY, STANDS, "How many parts the line was split into.";
    LastHTime "hdx" "lastHTime" Text, NONE, LISTED_ONLY, STANDS, "Time of the last heartbeat line.";
    IsSessionWithRebufferH "hdw" "isSessionWithRebufferH" Flag, NONE, LISTED_ONLY, STANDS, "What isSessionWithRebuffer is, for heartbeat lines.";
    RebufferSessionH "rh" "rebufferSessionH" Text, NONE, LISTED_ONLY, STANDS, "What rebufferSession is, for heartbeat lines.";
    ScriptDisabled "sd" "scriptDisabled" Flag, NONE, LISTED_ONLY, STANDS, "1 where the page cannot be asked by script.";
    SessionGuid "sg" "sessionGUID" Text, NONE, LISTED_ONLY, STANDS, "Session id that the operator gives.";
}
