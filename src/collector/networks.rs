//! Where networks are: a table of the operator's that tells the city and the ISP of a network.
//!
//! ```csv
//! network,city,isp
//! 192.0.2.0/24,Vienna,Example Cable
//! 2001:db8::/32,,Example Fibre
//! ```
//!
//! Where several hold a box the narrowest tells. A box is known by its /24 or /48 alone ([`Known::Subnet`]), so that no
//! line may be about less than that.
//!
//! [`Known::Subnet`]: crate::labels::Known::Subnet

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use csv::{Position, ReaderBuilder, StringRecord, Trim};
use thiserror::Error;

use crate::labels::clipped;

/// Longest name of a city or an ISP, in characters.
const MAX_NAME: usize = 128;
/// How much of an address tells one box's network from another's, in bits.
const SUBNET_V4: u8 = 24;
const SUBNET_V6: u8 = 48;
/// Addresses of version 4 are among those of version 6 (`::ffff:0:0/96`, RFC 4291).
const V4_IN_V6: u8 = 96;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    /// The narrowest networks first: how many bits they have in common, and by these.
    by_width: Vec<(u8, HashMap<u128, Home>)>,
}

/// Where a network is; what is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) city: String,
    pub(crate) isp: String,
}

/// Addresses that have their first bits in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    /// How many, as of version 6.
    width: u8,
    /// These.
    bits: u128,
}

/// What is no network.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("expected an address or a network such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")]
pub(crate) struct NotANetwork;

/// Why a table is none.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotATable {
    #[error("line 1: no column {0:?}: the first line names the columns network, city and isp")]
    NoColumn(&'static str),
    #[error("line {line}: network: {text:?} is no network such as 192.0.2.0/24 or 2001:db8::/32")]
    NotANetwork { line: u64, text: String },
    #[error(
        "line {line}: network: {text:?} is narrower than /{most}, by which boxes are told apart: write that one"
    )]
    Narrow { line: u64, text: String, most: u8 },
    #[error("line {line}: network: {text:?} was there before: leave one of them out")]
    Twice { line: u64, text: String },
    #[error("{0}")]
    Csv(String),
}

// === impl Networks ===

impl Networks {
    /// Reads the table in a file.
    ///
    /// # Errors
    /// Says which file, which line and what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, NotATable> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader =
            ReaderBuilder::new().comment(Some(b'#')).trim(Trim::All).from_reader(text.as_bytes());
        let wrong = |error: csv::Error| NotATable::Csv(error.to_string());
        let header = reader.headers().map_err(wrong)?.clone();
        let column = |name: &str| header.iter().position(|told| told.eq_ignore_ascii_case(name));
        let network = column("network").ok_or(NotATable::NoColumn("network"))?;
        let (city, isp) = (column("city"), column("isp"));
        if city.is_none() && isp.is_none() {
            return Err(NotATable::NoColumn("city"));
        }
        let mut widths: HashMap<u8, HashMap<u128, Home>> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let line = record.position().map_or(0, |position| line_at(text, position));
            let of = |column: Option<usize>| {
                clipped(column.and_then(|column| record.get(column)).unwrap_or_default(), MAX_NAME)
            };
            let Network { width, bits } = network_in(&record, network, line)?;
            let home = Home { city: of(city), isp: of(isp) };
            if widths.entry(width).or_default().insert(bits, home).is_some() {
                let text = record.get(network).unwrap_or_default().to_owned();
                return Err(NotATable::Twice { line, text });
            }
        }
        let mut by_width: Vec<_> = widths.into_iter().collect();
        by_width.sort_unstable_by_key(|(width, _)| std::cmp::Reverse(*width));
        Ok(Self { by_width })
    }

    /// Whether it tells of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_width.is_empty()
    }

    /// Where a box's network is.
    pub(crate) fn home(&self, subnet: &str) -> Option<&Home> {
        let Network { width, bits } = subnet.parse().ok()?;
        let wider = self.by_width.iter().filter(|(of, _)| *of <= width);
        wider.filter_map(|(width, homes)| homes.get(&masked(bits, *width))).next()
    }
}

/// The line of a record: the reader tells where the comments and empty lines before it begin.
fn line_at(text: &str, position: &Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.get(start..).unwrap_or_default().lines();
    let skipped = rest.take_while(|line| line.trim().is_empty() || line.starts_with('#')).count();
    position.line() + skipped as u64
}

/// The network of a line.
fn network_in(record: &StringRecord, column: usize, line: u64) -> Result<Network, NotATable> {
    let text = record.get(column).unwrap_or_default();
    let not_one = || NotATable::NotANetwork { line, text: text.to_owned() };
    // Who means one address has to say so.
    let network: Network = text.contains('/').then(|| text.parse().ok()).flatten().ok_or_else(not_one)?;
    let is_v4 = !text.contains(':');
    let (told, most) = if is_v4 { (network.width - V4_IN_V6, SUBNET_V4) } else { (network.width, SUBNET_V6) };
    if told > most {
        return Err(NotATable::Narrow { line, text: text.to_owned(), most });
    }
    Ok(network)
}

