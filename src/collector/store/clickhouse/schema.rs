//! The tables, in what a server of version 18.16 understands, and one of 26.9.
//!
//! * What is the same however often it is inserted, by its key: `session` (by its version the newest counts), `story`,
//!   `network`, `sketch` (a row for each batch; merging them is not the server's), `meta`. `ReplacingMergeTree` drops the repetitions when it likes, and who asks does not count them.
//! * What adds up, `rollup` by the minute and `rollup_hour` by the hour: `SummingMergeTree`. Nothing may be inserted twice,
//!   see [`super`]. `peak_hour` holds what does not add up of an hour: the largest samples, made once the hour is old.
//!
//! Partitions are what is dropped when it is old: days, and thirty days of hours.

use super::client::Client;
use crate::figures::SAMPLES;
use crate::store::StoreError;
use crate::store::rollup::columns;

/// Minutes in a partition of `rollup`, and of `rollup_hour`.
pub(super) const DAY: u64 = 1440;
pub(super) const BLOCK: u64 = 30 * DAY;

/// What is inserted in blocks that are marked, and how long its partitions are, in minutes.
pub(super) const SUMS: [(&str, u64); 2] = [("rollup", DAY), ("rollup_hour", BLOCK)];

/// Columns of a table of sums.
fn sums() -> String {
    let columns: Vec<_> = columns().map(|name| format!("{name} Int64")).collect();
    format!("dimension Int64, minute UInt64, value String, deltas Int64, {}", columns.join(", "))
}

/// Makes what is not there. A server that can sync each insert and its directory to its disk (from 21.1 on) is asked to.
pub(super) fn create(client: &Client, version: (u32, u32)) -> Result<(), StoreError> {
    client.create_database()?;
    let synced = if version >= (21, 1) { ", fsync_after_insert = 1, fsync_part_directory = 1" } else { "" };
    let names: Vec<_> = columns().collect();
    let samples: Vec<_> = (0..SAMPLES).map(|sample| format!("running_{sample} Int64")).collect();
    let mut tables = vec![
        "session (key String, version UInt64, owner String, device String, start UInt64, runs UInt8, state String)
         ENGINE = ReplacingMergeTree(version) PARTITION BY intDiv(start, 86400000) ORDER BY key
         SETTINGS index_granularity = 256"
            .to_owned(),
        "story (session String, version UInt64, start UInt64, pieces String)
         ENGINE = ReplacingMergeTree(version) PARTITION BY intDiv(start, 86400000) ORDER BY (session, version)
         SETTINGS index_granularity = 256"
            .to_owned(),
        "network (device String, name String, timestamp UInt64, day UInt64, report String)
         ENGINE = ReplacingMergeTree PARTITION BY day ORDER BY (device, name, timestamp)
         SETTINGS index_granularity = 256"
            .to_owned(),
        format!(
            "sketch (dimension Int64, minute UInt64, value String, batch String, state String)
             ENGINE = ReplacingMergeTree PARTITION BY intDiv(minute, {BLOCK})
             ORDER BY (dimension, minute, value, batch) SETTINGS index_granularity = 1024"
        ),
        "meta (kind String, id UInt64, version UInt64, text String)
         ENGINE = ReplacingMergeTree(version) ORDER BY (kind, id) SETTINGS index_granularity = 256"
            .to_owned(),
        format!(
            "peak_hour (dimension Int64, minute UInt64, value String, {})
             ENGINE = ReplacingMergeTree PARTITION BY intDiv(minute, {BLOCK}) ORDER BY (dimension, minute, value)
             SETTINGS index_granularity = 1024",
            samples.join(", ")
        ),
    ];
    tables.extend(SUMS.map(|(table, minutes)| {
        format!(
            "{table} ({}) ENGINE = SummingMergeTree((deltas, {})) PARTITION BY intDiv(minute, {minutes})
             ORDER BY (dimension, minute, value) SETTINGS index_granularity = 1024",
            sums(),
            names.join(", ")
        )
    }));
    tables.iter().try_for_each(|table| client.run(&format!("CREATE TABLE IF NOT EXISTS {table}{synced}")))
}

/// Makes the gate that leads to a table of sums: what goes in at it comes out there, in the same block, for as long as the
/// gate is there.
pub(super) fn make_gate(client: &Client, gate: &str, table: &str) -> Result<(), StoreError> {
    client.run(&format!("CREATE TABLE {gate} ({}) ENGINE = Null", sums()))?;
    client.run(&format!("CREATE MATERIALIZED VIEW {gate}_v TO {table} AS SELECT * FROM {gate}"))
}

/// Takes away all gates whose names begin so. When this is back, what went in at one has come out, and nothing can go in.
/// A server from 20.10 on, whose databases are `Atomic`, waits for what is on its way only when it is told to.
pub(super) fn drop_gates(client: &Client, prefix: &str, version: (u32, u32)) -> Result<(), StoreError> {
    let sync = if version >= (20, 10) { " SYNC" } else { "" };
    let sql = "SELECT name FROM system.tables WHERE database = ";
    let database = super::client::literal(client.address().database());
    let mut names: Vec<_> =
        client.select(&format!("{sql}{database}"))?.iter().map(|row| row.text(0)).collect();
    names.retain(|name| name.starts_with(prefix));
    // A gate before its view: without the view, what goes in would be gone.
    names.sort_by_key(|name| name.ends_with("_v"));
    names.iter().try_for_each(|name| client.run(&format!("DROP TABLE IF EXISTS {name}{sync}")))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use rstest::rstest;

    use super::*;
    use crate::store::clickhouse::Address;

    /// What somebody who answers so many requests, all alike, is told.
    fn told(requests: usize, tell: impl FnOnce(&Client)) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("clickhouse://{}/qoe", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let answered = listener.incoming().take(requests).map(|stream| {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while stream.read_line(&mut line).unwrap() > 2 {
                    if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                        length = number.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let answer = r#"{"data":[["gate_1_a_rollup_v"],["gate_2_b_rollup"],["gate_1_a_rollup"]]}"#;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                stream.get_mut().write_all((head + answer).as_bytes()).unwrap();
                String::from_utf8(body).unwrap()
            });
            answered.collect()
        });
        tell(&Client::new(Address::parse(&url).unwrap().unwrap()));
        server.join().unwrap()
    }

    /// What older ones would not understand.
    #[rstest]
    #[case((18, 16), "", false)]
    #[case((20, 9), "", false)]
    #[case((20, 10), " SYNC", false)]
    #[case((21, 1), " SYNC", true)]
    #[case((26, 9), " SYNC", true)]
    fn newer_servers_are_told_more(
        #[case] version: (u32, u32),
        #[case] waits: &str,
        #[case] are_synced: bool,
    ) {
        let created = told(9, |client| create(client, version).unwrap());
        assert_eq!(created[0], "CREATE DATABASE IF NOT EXISTS qoe");
        for table in &created[1..] {
            assert!(table.starts_with("CREATE TABLE IF NOT EXISTS "), "{table}");
            let synced = table.ends_with(", fsync_after_insert = 1, fsync_part_directory = 1");
            assert_eq!(synced, are_synced, "{table}");
        }
        let dropped = told(3, |client| drop_gates(client, "gate_1_", version).unwrap());
        let gates = ["gate_1_a_rollup", "gate_1_a_rollup_v"];
        assert_eq!(dropped[1..], gates.map(|gate| format!("DROP TABLE IF EXISTS {gate}{waits}")));
    }
}
