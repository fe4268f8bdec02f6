//! How messages stand in a datagram: one JSON object, an envelope around each body.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    CloseReason, DecodeError, Dimensions, Event, MAX_DATAGRAM, Message, PlayerState, Reply, SessionEvent,
    SessionId, Tags, VERSION,
};
use crate::session::Totals;
use crate::time::Millis;

// === impl Message ===

impl Message {
    /// Reads one datagram.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let Head { at, kind, session } = Head::decode(datagram)?;
        if kind == "hello" {
            return Ok(Self { at, event: Event::Hello(serde_json::from_slice(datagram)?) });
        }
        if kind == "visit" {
            return Ok(Self { at, event: Event::Visit(serde_json::from_slice(datagram)?) });
        }
        let event = match &*kind {
            "open" => SessionEvent::Open(serde_json::from_slice(datagram)?),
            "resume" => SessionEvent::Resume(serde_json::from_slice::<Wrapped>(datagram)?.totals),
            "state" => SessionEvent::State(serde_json::from_slice::<StateBody>(datagram)?.state),
            "first_frame" => SessionEvent::FirstFrame,
            "counters" => SessionEvent::Counters(serde_json::from_slice(datagram)?),
            "seek" => SessionEvent::Seek(serde_json::from_slice(datagram)?),
            "bitrate" => SessionEvent::Bitrate(serde_json::from_slice(datagram)?),
            "buffering" => SessionEvent::Buffering(serde_json::from_slice(datagram)?),
            "error" => SessionEvent::Error(serde_json::from_slice(datagram)?),
            "tags" => SessionEvent::Tags(serde_json::from_slice::<TagsBody>(datagram)?.tags),
            "asset" => SessionEvent::Asset(serde_json::from_slice(datagram)?),
            "dimensions" => SessionEvent::Dimensions(serde_json::from_slice(datagram)?),
            "delivery" => SessionEvent::Delivery(serde_json::from_slice(datagram)?),
            "measures" => SessionEvent::Measures(serde_json::from_slice(datagram)?),
            "window" => SessionEvent::Window(serde_json::from_slice(datagram)?),
            "share" => SessionEvent::Share(serde_json::from_slice(datagram)?),
            "server_switch" => SessionEvent::ServerSwitch(serde_json::from_slice(datagram)?),
            "switching" => SessionEvent::Switching(serde_json::from_slice(datagram)?),
            "ad" => SessionEvent::Ad(serde_json::from_slice(datagram)?),
            "close" => SessionEvent::Close(serde_json::from_slice::<CloseBody>(datagram)?.reason),
            _ => return Err(DecodeError::UnknownType(kind.into_owned())),
        };
        let session = session.ok_or_else(missing_session)?;
        Ok(Self { at, event: Event::Session(session, event) })
    }

    /// Appends the message to `out` as one JSON object without a line end.
    ///
    /// Texts are not shortened here; see [`Message::encode_bounded`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = self.at;
        match &self.event {
            Event::Hello(body) => write(out, at, "hello", None, body),
            Event::Visit(body) => write(out, at, "visit", None, body),
            Event::Session(id, event) => {
                let id = Some(id);
                match event {
                    SessionEvent::Open(body) => write(out, at, "open", id, body),
                    SessionEvent::Resume(totals) => write(out, at, "resume", id, &WrappedRef { totals }),
                    SessionEvent::State(state) => write(out, at, "state", id, &StateBody { state: *state }),
                    SessionEvent::FirstFrame => write(out, at, "first_frame", id, &Empty {}),
                    SessionEvent::Counters(body) => write(out, at, "counters", id, body),
                    SessionEvent::Seek(body) => write(out, at, "seek", id, body),
                    SessionEvent::Bitrate(body) => write(out, at, "bitrate", id, body),
                    SessionEvent::Buffering(body) => write(out, at, "buffering", id, body),
                    SessionEvent::Error(body) => write(out, at, "error", id, body),
                    SessionEvent::Tags(tags) => write(out, at, "tags", id, &TagsRef { tags }),
                    SessionEvent::Asset(body) => write(out, at, "asset", id, body),
                    SessionEvent::Dimensions(body) => write(out, at, "dimensions", id, body),
                    SessionEvent::Delivery(body) => write(out, at, "delivery", id, body),
                    SessionEvent::Measures(body) => write(out, at, "measures", id, body),
                    SessionEvent::Window(body) => write(out, at, "window", id, body),
                    SessionEvent::Share(body) => write(out, at, "share", id, body),
                    SessionEvent::ServerSwitch(body) => write(out, at, "server_switch", id, body),
                    SessionEvent::Switching(body) => write(out, at, "switching", id, body),
                    SessionEvent::Ad(body) => write(out, at, "ad", id, body),
                    SessionEvent::Close(reason) => {
                        write(out, at, "close", id, &CloseBody { reason: *reason })
                    }
                }
            }
        }
    }

    /// Like [`Message::encode`], into an emptied buffer, with long texts cut so that the result is no longer
    /// than [`MAX_DATAGRAM`].
    pub fn encode_bounded(&mut self, out: &mut Vec<u8>) {
        let mut limit = MAX_DATAGRAM;
        loop {
            out.clear();
            self.encode(out);
            if out.len() <= MAX_DATAGRAM {
                return;
            }
            limit /= 2;
            self.event.truncate_texts(limit);
        }
    }
}

