//! What a new provisioning changes, for the log.

use stbeacon_core::provisioning::{Provisioning, Statistics};

/// What a new provisioning changes, one line each, for the log.
pub(crate) fn changes(old: &Provisioning, new: &Provisioning) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |name: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("{name} is now {new}, was {old}"));
        }
    };
    let reload =
        |from: &Provisioning| from.reload.map_or("never".to_owned(), |reload| format!("every {reload}"));
    compare("reload", reload(old), reload(new));
    let mut setting = |name: &str, read: fn(&Statistics) -> String| {
        let of = |from: &Provisioning| from.statistics.as_ref().map_or_else(|| "off".to_owned(), read);
        compare(name, of(old), of(new));
    };
    setting("statistics url", |statistics| statistics.url.to_string());
    setting("accum_period", |statistics| statistics.accum_period.to_string());
    setting("media", |statistics| match statistics.media {
        None => "off".to_owned(),
        Some(media) => media.period.map_or("at the end".to_owned(), |period| format!("every {period}")),
    });
    setting("network period", |statistics| {
        statistics.network.map_or("off".to_owned(), |network| network.period.to_string())
    });
    let hidden = [
        ("reports", old.reports == new.reports),
        ("auth", old.auth == new.auth),
        ("tls", old.tls == new.tls),
        ("spool", old.spool == new.spool),
        ("media_analytics", old.media_analytics == new.media_analytics),
        ("heartbeat", old.heartbeat == new.heartbeat),
    ];
    lines.extend(hidden.iter().filter(|(_, same)| !same).map(|(name, _)| format!("{name} has changed")));
    // An address may differ only in what is not shown of it.
    let urls =
        [old, new].map(|provisioning| provisioning.statistics.as_ref().map(|statistics| &statistics.url));
    if lines.is_empty() && urls.first() != urls.last() {
        lines.push("statistics url has changed in its query or user-info".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"<provision><statistics url="http://a.example/"><media/></statistics></provision>"#;
    const OTHER: &str = r#"<provision><statistics url="http://b.example/?key=secret" accum_period="60">
        <network period="30"/></statistics><stbeacon><reports gzip="true"/></stbeacon></provision>"#;

    #[test]
    fn changes_are_told_without_secrets() {
        let parse = |text| Provisioning::parse(text).unwrap().provisioning;
        let (good, other) = (parse(GOOD), parse(OTHER));
        assert_eq!(
            changes(&good, &other),
            [
                "statistics url is now http://b.example/?…, was http://a.example/",
                "accum_period is now 60.000 s, was 300.000 s",
                "media is now off, was at the end",
                "network period is now 30.000 s, was off",
                "reports has changed",
            ]
        );
        assert_eq!(changes(&other, &other), Vec::<String>::new());
        let key = parse(&OTHER.replace("secret", "other"));
        assert_eq!(changes(&other, &key), ["statistics url has changed in its query or user-info"]);
    }
}
