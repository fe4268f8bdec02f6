//! How long what is kept is kept: partitions that are old are dropped, by whichever collector comes first.
//!
//! Sums are kept by the hour from the beginning, beside those by the minute. So nothing has to be moved when minutes are old:
//! one number in the table `meta`, from which minute on they are told by the minute, is raised, and who asks looks there in
//! the same question. Only then the minutes are dropped. What comes late for them is told by the hour. Sketches stay as they were
//! written for as long as the hours.

use std::time::Duration;

use super::client::{Client, literal, push_row};
use super::schema::{BLOCK, DAY};
use crate::figures::SAMPLES;
use crate::store::{Keep, StoreError, Tidied};
use crate::time::{HOUR, UnixMs};

/// How often it is looked for what is old.
pub(super) const EVERY: Duration = Duration::from_secs(600);

/// Of one step.
pub(super) fn tidy(client: &Client, keep: &Keep, now: UnixMs) -> Result<Tidied, StoreError> {
    let today = now.0 / (24 * HOUR);
    let sessions = today.saturating_sub(keep.sessions);
    Ok(Tidied {
        folded: 0,
        sessions: {
            let dropped = drop_before(client, "session", sessions, true)?;
            drop_before(client, "story", sessions, true)?;
            dropped
        },
        networks: drop_before(client, "network", sessions, false)?,
        minutes: {
            let border = today.saturating_sub(keep.minutes);
            raise_border(client, border * DAY)?;
            drop_before(client, "rollup", border, false)?
        },
        hours: {
            let border = today.saturating_sub(keep.hours) * DAY / BLOCK;
            drop_before(client, "peak_hour", border, false)?;
            drop_before(client, "sketch", border, false)?;
            drop_before(client, "rollup_hour", border, false)?
        },
    })
}

/// Tells sums by the minute from that minute on, and by the hour before; makes the largest samples of those hours first.
/// Done twice it is as done once.
fn raise_border(client: &Client, border: u64) -> Result<(), StoreError> {
    let sql = "SELECT max(id) FROM meta WHERE kind = 'minutes_from'";
    let before = client.select(sql)?.first().map_or(0, |row| row.unsigned(0));
    if before >= border {
        return Ok(());
    }
    let by_minute: Vec<_> = (0..SAMPLES).map(|s| format!("sum(running_{s}) AS s{s}")).collect();
    let largest: Vec<_> = (0..SAMPLES).map(|s| format!("max(s{s})")).collect();
    let days = format!(
        "SELECT DISTINCT intDiv(minute, {DAY}) FROM rollup WHERE minute >= {before} AND minute < {border}"
    );
    for day in client.select(&days)?.iter().map(|row| row.unsigned(0)) {
        client.run(&format!(
            "INSERT INTO peak_hour SELECT dimension, hour, value, {} FROM (
                 SELECT dimension, intDiv(minute, 60) * 60 AS hour, value, minute, {} FROM rollup
                 WHERE dimension >= 0 AND minute >= {} AND minute < {} GROUP BY dimension, hour, value, minute
             ) GROUP BY dimension, hour, value",
            largest.join(", "),
            by_minute.join(", "),
            day * DAY,
            (day + 1) * DAY
        ))?;
    }
    let mut row = String::new();
    push_row(&mut row, &["minutes_from", &border.to_string(), "1", ""]);
    client.insert("meta", &row)
}

/// Drops partitions with lower numbers, but for those of sessions that run; how many rows there were.
fn drop_before(client: &Client, table: &str, border: u64, of_sessions: bool) -> Result<usize, StoreError> {
    let sql = format!(
        "SELECT partition, sum(rows) FROM system.parts WHERE database = {} AND table = {} AND active
         GROUP BY partition",
        literal(client.address().database()),
        literal(table)
    );
    let mut rows = 0;
    for row in client.select(&sql)? {
        let Ok(partition) = row.text(0).parse::<u64>() else { continue };
        if partition >= border {
            continue;
        }
        if of_sessions {
            let sql = format!(
                "SELECT key FROM session WHERE intDiv(start, 86400000) = {partition}
                 GROUP BY key HAVING argMax(runs, version) = 1 LIMIT 1"
            );
            if !client.select(&sql)?.is_empty() {
                continue;
            }
        }
        client.run(&format!("ALTER TABLE {table} DROP PARTITION {partition}"))?;
        rows += usize::try_from(row.unsigned(1)).unwrap_or(usize::MAX);
    }
    Ok(rows)
}