impl Event {
    fn truncate_texts(&mut self, limit: usize) {
        let cut = |text: &mut String| text.truncate(text.floor_boundary(limit));
        match self {
            Self::Hello(hello) => cut(&mut hello.player),
            Self::Session(_, SessionEvent::Open(open)) => {
                [&mut open.url, &mut open.proto, &mut open.id].into_iter().for_each(cut);
            }
            Self::Session(_, SessionEvent::Error(error)) => {
                [&mut error.code, &mut error.message].into_iter().for_each(cut);
            }
            Self::Session(_, SessionEvent::Tags(tags)) => {
                [&mut tags.title, &mut tags.video_codec, &mut tags.audio_codec, &mut tags.container]
                    .into_iter()
                    .flatten()
                    .for_each(cut);
            }
            Self::Visit(visit) => visit.id.as_mut().into_iter().for_each(cut),
            Self::Session(_, SessionEvent::Asset(asset)) => {
                asset.texts().into_iter().flatten().for_each(cut);
            }
            Self::Session(_, SessionEvent::Dimensions(Dimensions { dimensions })) => {
                dimensions.retain(|key, _| key.len() <= limit);
                // Short texts, but too many of them: the last ones go.
                while dimensions.len() > limit.max(1) {
                    dimensions.pop_last();
                }
                dimensions.values_mut().for_each(cut);
            }
            Self::Session(_, SessionEvent::Delivery(delivery)) => {
                delivery.texts().into_iter().flatten().for_each(cut);
            }
            Self::Session(_, SessionEvent::Share(share)) => cut(&mut share.key),
            Self::Session(_, SessionEvent::ServerSwitch(switch)) => {
                [&mut switch.from, &mut switch.to, &mut switch.ip].into_iter().for_each(cut);
            }
            Self::Session(_, SessionEvent::Switching(switching)) => switching.reasons.truncate(limit),
            Self::Session(_, SessionEvent::Ad(ad)) => ad.texts().into_iter().flatten().for_each(cut),
            Self::Session(..) => {}
        }
    }
}

// === impl Reply ===

impl Reply {
    /// Reads one datagram from the daemon.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(datagram: &[u8]) -> Result<(Millis, Self), DecodeError> {
        let Head { at, kind, session } = Head::decode(datagram)?;
        let session = session.ok_or_else(missing_session)?;
        match &*kind {
            "reported" => {
                let Reported { counted } = serde_json::from_slice(datagram)?;
                Ok((at, Self::Reported { session, counted }))
            }
            _ => Err(DecodeError::UnknownType(kind.into_owned())),
        }
    }

    /// Appends the message to `out` as one JSON object without a line end.
    pub fn encode(&self, at: Millis, out: &mut Vec<u8>) {
        match self {
            Self::Reported { session, counted } => {
                write(out, at, "reported", Some(session), &Reported { counted: *counted });
            }
        }
    }
}

// === the wire ===

/// What a [`Reply::Reported`] has beside its head.
#[derive(Serialize, Deserialize)]
struct Reported {
    #[serde(default = "all")]
    counted: Millis,
}

const fn all() -> Millis {
    Millis::MAX
}

/// What every message has; read first, so that the right body can be asked for.
struct Head<'d> {
    at: Millis,
    kind: Cow<'d, str>,
    session: Option<SessionId>,
}

impl<'d> Head<'d> {
    fn decode(datagram: &'d [u8]) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        struct Wire<'d> {
            v: u32,
            at: Millis,
            // Where it lies in the datagram: most messages are read without an allocation.
            #[serde(borrow)]
            r#type: Cow<'d, str>,
            session: Option<SessionId>,
        }
        if datagram.len() > MAX_DATAGRAM {
            return Err(DecodeError::TooLong(datagram.len()));
        }
        let Wire { v, at, r#type: kind, session } = serde_json::from_slice(datagram)?;
        if v != VERSION {
            return Err(DecodeError::Version(v));
        }
        Ok(Self { at, kind, session })
    }
}

#[derive(Serialize)]
struct Envelope<'a, B> {
    v: u32,
    r#type: &'a str,
    at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a SessionId>,
    #[serde(flatten)]
    body: &'a B,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize, Deserialize)]
struct StateBody {
    state: PlayerState,
}

#[derive(Serialize, Deserialize)]
struct CloseBody {
    reason: CloseReason,
}

#[derive(Deserialize)]
struct TagsBody {
    tags: Tags,
}

#[derive(Serialize)]
struct TagsRef<'a> {
    tags: &'a Tags,
}

#[derive(Deserialize)]
struct Wrapped {
    totals: Totals,
}

#[derive(Serialize)]
struct WrappedRef<'a> {
    totals: &'a Totals,
}

fn write(out: &mut Vec<u8>, at: Millis, kind: &str, session: Option<&SessionId>, body: &impl Serialize) {
    let length = out.len();
    let envelope = Envelope { v: VERSION, r#type: kind, at, session, body };
    if serde_json::to_writer(&mut *out, &envelope).is_err() {
        // A vector takes every byte and the types above have only string keys, so this is not reached;
        // if it ever were, no half message may leave.
        out.truncate(length);
    }
}

fn missing_session() -> serde_json::Error {
    serde::de::Error::missing_field("session")
}

/// `str::floor_char_boundary` for compilers older than 1.91.
trait FloorBoundary {
    fn floor_boundary(&self, at: usize) -> usize;
}

impl FloorBoundary for String {
    fn floor_boundary(&self, at: usize) -> usize {
        (0..=at.min(self.len())).rev().find(|&i| self.is_char_boundary(i)).unwrap_or(0)
    }
}
