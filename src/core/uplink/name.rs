//! What a request is called, so that a receiver knows each report in it again.

use crate::spool::{BootId, RecordId};

/// The record in the spool that a report was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// In which boot it was taken.
    pub boot: BootId,
    /// Its name.
    pub id: RecordId,
}

/// `BOOT-NUMBER+MORE,NUMBER;BOOT-…`: a batch may be sent in parts later, or together with more after a restart, so
/// that nothing less than all numbers lets a receiver know each report again.
pub(super) fn name(origins: impl Iterator<Item = Option<Origin>>) -> Option<String> {
    let mut name = String::new();
    let mut run: Option<(BootId, u64, u64)> = None;
    let close = |name: &mut String, run: Option<(BootId, u64, u64)>| {
        if let Some((_, first, last)) = run.filter(|(_, first, last)| last > first) {
            name.push_str(&format!("+{:x}", last - first));
        }
    };
    for origin in origins {
        let Origin { boot, id: RecordId { seq, .. } } = origin?;
        match &mut run {
            Some((of, _, last)) if *of == boot && last.checked_add(1) == Some(seq) => {
                *last = seq;
                continue;
            }
            before => {
                close(&mut name, *before);
                match before {
                    Some((of, ..)) if *of == boot => name.push_str(&format!(",{seq:x}")),
                    Some(_) => name.push_str(&format!(";{boot}-{seq:x}")),
                    None => name.push_str(&format!("{boot}-{seq:x}")),
                }
            }
        }
        run = Some((boot, seq, seq));
    }
    close(&mut name, run);
    run.map(|_| name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::spool::Queue;

    #[rstest]
    #[case::none(&[], None)]
    #[case::one(&[(1, 16)], Some("0000000000000001-10"))]
    #[case::a_run(&[(1, 16), (1, 17), (1, 18)], Some("0000000000000001-10+2"))]
    #[case::gaps(&[(1, 16), (1, 18), (1, 19)], Some("0000000000000001-10,12+1"))]
    #[case::backwards(&[(1, 18), (1, 16)], Some("0000000000000001-12,10"))]
    #[case::two_boots(&[(1, 16), (1, 17), (2, 18)], Some("0000000000000001-10+1;0000000000000002-12"))]
    fn a_request_names_each_report(#[case] records: &[(u64, u64)], #[case] expected: Option<&str>) {
        let origin = |&(boot, seq): &(u64, u64)| {
            Some(Origin { boot: BootId(boot), id: RecordId { queue: Queue(0), seq } })
        };
        assert_eq!(name(records.iter().map(origin)).as_deref(), expected);
        assert_eq!(name(records.iter().map(origin).chain([None])), None, "all of them or none");
    }
}
