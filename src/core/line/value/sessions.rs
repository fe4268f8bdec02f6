//! Values whose elements have many fields: ads and switches between servers.
//!
//! A `:` or `,` inside a field is written as the separator that is to stand for it, [`FIELD_ESCAPE`]; which of
//! them it was cannot be told any more.

use std::fmt;

use serde::Serialize;

use super::cursor::{Cursor, ValueError};

/// What stands for `:` and `,` inside a field: the usual separator of keys, which leaves as `*@*`.
pub const FIELD_ESCAPE: char = '~';

/// One ad. Fields that are not known are left empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ad {
    /// Id, name or address.
    pub id: String,
    /// 0 pre-roll, 1 mid-roll, 2 post-roll.
    pub kind: Option<u8>,
    /// Stream head where it was called, in ms.
    pub start_position: Option<u64>,
    /// How long it took to start, in ms.
    pub startup_time: Option<u64>,
    /// How long it was played, in ms.
    pub play_time: Option<u64>,
    /// How much of it was played: -1 it did not start, 0 less than a quarter, to 4 all of it.
    pub play_bucket: Option<i8>,
    /// 0 it ended, 1 the viewer closed it, 2 the application was closed, 3 it failed.
    pub end_status: Option<u8>,
    /// Its length in ms.
    pub duration: Option<u64>,
    /// Title.
    pub title: String,
    /// Category.
    pub category: String,
    /// Id of the partner.
    pub partner_id: String,
    /// Server that chose it.
    pub server: String,
    /// Time of day that it was booked for.
    pub daypart: String,
    /// Industry that it is for.
    pub industry_category: String,
    /// Event.
    pub event: String,
}

/// One switch to another server. Fields that are not known are left empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServerSwitch {
    /// When it began, in ms.
    pub start: Option<u64>,
    /// How long it took, in ms.
    pub duration: Option<u64>,
    /// Round trip time at that moment, in ms.
    pub rtt: Option<u64>,
    /// Stream head at that moment, in ms.
    pub head: Option<u64>,
    /// 0 start-up, 1 forced by the server, 2 the primary is there again, 3 low round trip time, 4 the manifest failed,
    /// 5 the address changed, 6 a gap in the data.
    pub reason: Option<u8>,
    /// Host before.
    pub old_host: String,
    /// Host after.
    pub new_host: String,
    /// Its address.
    pub new_ip: String,
    /// 0 primary, 1 alternate, 2 alternate in the region, 3 alternate out of it, 4 EUM host.
    pub host_type: Option<u8>,
}

// === impl Ad ===

impl Ad {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let id = text(value);
        let (kind, start_position) = (next_code(value, 2)?, next_number(value)?);
        let (startup_time, play_time) = (next_number(value)?, next_number(value)?);
        field(value)?;
        let play_bucket = match value.rest().chars().next() {
            None | Some(':' | ',') => None,
            Some(_) => {
                let before = *value;
                let bucket = value.signed("-1 to 4, how much of the ad was played")?;
                if !(-1..=4).contains(&bucket) {
                    return Err(before.error("-1 to 4, how much of the ad was played"));
                }
                Some(bucket)
            }
        };
        let (end_status, duration) = (next_code(value, 3)?, next_number(value)?);
        let mut next_text = || field(value).map(|()| text(value));
        Ok(Self {
            id,
            kind,
            start_position,
            startup_time,
            play_time,
            play_bucket,
            end_status,
            duration,
            title: next_text()?,
            category: next_text()?,
            partner_id: next_text()?,
            server: next_text()?,
            daypart: next_text()?,
            industry_category: next_text()?,
            event: next_text()?,
        })
    }
}

impl fmt::Display for Ad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", Field(&self.id), Maybe(self.kind))?;
        write!(f, "{}:{}:", Maybe(self.start_position), Maybe(self.startup_time))?;
        write!(f, "{}:{}:", Maybe(self.play_time), Maybe(self.play_bucket))?;
        write!(f, "{}:{}:", Maybe(self.end_status), Maybe(self.duration))?;
        let texts = [
            &self.title,
            &self.category,
            &self.partner_id,
            &self.server,
            &self.daypart,
            &self.industry_category,
        ];
        texts.into_iter().try_for_each(|text| write!(f, "{}:", Field(text)))?;
        write!(f, "{}", Field(&self.event))
    }
}

// === impl ServerSwitch ===

impl ServerSwitch {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let (start, duration) = (number(value)?, next_number(value)?);
        let (rtt, head) = (next_number(value)?, next_number(value)?);
        let reason = next_code(value, 6)?;
        let mut next_text = || field(value).map(|()| text(value));
        let (old_host, new_host, new_ip) = (next_text()?, next_text()?, next_text()?);
        Ok(Self {
            start,
            duration,
            rtt,
            head,
            reason,
            old_host,
            new_host,
            new_ip,
            host_type: next_code(value, 4)?,
        })
    }
}

impl fmt::Display for ServerSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", Maybe(self.start), Maybe(self.duration))?;
        write!(f, "{}:{}:{}:", Maybe(self.rtt), Maybe(self.head), Maybe(self.reason))?;
        write!(f, "{}:{}:{}:", Field(&self.old_host), Field(&self.new_host), Field(&self.new_ip))?;
        write!(f, "{}", Maybe(self.host_type))
    }
}

pub(super) struct Field<'a>(pub(super) &'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find([':', ',']) {
            let (head, tail) = rest.split_at(at);
            write!(f, "{head}{FIELD_ESCAPE}")?;
            rest = tail.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

struct Maybe<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// The colon in front of a field.
fn field(value: &mut Cursor<'_>) -> Result<(), ValueError> {
    value.expect(':', "a colon and the next field")
}

fn text(value: &mut Cursor<'_>) -> String {
    value.until(&[':', ',']).to_owned()
}

fn next_number(value: &mut Cursor<'_>) -> Result<Option<u64>, ValueError> {
    field(value)?;
    number(value)
}

fn number(value: &mut Cursor<'_>) -> Result<Option<u64>, ValueError> {
    match value.rest().chars().next() {
        None | Some(':' | ',') => Ok(None),
        Some(_) => value.integer("a whole number, or nothing").map(Some),
    }
}

/// A code from 0 to `most`.
fn next_code(value: &mut Cursor<'_>, most: u8) -> Result<Option<u8>, ValueError> {
    field(value)?;
    let before = *value;
    match number(value)?.map(u8::try_from) {
        None => Ok(None),
        Some(Ok(code)) if code <= most => Ok(Some(code)),
        Some(_) => Err(before.error(match most {
            2 => "0 to 2, or nothing",
            3 => "0 to 3, or nothing",
            4 => "0 to 4, or nothing",
            _ => "0 to 6, or nothing",
        })),
    }
}