// === impl Network ===

impl Network {
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        masked(bits(address), self.width) == self.bits
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    /// `192.0.2.0/24` or `2001:db8::/32`; without a width it is one address. Bits beyond the width do not count.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, width) =
            text.split_once('/').map_or((text, None), |(address, width)| (address, Some(width)));
        let address = address.parse().map_err(|_| NotANetwork)?;
        let width = width.map(str::parse).transpose().map_err(|_| NotANetwork)?;
        let width = match (address, width) {
            (_, None) => 128,
            (IpAddr::V4(_), Some(width @ 0..=32)) => V4_IN_V6 + width,
            (IpAddr::V6(_), Some(width @ 0..=128)) => width,
            _ => return Err(NotANetwork),
        };
        Ok(Self { width, bits: masked(bits(address), width) })
    }
}

/// As of version 6.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(bits: u128, width: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(width)).map_or(0, |mask| bits & mask)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TABLE: &str = "\
Network, City, ISP
# ours
192.0.2.0/24, Vienna, Example Cable
192.0.0.0/16, Graz,\"Example, Fibre\"
2001:db8::/32,, Other
0.0.0.0/0, Elsewhere,
";

    #[rstest]
    #[case("192.0.2.0/24", Some(("Vienna", "Example Cable")))]
    #[case("192.0.3.0/24", Some(("Graz", "Example, Fibre")))]
    #[case("198.51.100.0/24", Some(("Elsewhere", "")))]
    #[case("2001:db8:7::/48", Some(("", "Other")))]
    #[case("2001:db9:7::/48", None)]
    #[case("nonsense", None)]
    fn the_narrowest_tells(#[case] subnet: &str, #[case] expected: Option<(&str, &str)>) {
        let networks = Networks::parse(TABLE).unwrap();
        let home = networks.home(subnet).map(|home| (&*home.city, &*home.isp));
        assert_eq!(home, expected);
    }

    #[rstest]
    #[case("", "line 1: no column \"network\": the first line names the columns network, city and isp")]
    #[case(
        "network,town\n",
        "line 1: no column \"city\": the first line names the columns network, city and isp"
    )]
    #[case(
        "network,city\n192.0.2.0/33,x\n",
        "line 2: network: \"192.0.2.0/33\" is no network such as 192.0.2.0/24 or 2001:db8::/32"
    )]
    #[case(
        "network,city\n# \n\n192.0.2.0,x\n",
        "line 4: network: \"192.0.2.0\" is no network such as 192.0.2.0/24 or 2001:db8::/32"
    )]
    #[case(
        "network,city\n192.0.2.0/25,x\n",
        "line 2: network: \"192.0.2.0/25\" is narrower than /24, by which boxes are told apart: write that one"
    )]
    #[case(
        "network,city\n2001:db8::/64,x\n",
        "line 2: network: \"2001:db8::/64\" is narrower than /48, by which boxes are told apart: write that one"
    )]
    #[case(
        "network,city\r\n10.0.0.0/8,x\r\n10.1.0.0/8,y\r\n",
        "line 3: network: \"10.1.0.0/8\" was there before: leave one of them out"
    )]
    #[case(
        "network,city\n10.0.0.0/8,x,y\n",
        "CSV error: record 1 (line: 2, byte: 13): found record with 3 fields, but the previous record has 2 fields"
    )]
    fn what_is_no_table(#[case] text: &str, #[case] told: &str) {
        assert_eq!(Networks::parse(text).unwrap_err().to_string(), told);
    }

    proptest! {
        /// As if each line was looked at.
        #[test]
        fn is_what_a_look_at_each_line_would_find(
            lines in prop::collection::btree_set((0_u8..4, 8_u8..=24), 0..40),
            asked in 0_u32..1024,
        ) {
            let address = |bits: u32| Ipv4Addr::from_bits(bits << 22);
            let of = |(bits, width): (u8, u8)| {
                let bits = u32::from(bits) << 30 & u32::MAX << (32 - u32::from(width));
                (bits, width)
            };
            let lines: std::collections::BTreeSet<_> = lines.into_iter().map(of).collect();
            let mut text = "network,city\n".to_owned();
            for (bits, width) in &lines {
                let address = Ipv4Addr::from_bits(*bits);
                text.push_str(&format!("{address}/{width},{address}/{width}\n"));
            }
            let networks = Networks::parse(&text).unwrap();
            let subnet = format!("{}/24", address(asked));
            let is_in = |(bits, width): &&(u32, u8)| (asked << 22 ^ bits) >> (32 - u32::from(*width)) == 0;
            let expected = lines.iter().filter(is_in).max_by_key(|(_, width)| *width);
            let expected = expected.map(|(bits, width)| format!("{}/{width}", Ipv4Addr::from_bits(*bits)));
            prop_assert_eq!(networks.home(&subnet).map(|home| home.city.clone()), expected);
        }
    }
}
